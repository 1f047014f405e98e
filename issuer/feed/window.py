"""The newest events of one stream, held once for all readers. A rule without I/O."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

from issuer.outbox.outbox import StoredEvent

MOST_EVENTS: Final = 4096
MOST_BYTES: Final = 16 * 1024 * 1024
"""What a reader may be behind, in events and in octets; a mass revocation of a million tokens is 11 MB."""


class Window:
    """Every event above ``behind``, up to ``head``, in order.

    Attributes:
        behind: highest ``seq`` that is not held; whoever is below it must ask the store.
        head: highest ``seq`` that is.
    """

    def __init__(self, head: int, *, most_events: int = MOST_EVENTS, most_bytes: int = MOST_BYTES) -> None:
        self.behind = self.head = head
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._events: list[StoredEvent] = []
        self._seqs: list[int] = []
        self._bytes = 0

    def push(self, event: StoredEvent) -> None:
        """Add the event that follows the head; one that is known already changes nothing."""
        if event.seq <= self.head:
            return
        self.head = event.seq
        self._events.append(event)
        self._seqs.append(event.seq)
        self._bytes += len(event.text)
        while len(self._events) > self._most_events or (self._bytes > self._most_bytes and len(self._events) > 1):
            self.behind = self._seqs.pop(0)
            self._bytes -= len(self._events.pop(0).text)

    def holds(self, seq: int) -> bool:
        """Whether one can go on after ``seq`` from here alone."""
        at = bisect_left(self._seqs, seq)
        return seq == self.behind or self._seqs[at : at + 1] == [seq]

    def after(self, seq: int, most_bytes: int) -> Sequence[StoredEvent]:
        """The events that follow ``seq``, up to so many octets, but one at least where there is one.

        Args:
            seq: not below ``behind``.
            most_bytes: where to stop.
        """
        start = stop = bisect_right(self._seqs, seq)
        while stop < len(self._events) and most_bytes > 0:
            most_bytes -= len(self._events[stop].text)
            stop += 1
        return self._events[start:stop]
