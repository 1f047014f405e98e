"""The incarnations of a stream in the outbox: what each follows, what it abandons, and how the next one is opened."""

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from events import Baseline, SignedEvent, Stream, pack, unpack
from events.sequence import Intervals
from issuer.outbox.outbox import Outbox
from issuer.store.schema import outbox, streams


async def follows_of(connection: AsyncConnection, stream: Stream) -> dict[int, int]:
    """For each baseline of the stream what it follows."""
    head = (await connection.execute(select(streams.c.head).where(streams.c.stream == stream))).scalar_one()
    firsts = [pack(incarnation, 1) for incarnation in range(1, unpack(head)[0] + 1)]
    query = select(outbox.c.seq, outbox.c.detail).where(
        outbox.c.stream == stream, outbox.c.seq.in_(firsts), outbox.c.type == Baseline.type
    )
    return {row.seq: row.detail.get("follows", 0) for row in await connection.execute(query)}


def abandoned_by(follows: dict[int, int]) -> Intervals:
    """The numbers of histories that do not hold: those between a baseline and what it follows."""
    return Intervals((after + 1, seq - 1) for seq, after in follows.items() if after + 1 < seq)


async def open_incarnation(
    connection: AsyncConnection, event_outbox: Outbox, stream: Stream, incarnation: int, baseline: Baseline, txn: str
) -> SignedEvent:
    """Number on from the start of a new incarnation; its baseline.

    Nothing below it is to be published for the first time any more.
    """
    start = pack(incarnation, 0)
    await connection.execute(
        update(streams).where(streams.c.stream == stream, streams.c.head < start).values(head=start, published=start)
    )
    return await event_outbox.append(connection, stream, baseline, txn=txn)
