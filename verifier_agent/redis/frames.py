"""Signed events in one value, each behind a line that says how long it is.

One value and not a list: how much of it is read can be bounded. What somebody else has put between is passed over.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from events import Stream
from verifier_agent.saved import SavedEvent

MAX_EVENT: Final = 1 << 20
"""Bytes; more than any log takes in one event."""
_MARK: Final = b"\ntocsin "
_MAX_HEADER: Final = 64
_STREAMS: Final = {str(stream).encode(): stream for stream in Stream}


def write_frames(events: Iterable[SavedEvent]) -> list[bytes]:
    """One frame for each event, in their order; what is longer than ``MAX_EVENT`` is left out."""
    return [
        b"%s%s %d\n%s" % (_MARK, str(stream).encode(), len(data), data)
        for stream, data in events
        if len(data) <= MAX_EVENT
    ]


def read_frames(text: bytes) -> Iterator[SavedEvent]:
    """The events in frames, in their order, and whatever else looks like one."""
    at = text.find(_MARK)
    while at >= 0:
        start = at + len(_MARK)
        end = text.find(b"\n", start, start + _MAX_HEADER)
        name, _, length = text[start : max(start, end)].partition(b" ")
        if name in _STREAMS and length.isdigit() and end + 1 + int(length) <= len(text) and int(length) <= MAX_EVENT:
            start = end + 1 + int(length)
            yield SavedEvent(_STREAMS[name], text[end + 1 : start])
        at = text.find(_MARK, start)
