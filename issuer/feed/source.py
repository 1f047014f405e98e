"""Where the feed's events come from: the store's outbox, so that it works while the event log is away."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from sqlalchemy import func, select

from events import Stream
from events.streams import SEQUENCED
from issuer.outbox.heartbeats import Heartbeats
from issuer.outbox.outbox import Outbox, StoredEvent
from issuer.store.database import Database
from issuer.store.schema import outbox
from verifier_agent.clocks import Clock

BATCH: Final = 500
BATCH_BYTES: Final = 512 * 1024
"""Octets after which a batch ends; one event may be larger."""
RECENT_SECONDS: Final = 2.5
"""A heartbeat older than this is told to nobody: whoever comes waits for the next, a second at most."""


class Ends(NamedTuple):
    """How far a stream reaches: ``floor`` is its lowest ``seq`` that is live, ``head`` its highest, 0 for none."""

    floor: int
    head: int


class EventSource(Protocol):
    """Ordered events that are kept. Each method raises ``StoreUnavailable`` when they cannot be had."""

    async def ends(self) -> Mapping[Stream, Ends]:
        """How far each stream reaches that the feed carries."""

    async def holds(self, stream: Stream, seq: int) -> bool:
        """Whether one can go on after ``seq``."""

    async def after(self, stream: Stream, seq: int) -> Sequence[StoredEvent]:
        """Some of the events that follow ``seq``, of bounded size; none when there are none."""

    async def successions(self) -> Sequence[StoredEvent]:
        """Every succession of event keys, oldest first."""

    async def beat(self) -> None:
        """Add a heartbeat, unless none may be made now."""


class StoreSource:
    """The outbox, and heartbeats that this process signs itself. The newest alone is kept, and not in the store."""

    def __init__(self, database: Database, event_outbox: Outbox, heartbeats: Heartbeats, clock: Clock) -> None:
        self._database = database
        self._outbox = event_outbox
        self._heartbeats = heartbeats
        self._clock = clock
        self._newest: StoredEvent | None = None
        self._newest_at = 0.0

    async def ends(self) -> Mapping[Stream, Ends]:
        """See ``EventSource.ends``."""
        async with self._database.read() as connection:
            heads = (await self._outbox.heads(connection)).heads
        ends = {stream: Ends(heads[stream].floor, heads[stream].head) for stream in SEQUENCED}
        recent = self._recent()
        last = 0 if self._newest is None else self._newest.seq
        ends[Stream.HEARTBEATS] = Ends(last, last) if recent else Ends(last + 1, 0)
        return ends

    async def holds(self, stream: Stream, seq: int) -> bool:
        """See ``EventSource.holds``: of heartbeats only newer ones matter, whoever signed the last."""
        if stream is Stream.HEARTBEATS:
            return True
        async with self._database.read() as connection:
            query = select(outbox.c.seq).where(outbox.c.stream == stream, outbox.c.seq == seq)
            return (await connection.execute(query)).first() is not None

    async def after(self, stream: Stream, seq: int) -> Sequence[StoredEvent]:
        """See ``EventSource.after``."""
        if stream is Stream.HEARTBEATS:
            newest = self._recent()
            return [newest] if newest is not None and newest.seq > seq else []
        async with self._database.read() as connection:
            query = (
                select(func.length(outbox.c.event))
                .where(outbox.c.stream == stream, outbox.c.seq > seq)
                .order_by(outbox.c.seq)
                .limit(BATCH)
            )
            sizes = (await connection.execute(query)).scalars().all()
            if not sizes:
                return []
            return await self._outbox.after(connection, stream, seq, limit=_within(sizes, BATCH_BYTES))

    async def successions(self) -> Sequence[StoredEvent]:
        """See ``EventSource.successions``."""
        async with self._database.read() as connection:
            return await self._outbox.successions(connection)

    async def beat(self) -> None:
        """See ``EventSource.beat``."""
        event = await self._heartbeats.next()
        if event is not None:
            self._newest = StoredEvent(event.stream, event.seq, event.digest, event.text)
            self._newest_at = self._clock.boot()

    def _recent(self) -> StoredEvent | None:
        return self._newest if self._clock.boot() - self._newest_at < RECENT_SECONDS else None


def _within(sizes: Sequence[int], most: int) -> int:
    """How many of these fit, one at least."""
    count = total = 0
    for size in sizes:
        total += size
        if count and total > most:
            break
        count += 1
    return count
