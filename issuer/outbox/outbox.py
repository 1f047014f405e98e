"""The outbox: decisions become numbered, signed events in the transaction that decides them.

It is the audit trail too, so nothing is removed from it.
"""

import secrets
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final

import msgspec
from sqlalchemy import RowMapping, Select, case, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.elements import ColumnElement

from events import (
    Baseline,
    EventSigner,
    Heartbeat,
    Record,
    RevokeDigests,
    SignedEvent,
    Stream,
    StreamHead,
    base64url,
    pack,
)
from events.digests import DIGEST_BYTES
from events.records import decode_record, encode_record
from events.streams import SEQUENCED
from issuer.keys.event_chain import EventSigners, read_successions
from issuer.store.database import Database
from issuer.store.schema import outbox, streams

MAX_REASON: Final = 1024
MAX_ACTOR: Final = 256
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of the events read at once, unless one alone has more: a batch of digests has 700 kB."""


class StoredEvent(msgspec.Struct, frozen=True):
    """An event as the outbox keeps it, without what it decided."""

    stream: Stream
    seq: int
    digest: str
    text: bytes


class Outbox:
    """Appends decisions, and reads them back."""

    def __init__(self, database: Database, signers: EventSigners) -> None:
        self._database = database
        self._signers = signers

    async def append(
        self, connection: AsyncConnection, stream: Stream, record: Record, *, txn: str | None = None
    ) -> SignedEvent:
        """Number, sign and keep one event, in the transaction of ``connection``.

        The stream's counter row stays locked until that transaction ends: events commit in the order of their
        numbers, and one that rolls back leaves no hole.

        Args:
            connection: a writing transaction.
            stream: where it belongs.
            record: what it says.
            txn: what ties the events of one decision together; made up when absent.

        Raises:
            ValueError: its reason cannot be kept.
        """
        _check_reason(getattr(record, "reason", ""))
        row = await self._count(connection, stream)
        signer = await self._signers.at(connection, row["event_key"])
        event = signer.sign(stream, row["head"], record, time=row["now"], txn=txn or secrets.token_hex(16))
        await connection.execute(insert(outbox).values(_row(event)))
        return event

    async def keep(self, connection: AsyncConnection, events: Sequence[SignedEvent]) -> None:
        """Keep events that were decided, numbered and signed before, unchanged; the counters stay where they are."""
        if events:
            await connection.execute(insert(outbox), [_row(event) for event in events])

    async def heartbeat(self, connection: AsyncConnection) -> tuple[int, Heartbeat, EventSigner]:
        """A heartbeat with its number, and who is to sign it.

        The counter row's lock orders heartbeats as their heads were read.
        """
        row = await self._count(connection, Stream.HEARTBEATS)
        return row["head"], await self.heads(connection), await self._signers.at(connection, row["event_key"])

    async def skip_heartbeats(self, seq: int) -> None:
        """Go on above ``seq``, where that is higher than what was counted."""
        async with self._database.write() as connection:
            await connection.execute(
                update(streams).where(streams.c.stream == Stream.HEARTBEATS, streams.c.head < seq).values(head=seq)
            )

    async def _count(self, connection: AsyncConnection, stream: Stream) -> RowMapping:
        """Take the stream's next number, as ``head``, with the store's ``time`` and the ``event_key`` that signs it."""
        now = self._database.time()
        counted = await connection.execute(
            update(streams)
            .where(streams.c.stream == stream)
            .values(head=streams.c.head + 1, time=case((streams.c.time > now, streams.c.time), else_=now))
            .returning(streams.c.head, streams.c.event_key, now.label("now"))
        )
        return counted.mappings().one()

    async def initialise(self) -> None:
        """Open the first incarnation of each stream with its baseline, unless that has been done."""
        async with self._database.write() as connection:
            for stream in SEQUENCED:
                # The row is locked first: two processes may start at once.
                query = select(streams.c.head).where(streams.c.stream == stream).with_for_update()
                if (await connection.execute(query)).scalar_one() == pack(1, 0):
                    await self.append(connection, stream, Baseline())

    async def heads(self, connection: AsyncConnection) -> Heartbeat:
        """Store time, and head and floor of each sequenced stream, read in one statement."""
        heads, _ = await read_heads(connection, self.heads_query())
        return heads

    def heads_query(self, others: Sequence[ColumnElement[Any]] = ()) -> Select[Any]:
        """What ``read_heads`` sends, for those who do so often: with ``others`` to be read at the same moment."""
        return (
            select(
                streams.c.stream,
                streams.c.head,
                streams.c.floor,
                outbox.c.digest,
                self._database.time_before_reading().label("time"),
                *(other.label(f"other_{place}") for place, other in enumerate(others)),
            )
            .join(outbox, (outbox.c.stream == streams.c.stream) & (outbox.c.seq == streams.c.head), isouter=True)
            .where(streams.c.stream.in_([stream.value for stream in SEQUENCED]))
        )

    async def after(
        self, connection: AsyncConnection, stream: Stream, seq: int, *, limit: int = 500
    ) -> Sequence[StoredEvent]:
        """Events of ``stream`` above ``seq``, in order; at most ``limit``, and ``MOST_BYTES`` of them."""
        following = (outbox.c.stream == stream) & (outbox.c.seq > seq)
        sizes = select(func.length(outbox.c.event)).where(following).order_by(outbox.c.seq).limit(limit)
        count = _within((await connection.execute(sizes)).scalars().all(), MOST_BYTES)
        if not count:
            return []
        query = select(outbox.c.seq, outbox.c.digest, outbox.c.event).where(following).order_by(outbox.c.seq)
        rows = (await connection.execute(query.limit(count))).all()
        return [StoredEvent(stream, row.seq, row.digest, row.event) for row in rows]

    async def successions(self, connection: AsyncConnection) -> Sequence[StoredEvent]:
        """Every succession of event keys, oldest first: they are live for ever, whatever the floor."""
        return [StoredEvent(Stream.KEYS, *each) for each in await read_successions(connection)]

    async def advance_floor(self) -> None:
        """Raise the floor of the revocations over what has expired."""
        now = self._database.time()
        async with self._database.write() as connection:
            # Locked before looking: a revocation that commits meanwhile would be stepped over.
            query = select(streams.c.head, streams.c.floor).where(streams.c.stream == Stream.REVOCATIONS)
            row = (await connection.execute(query.with_for_update())).one()
            first_live = (
                select(outbox.c.seq)
                .where(outbox.c.stream == Stream.REVOCATIONS, outbox.c.seq >= row.floor, outbox.c.expires_at > now)
                .order_by(outbox.c.seq)
                .limit(1)
            )
            floor = (await connection.execute(first_live)).scalar_one_or_none() or row.head + 1
            if floor > row.floor:
                await connection.execute(
                    update(streams).where(streams.c.stream == Stream.REVOCATIONS).values(floor=floor)
                )


def _within(sizes: Sequence[int], most: int) -> int:
    """How many of these fit, one at least where there is one."""
    return max(1, sum(total <= most for total in accumulate(sizes))) if sizes else 0


def _check_reason(reason: str) -> None:
    if len(reason) > MAX_REASON:
        raise ValueError(f"reason has {len(reason)} characters; at most {MAX_REASON} are kept")
    if "\0" in reason:
        raise ValueError("reason has a NUL character, which not every store can keep")


def _row(event: SignedEvent) -> dict[str, Any]:
    detail = encode_record(event.record)
    if isinstance(event.record, RevokeDigests):
        detail["digests"] = len(event.record.digests) // DIGEST_BYTES  # the event itself has them
    return {
        "stream": event.stream.value,
        "seq": event.seq,
        "type": event.record.type,
        "txn": event.txn,
        "time": event.time,
        "expires_at": getattr(event.record, "expires_at", None),
        # What is said again in another's place ends that one, as a lift would.
        "target": getattr(event.record, "target", None) or getattr(event.record, "replaces", None) or None,
        "actor": getattr(event.record, "actor", ""),
        "reason": getattr(event.record, "reason", ""),
        "detail": detail,
        "digest": event.digest,
        "event": event.text,
    }


async def read_heads(connection: AsyncConnection, query: Select[Any]) -> tuple[Heartbeat, Sequence[Any]]:
    """The heads, and the values of what ``heads_query`` was given beside them."""
    rows = (await connection.execute(query)).all()
    heads = {
        # Of the keys only the newest event is live: it holds the whole set.
        row.stream: StreamHead(
            head=row.head, digest=row.digest or "", floor=row.head if row.stream == Stream.KEYS else row.floor
        )
        for row in rows
    }
    return Heartbeat(time=min(row.time for row in rows), heads=heads), rows[0][5:]


async def find(connection: AsyncConnection, stream: Stream, seq: int) -> RowMapping | None:
    """The row of one event, or ``None``."""
    query = select(outbox).where(outbox.c.stream == stream, outbox.c.seq == seq)
    return (await connection.execute(query)).mappings().one_or_none()


async def find_by_txn(connection: AsyncConnection, stream: Stream, txn: str) -> RowMapping | None:
    """The row of the event that was decided under ``txn``, or ``None``.

    The stream's counter row is locked first: of two that decide the same at once, the second must see the first.
    """
    await connection.execute(select(streams.c.head).where(streams.c.stream == stream).with_for_update())
    query = select(outbox).where(outbox.c.stream == stream, outbox.c.txn == txn)
    return (await connection.execute(query)).mappings().one_or_none()


def record_of(row: RowMapping) -> Record:
    """What the event of an outbox row says; its ``detail`` does not hold digests."""
    claims = msgspec.json.decode(base64url.decode(row["event"].split(b".")[1]))
    return decode_record(claims["events"])


async def published_mark(connection: AsyncConnection, stream: Stream) -> int:
    """Highest ``seq`` of ``stream`` that the log has acknowledged."""
    query = select(streams.c.published).where(streams.c.stream == stream)
    mark: int = (await connection.execute(query)).scalar_one()
    return mark
