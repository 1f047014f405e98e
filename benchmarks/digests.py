"""A million digests: how long one look-up takes and what they weigh, beside a set, a sorted array and Redis."""

import argparse
import itertools
import random
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import redis

from benchmarks import held
from benchmarks.benchmark import Benchmark, Document, Table
from benchmarks.mass_revocation import MassRevocation, apply_digests
from benchmarks.plots import bars
from events.digests import unpack_digests
from tocsin.verification.issuer import digest_batches
from tocsin.verification.measurement import chunked
from tocsin.verification.stopwatch import Contender, Verify, race
from verifier_agent.digest_index import DigestIndex

PROBES: Final = 1000
PREFIX: Final = "tocsin-benchmark:"
REDIS_TIMEOUT: Final = 10.0
WAYS: Final = {
    "index": "Tocsin's index",
    "set": "Python set of int",
    "sorted": "sorted array and bisect",
    "redis": "Redis EXISTS, round trip on this machine",
}
HELD: Final = {
    "verifier": "Tocsin's verifier, by signed events",
    "index": "Tocsin's index",
    "set": "Python set of int",
    "sorted": "sorted array",
    "redis": "Redis, its own count",
}

Probes = dict[str, list[int]]


def measure(options: argparse.Namespace) -> Document:
    """Look-ups in turns, memory in fresh processes, and a running agent that hears them all."""
    batches = [unpack_digests(packed) for packed in digest_batches(options.count)]
    probes = _probes(batches)
    contenders = [*_of_index(batches, probes), *_of_set(batches, probes), *_of_sorted_array(batches, probes)]
    with _deny_list(options.redis, batches) as deny_list:
        if deny_list is not None:
            contenders += _contenders("redis", deny_list.look_up, probes)
        timings = race(contenders, options.seconds)
    with tempfile.TemporaryDirectory(prefix="tocsin-digests-") as folder:
        held.write(Path(folder), options.count)
        bytes_each = {way: held.bytes_each(way, Path(folder), options.count) for way in held.WAYS}
    return {
        "count": options.count,
        "look_up": {name: timing.microseconds for name, timing in timings.items()},
        "bytes_each": bytes_each | ({} if deny_list is None else {"redis": deny_list.bytes_each}),
        "applied": msgspec.to_builtins(apply_digests(options.count, options.runs)),
        "absent": [] if deny_list is not None else ["Redis: name an empty database, --redis redis://…"],
    }


def _probes(batches: "list[array[int]]") -> Probes:
    """Digests of tokens that are not revoked, as nearly all are, and of tokens that are."""
    source = random.Random(2)  # noqa: S311 - figures to look up, not secrets
    present = [source.choice(source.choice(batches)) for _ in range(PROBES)]
    return {"absent": list(array("Q", source.randbytes(8 * PROBES))), "present": present}


def _contenders(way: str, look_up: Verify, probes: Probes) -> Iterator[Contender]:
    for kind, digests in probes.items():
        if bool(look_up(digests[0])) is not (kind == "present"):
            raise RuntimeError(f"{way} is wrong about a digest that is {kind}")
        yield Contender(f"{way} {kind}", _prepared(look_up, digests))


def _prepared(look_up: Verify, digests: list[int]) -> Callable[[], tuple[Verify, Sequence[int]]]:
    chunks = chunked(digests)
    return lambda: (look_up, next(chunks))


def _of_index(batches: "list[array[int]]", probes: Probes) -> Iterator[Contender]:
    index = DigestIndex()
    for seq, batch in enumerate(batches, 1):
        index.add(seq, batch)
        while index.settle():
            pass
    return _contenders("index", index.__contains__, probes)


def _of_set(batches: "list[array[int]]", probes: Probes) -> Iterator[Contender]:
    return _contenders("set", set(itertools.chain.from_iterable(batches)).__contains__, probes)


