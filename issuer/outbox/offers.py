"""What this process has just committed, so that the relay need not read it from the store again."""

from typing import Final

from events import SignedEvent, Stream
from events.streams import SEQUENCED
from issuer.outbox.outbox import StoredEvent

MOST_WAITING: Final = 1000
MOST_WAITING_BYTES: Final = 32 * 1024 * 1024
"""A process that is not the relay piles up offers; the store has them all."""
MOST_BYTES: Final = 1024 * 1024
"""Of the events taken at once, unless one alone has more: the log is to acknowledge them within seconds."""


class Offers:
    """Committed events by stream, taken in the order of their numbers without a gap."""

    def __init__(self) -> None:
        self._waiting: dict[Stream, dict[int, StoredEvent]] = {stream: {} for stream in SEQUENCED}
        self._bytes = dict.fromkeys(SEQUENCED, 0)

    def put(self, event: SignedEvent) -> None:
        """Offer one event, in whatever order its commit was heard of."""
        waiting = self._waiting[event.stream]
        if event.seq in waiting:
            return
        self._bytes[event.stream] += len(event.text)
        if len(waiting) >= MOST_WAITING or self._bytes[event.stream] > MOST_WAITING_BYTES:
            waiting.clear()
            self._bytes[event.stream] = len(event.text)
        waiting[event.seq] = StoredEvent(event.stream, event.seq, event.digest, event.text)

    def take(self, stream: Stream, mark: int) -> list[StoredEvent]:
        """Offered events that follow ``mark`` directly, ``MOST_BYTES`` at once; what lies at or below it is dropped."""
        waiting = self._waiting[stream]
        for seq in [seq for seq in waiting if seq <= mark]:
            self._pop(stream, seq)
        taken: list[StoredEvent] = []
        size = 0
        while mark + 1 in waiting and (not taken or size + len(waiting[mark + 1].text) <= MOST_BYTES):
            mark += 1
            taken.append(self._pop(stream, mark))
            size += len(taken[-1].text)
        return taken

    def gap(self, stream: Stream) -> bool:
        """Whether events are left that do not follow what was taken: another replica has decided in between."""
        return bool(self._waiting[stream])

    def _pop(self, stream: Stream, seq: int) -> StoredEvent:
        event = self._waiting[stream].pop(seq)
        self._bytes[stream] -= len(event.text)
        return event
