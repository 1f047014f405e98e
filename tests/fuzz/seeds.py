"""Where a corpus begins: inputs of each kind, so that fuzzing need not find out what a token is."""

import json
from collections.abc import Iterator
from random import Random

from events.records import encode_record
from tests.fuzz.event_target import RECORDS, SEPARATOR, STREAMS, EventTarget
from tests.fuzz.token_target import KEYS, TokenTarget
from tests.oracle.changes import CHANGES
from tests.oracle.recipe import good_recipe


def token_seeds() -> Iterator[bytes]:
    """Good tokens, and tokens that are broken in one way, in each of the ways in which an input can say so."""
    target, random = TokenTarget(), Random(1)  # noqa: S311
    yield b"\0" + target.good.encode()
    yield b"\4" + bytes([0, 200, 65, 0, 201, 66])
    for number in range(150):
        recipe = good_recipe(random)
        recipe.header["kid"] = recipe.key.alg
        if number >= len(KEYS):
            random.choice(CHANGES)(recipe)
        header, payload = recipe.texts()
        key = bytes([[key.alg for key in KEYS].index(recipe.key.alg)])
        yield b"\1" + key + header + b"\n" + payload
        yield b"\2" + key + payload
        if number % 10 == 0:
            yield b"\3" + header + b"\n" + payload + b"\n" + bytes(64)


def event_seeds() -> Iterator[bytes]:
    """Each event that was said, by itself, with its repetition, and with the one after it."""
    target = EventTarget()
    said = [*target.issuer.said, target.heartbeat]
    made = []
    for event in said:
        stream = bytes([STREAMS.index(event.stream)])
        record = json.dumps(encode_record(event.record)).encode()
        yield stream + b"\0" + event.text
        yield stream + b"\4" + event.text.replace(b".", b"\n")
        kind = RECORDS.index(event.record.type)
        made += [stream + b"\2" + bytes([kind, place]) + record for place in (1, 3, 100, 129, 255)]
    yield from made
    random = Random(1)  # noqa: S311
    for _ in range(60):
        yield SEPARATOR.join(random.choices(made, k=random.randrange(2, 6)))
