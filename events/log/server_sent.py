"""Server-sent events (WHATWG HTML, section 9.2), written and read. No I/O.

Whoever sends them decides how long their lines are, so what is read is bounded.
"""

import re
from typing import Final, NamedTuple

from events.signing import MAX_EVENT_BYTES

MEDIA_TYPE: Final = "text/event-stream"
MAX_LINE: Final = MAX_EVENT_BYTES + 128
"""Octets of the longest line: an event of the greatest size that is opened, and its field name."""
LINE_COST: Final = 64
"""What it costs to hold one line, beside its octets: an event of ours has one, another's may be nothing but lines."""
MAX_ID: Final = 256
LEVEL: Final = "level"
"""Name of the feed's own event that says: everything has been sent that there was."""

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    """One event as it was dispatched.

    Attributes:
        name: its ``event`` field; ``message`` when it has none.
        id: the last ``id`` seen on this connection, in this event or before it.
        data: its ``data`` lines, joined by line feeds.
    """

    name: bytes
    id: bytes
    data: bytes


class EventStreamBroken(ValueError):
    """What was received is no event stream that can be read within bounds."""


def encode_event(name: str, data: bytes, cursor: str = "") -> bytes:
    """One event. The data has no line ends, as a compact JWS has none."""
    identified = f"event: {name}\nid: {cursor}\ndata: " if cursor else f"event: {name}\ndata: "
    return b"".join((identified.encode(), data, b"\n\n"))


class EventStreamParser:
    """Takes an event stream in pieces of any size. What has not ended in a blank line is never dispatched."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._scanned = 0
        self._after_carriage_return = False
        self._at_start = True
        self._name = b""
        self._id = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[ServerSentEvent]:
        """The events that end within ``piece``.

        Raises:
            EventStreamBroken: a line, an event or an identifier is longer than anything that the feed sends.
        """
        if self._after_carriage_return and piece:
            piece = piece.removeprefix(b"\n")  # the rest of a line end that was cut in two
            self._after_carriage_return = False
        self._pending += piece
        found: list[ServerSentEvent] = []
        start = 0
        while end := _LINE_END.search(self._pending, max(start, self._scanned)):
            self._after_carriage_return = end[0] == b"\r" and end.end() == len(self._pending)
            event = self._line(bytes(self._pending[start : end.start()]))
            start = end.end()
            if event is not None:
                found.append(event)
        del self._pending[:start]
        self._scanned = len(self._pending)
        if self._scanned > MAX_LINE:
            raise EventStreamBroken(f"a line has more than {MAX_LINE} octets")
        return found

    def _line(self, line: bytes) -> ServerSentEvent | None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")  # a comment has no name
        value = value.removeprefix(b" ")
        if name == b"data":
            self._size += len(value) + LINE_COST
            if self._size > MAX_LINE:
                raise EventStreamBroken(f"an event has more than {MAX_LINE} octets")
            self._data.append(value)
        elif name == b"event":
            self._name = value
        elif name == b"id" and b"\0" not in value:
            if len(value) > MAX_ID:
                raise EventStreamBroken(f"an id has more than {MAX_ID} octets")
            self._id = value
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        event = ServerSentEvent(self._name or b"message", self._id, b"\n".join(self._data)) if self._data else None
        self._name, self._data, self._size = b"", [], 0
        return event
