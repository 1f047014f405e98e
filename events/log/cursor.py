"""Where a reader of the event feed is, in every stream at once, as one short text: ``k1.5_r1.42_h1.900``.

It is the ``id`` of every event of the feed. To everybody but the feed and its log it is opaque.
"""

import re
from collections.abc import Mapping
from typing import Final

from events.sequence import MAX_SEQ, NUMBER_BITS, format_seq, unpack
from events.streams import FOLLOWED, Stream

MAX_CURSOR: Final = 64
"""Characters that no cursor exceeds."""

_LETTERS: Final = {stream: stream.value[0] for stream in FOLLOWED}
_PLACE: Final = re.compile(r"([a-z])([0-9]{1,4})\.([0-9]{1,13})")


def format_cursor(positions: Mapping[Stream, int]) -> str:
    """The text for these sequences, one for each stream of which something has been read."""
    return "_".join(
        f"{letter}{format_seq(positions[stream])}" for stream, letter in _LETTERS.items() if stream in positions
    )


def parse_cursor(text: str) -> dict[Stream, int]:
    """The sequences that a cursor names; none for an empty one.

    Raises:
        ValueError: ``format_cursor`` never wrote this.
    """
    if len(text) > MAX_CURSOR:
        raise ValueError(f"a position of the feed has at most {MAX_CURSOR} characters")
    streams = {letter: stream for stream, letter in _LETTERS.items()}
    positions: dict[Stream, int] = {}
    for place in text.split("_") if text else ():
        found = _PLACE.fullmatch(place)
        if found is None or found[1] not in streams:
            raise ValueError("this is no position of the feed")
        seq = int(found[2]) << NUMBER_BITS | int(found[3])
        if not is_position(seq):
            raise ValueError("this is no position of the feed")
        positions[streams[found[1]]] = seq
    if format_cursor(positions) != text:  # leading zeros, another order, a stream twice
        raise ValueError("this is no position of the feed")
    return positions


def is_position(seq: int) -> bool:
    """Whether an event can stand at ``seq``."""
    incarnation, number = unpack(seq)
    return 0 < seq <= MAX_SEQ and incarnation > 0 and number > 0
