"""The two histories of a stream that a recovery compares: what the store holds, and what the log holds."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from events import Baseline, EventOpener, EventRefused, Heartbeat, RefusalCode, SignedEvent, Stream
from events.log import EventLog
from events.log.reading import entries_of
from events.sequence import Intervals
from events.streams import SEQUENCED
from issuer.outbox.incarnations import abandoned_by, follows_of
from issuer.store.schema import outbox, streams


@dataclass(frozen=True, kw_only=True)
class StoreHistory:
    """A stream in the store.

    Attributes:
        head: highest number given.
        floor: lowest that is live.
        published: highest that the log has acknowledged.
        digests: of every event from the lowest on that matters.
        follows: of every baseline what it follows.
        ended: ``seq`` of a revocation to those of the events that ended it: lifts, and what replaced it.
        said: the event at a ``seq``.
    """

    head: int
    floor: int
    published: int
    digests: dict[int, str]
    follows: dict[int, int]
    ended: dict[int, list[int]]
    said: Callable[[int], SignedEvent]

    @property
    def abandoned(self) -> Intervals:
        """Numbers of histories that do not hold."""
        return abandoned_by(self.follows)


@dataclass(kw_only=True)
class LoggedHistory:
    """A stream in the log: by ``seq`` each event that stands there under it, by its digest."""

    events: dict[int, dict[str, SignedEvent]] = field(default_factory=dict)

    @property
    def follows(self) -> dict[int, int]:
        """Of every baseline what it follows."""
        return {
            event.seq: event.record.follows
            for variants in self.events.values()
            for event in variants.values()
            if isinstance(event.record, Baseline)
        }

    @property
    def abandoned(self) -> Intervals:
        """Numbers of histories that do not hold."""
        return abandoned_by(self.follows)


@dataclass(kw_only=True)
class Logged:
    """All that the log holds of ours.

    Attributes:
        streams: by name.
        beat: the newest heartbeat, or ``None``.
        beat_seq: its number.
        newest: newest time that anything was signed with, seconds since the epoch.
        strange: entries signed by keys that the store does not have.
    """

    streams: dict[Stream, LoggedHistory] = field(
        default_factory=lambda: {stream: LoggedHistory() for stream in SEQUENCED}
    )
    beat: Heartbeat | None = None
    beat_seq: int = 0
    newest: float = 0.0
    strange: int = 0


async def read_log(event_log: EventLog, opener: EventOpener) -> Logged:
    """Everything in the log that our event keys have signed.

    Raises:
        LogError: it cannot be read to its end.
    """
    logged = Logged()
    for stream in (*SEQUENCED, Stream.HEARTBEATS):
        async for entry in entries_of(event_log, stream):
            try:
                event = _opened(opener, stream, entry.data)
            except EventRefused as refusal:
                logged.strange += refusal.code is RefusalCode.UNKNOWN_KEY
                continue
            logged.newest = max(logged.newest, event.time)
            if stream is not Stream.HEARTBEATS:
                logged.streams[stream].events.setdefault(event.seq, {}).setdefault(event.digest, event)
            elif isinstance(event.record, Heartbeat) and event.seq > logged.beat_seq:
                logged.beat, logged.beat_seq = event.record, event.seq
            await asyncio.sleep(0)
    return logged


async def read_store(
    connection: AsyncConnection, opener: EventOpener, stream: Stream, logged: LoggedHistory
) -> StoreHistory:
    """The stream in the store, from the floor or from where the log begins."""
    row = (await connection.execute(select(streams).where(streams.c.stream == stream))).mappings().one()
    floor = row["head"] if stream is Stream.KEYS else row["floor"]  # the newest key set is the whole of it
    least = min([floor, row["head"], *logged.events])
    query = select(outbox.c.seq, outbox.c.digest, outbox.c.event).where(
        outbox.c.stream == stream, outbox.c.seq >= least
    )
    found = {seq: (digest, text) for seq, digest, text in await connection.execute(query)}
    ends = select(outbox.c.target, outbox.c.seq).where(outbox.c.stream == stream, outbox.c.target.is_not(None))
    ended: dict[int, list[int]] = {}
    for target, seq in await connection.execute(ends):
        ended.setdefault(target, []).append(seq)
    return StoreHistory(
        head=row["head"],
        floor=floor,
        published=row["published"],
        digests={seq: digest for seq, (digest, _) in found.items()},
        follows=await follows_of(connection, stream),
        ended=ended,
        said=lambda seq: _opened(opener, stream, found[seq][1]),
    )


def _opened(opener: EventOpener, stream: Stream, text: bytes) -> SignedEvent:
    """An event of ours with the bytes that were signed.

    Raises:
        EventRefused: it is not ours.
    """
    event = opener.open(text, stream)
    return SignedEvent(
        stream=stream,
        seq=event.seq,
        txn=event.txn,
        time=event.time,
        record=event.record,
        text=bytes(text),
        digest=event.digest,
    )
