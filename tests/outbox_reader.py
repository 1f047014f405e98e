"""What stands in an outbox, read past the code that writes it."""

from typing import NamedTuple

from sqlalchemy import select

from events import Stream, unpack
from issuer.store.database import Database
from issuer.store.schema import outbox, streams


class Counter(NamedTuple):
    """A stream's row: the highest number given, the lowest that is live, and the highest that the log has."""

    head: int
    floor: int
    published: int


async def numbers(database: Database, stream: Stream) -> list[int]:
    """Every ``seq`` of the stream, in order."""
    async with database.read() as connection:
        query = select(outbox.c.seq).where(outbox.c.stream == stream).order_by(outbox.c.seq)
        return list((await connection.execute(query)).scalars())


async def texts(database: Database, stream: Stream) -> list[bytes]:
    """Every signed event of the stream, in order."""
    async with database.read() as connection:
        query = select(outbox.c.event).where(outbox.c.stream == stream).order_by(outbox.c.seq)
        return list((await connection.execute(query)).scalars())


async def counter(database: Database, stream: Stream) -> Counter:
    """The stream's row as it is now."""
    async with database.read() as connection:
        query = select(streams.c.head, streams.c.floor, streams.c.published).where(streams.c.stream == stream)
        return Counter(*(await connection.execute(query)).one())


def without_holes(seqs: list[int]) -> bool:
    """Whether these are the numbers of one incarnation from its first on, each once, in order."""
    return [unpack(seq)[1] for seq in seqs] == list(range(1, len(seqs) + 1)) and len({seq >> 40 for seq in seqs}) == 1