def _of_sorted_array(batches: "list[array[int]]", probes: Probes) -> Iterator[Contender]:
    ordered = array("Q", sorted(itertools.chain.from_iterable(batches)))

    def look_up(digest: int) -> bool:
        at = bisect_left(ordered, digest)
        return at < len(ordered) and ordered[at] == digest

    return _contenders("sorted", look_up, probes)


class _DenyList:
    """One key a digest in Redis, as verifiers in other languages have it."""

    def __init__(self, client: Any, batches: "list[array[int]]") -> None:
        self._exists = client.exists
        before = client.info("memory")["used_memory"]
        for batch in batches:
            client.mset({f"{PREFIX}{digest:016x}": b"" for digest in batch})
        self.bytes_each = (client.info("memory")["used_memory"] - before) / sum(map(len, batches))

    def look_up(self, digest: int) -> object:
        """One round trip."""
        return self._exists(f"{PREFIX}{digest:016x}")


@contextmanager
def _deny_list(address: str | None, batches: "list[array[int]]") -> Iterator[_DenyList | None]:
    """Filled, and emptied again.

    Raises:
        RuntimeError: the database holds something already.
    """
    if address is None:
        yield None
        return
    with redis.Redis.from_url(address, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_TIMEOUT) as client:
        if client.dbsize():
            raise RuntimeError("this Redis database holds something; name an empty one")
        try:
            yield _DenyList(client, batches)
        finally:
            for batch in batches:
                client.delete(*(f"{PREFIX}{digest:016x}" for digest in batch))


def tables(document: Document) -> Sequence[Table]:
    """Look-ups, memory, and the mass revocation."""
    times, count = document["look_up"], document["count"]
    look_ups = [
        (what, f"{times[f'{way} absent']:.3f}", f"{times[f'{way} present']:.3f}")
        for way, what in WAYS.items()
        if f"{way} absent" in times
    ]
    memory = [(HELD[way], f"{size:.1f}") for way, size in document["bytes_each"].items()]
    absent = "".join(f"; {text}" for text in document["absent"])
    return [
        Table(f"One look-up among {count:,} digests, µs{absent}", ["", ">NOT REVOKED", ">REVOKED"], look_ups),
        Table(f"Bytes a digest, at {count:,}", ["", ">BYTES"], memory),
        Table(
            f"{count:,} digests as signed events of 50,000, by a running agent",
            [
                ">SECONDS UNTIL IN FORCE",
                ">FILTER AND ALL",
                ">LONGEST STALL OF THE EVENT LOOP, ms",
                ">WITH NOTHING TO DO, ms",
            ],
            [_applied_row(run) for run in msgspec.convert(document["applied"], list[MassRevocation])],
        ),
    ]


def _applied_row(run: MassRevocation) -> tuple[str, str, str, str]:
    return f"{run.in_force:.2f}", f"{run.seconds:.2f}", f"{run.longest_stall:.1f}", f"{run.idle_stall:.1f}"


def draw(figure: Any, document: Document) -> None:
    """Time and memory."""
    figure.set_size_inches(9, 3.8)
    time_axes, memory_axes = figure.subplots(2, 1)
    times = {what: document["look_up"].get(f"{way} absent") for way, what in WAYS.items()}
    bars(time_axes, {what: time for what, time in times.items() if time}, ours=[WAYS["index"]])
    time_axes.set_xscale("log")
    time_axes.set_title(f"One look-up of a token that is not revoked, among {document['count']:,}", loc="left")
    memory = {HELD[way]: size for way, size in document["bytes_each"].items()}
    bars(memory_axes, memory, ours=[HELD["verifier"], HELD["index"]], unit="bytes a digest")


BENCHMARK: Final = Benchmark(
    name="digests",
    what=__doc__ or "",
    measure=measure,
    tables=tables,
    draw=draw,
    arguments={
        "count": (1_000_000, "digests"),
        "seconds": (0.6, "that each look-up is timed for"),
        "runs": (3, "of the agent that hears them all"),
        "redis": (None, "URL of an empty Redis database, which is emptied again"),
    },
)

if __name__ == "__main__":
    BENCHMARK.main()
