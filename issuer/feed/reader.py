"""One reader of the feed: what it asked for, and how far it has been told. A rule without I/O."""

from collections.abc import Mapping, Sequence
from typing import Final

from events import Stream
from events.log.cursor import format_cursor
from events.log.server_sent import LEVEL, encode_event
from issuer.outbox.outbox import StoredEvent

LEVEL_DATA: Final = b"{}"


class Reader:
    """Positions, and the text of what moves them.

    Attributes:
        at: for each stream that it follows the ``seq`` after which it goes on.
        level: whether it has been told everything that there was when it came.
    """

    def __init__(
        self, start: Mapping[Stream, int], resumed: Mapping[Stream, int], chain: Sequence[StoredEvent] = ()
    ) -> None:
        """Begin.

        Args:
            start: for each stream that it follows where to begin.
            resumed: where it has been before; a position that it may name when it comes again.
            chain: successions of event keys before ``start`` that it has not been told of.
        """
        self._chain = chain
        self.at = dict(start)
        self.level = False
        self._told = {stream: seq for stream, seq in resumed.items() if stream in self.at}

    def frame(self, event: StoredEvent) -> bytes:
        """The event as it is sent; from now on it has been told."""
        self.at[event.stream] = self._told[event.stream] = event.seq
        return encode_event(event.stream, event.text, format_cursor(self._told))

    def chain(self) -> bytes:
        """The successions before the start, as they are sent."""
        start = dict(self.at)
        frames = b"".join(map(self.frame, self._chain))
        for stream, seq in start.items():
            self.skip(stream, seq)
        return frames

    def skip(self, stream: Stream, seq: int) -> None:
        """Go on after ``seq``: nothing is live up to there."""
        self.at[stream] = max(self.at[stream], seq)

    def note_level(self) -> bytes:
        """The news that it has caught up."""
        self.level = True
        return encode_event(LEVEL, LEVEL_DATA, format_cursor(self._told))
