"""Events of an event key that is not known yet. A rule without I/O.

Streams are read side by side: what a new key says on one may be read before its succession on another.
"""

from collections import deque
from typing import Final

from events import Stream

MOST_BYTES: Final = 8 << 20
"""Kept at most, oldest let go first: anybody who may write to the log can fill it. What is let go is a hole, and read
again from the log."""


class Unopened:
    """What one follower could not open.

    Attributes:
        generation: of the newest event key when it was tried last.
    """

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self._events: deque[tuple[Stream, bytes]] = deque()
        self._bytes = 0

    def keep(self, stream: Stream, data: bytes) -> None:
        """Keep one for later. Heartbeats are not worth it: another one follows."""
        if stream is Stream.HEARTBEATS:
            return
        self._events.append((stream, data))
        self._bytes += len(data)
        while self._bytes > MOST_BYTES:
            self._bytes -= len(self._events.popleft()[1])

    def take(self, generation: int) -> list[tuple[Stream, bytes]]:
        """All of them, in their order, where a newer event key is known than when they were tried last."""
        if generation <= self.generation:
            return []
        self.generation = generation
        events, self._events, self._bytes = list(self._events), deque(), 0
        return events
