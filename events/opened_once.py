"""Events that several in one process would open: each is opened once for all who pin the same keys."""

from typing import Final

from events.signing import EventOpener, UnverifiedEvent, VerifiedEvent
from events.streams import Stream
from events.trust import IssuerTrust

MOST_BYTES: Final = 4 * 1024 * 1024
"""Of the events that are remembered; whoever comes later opens what is forgotten by itself."""


class OpenedOnce(EventOpener):
    """An opener that remembers what it has opened lately, by all of its octets and the stream that it was read from.

    What is refused is not remembered.
    """

    def __init__(self, trust: IssuerTrust) -> None:
        super().__init__(trust)
        self._opened: dict[tuple[Stream, bytes], VerifiedEvent] = {}
        self._bytes = 0

    def open(self, raw: UnverifiedEvent | bytes, stream: Stream) -> VerifiedEvent:
        """See ``EventOpener.open``."""
        event = self._opened.get((stream, raw))
        if event is None:
            generation, event = self.keys.generation, super().open(raw, stream)
            if self.keys.generation != generation:  # what the key before may have said is another question now
                self._opened, self._bytes = {}, 0
            self._opened[stream, raw] = event
            self._bytes += len(raw)
            while self._bytes > MOST_BYTES and len(self._opened) > 1:
                oldest = next(iter(self._opened))
                del self._opened[oldest]
                self._bytes -= len(oldest[1])
        return event
