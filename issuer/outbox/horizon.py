"""How long a revocation must be known: longer than every token that it can hit, on every clock.

The store's clock may be put right, forwards or backwards, and agents forget by the newest time that they were told.
So a revocation is dated from the newest time ever signed. And tokens made under an older, higher ceiling of token life
are still out there, so the ceiling is the highest that any replica has used within its own length.
"""

import msgspec
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from events.records import MAX_SKEW
from issuer.store.database import Database
from issuer.store.schema import ceilings, streams


class Horizon(msgspec.Struct, frozen=True, kw_only=True):
    """What the end of a revocation is reckoned from; seconds, by the store's clock.

    Attributes:
        now: the store's clock.
        newest: newest time that anything was signed with, or ``now``.
        ceiling: longest life of any token that may be alive.
    """

    now: float
    newest: float
    ceiling: float

    @property
    def past_every_token(self) -> float:
        """When every token of today is dead everywhere; the clock that made it may have been fast."""
        return self.past_token(self.now + MAX_SKEW + self.ceiling)

    def past_token(self, exp: float) -> float:
        """When a token with this ``exp`` is dead everywhere: a verifier tolerates skew, and its clock may be slow."""
        return round(exp + 2 * MAX_SKEW + self.newest - self.now, 3)


async def read_horizon(connection: AsyncConnection, database: Database, own_ceiling: float) -> Horizon:
    """The horizon at this moment.

    Args:
        connection: the deciding transaction.
        database: for its clock.
        own_ceiling: this process's ceiling of token life, in seconds.
    """
    now = database.time()
    used = select(func.max(ceilings.c.seconds)).where(ceilings.c.last_used + ceilings.c.seconds + MAX_SKEW > now)
    query = select(now, select(func.max(streams.c.time)).scalar_subquery(), used.scalar_subquery())
    moment, newest, ceiling = (await connection.execute(query)).one()
    return Horizon(now=moment, newest=max(moment, newest), ceiling=max(own_ceiling, ceiling or 0.0))


async def note_ceiling(database: Database, seconds: float) -> None:
    """Say that tokens of this life are being made.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    now = database.time()
    async with database.write() as connection:
        noted = await connection.execute(update(ceilings).where(ceilings.c.seconds == seconds).values(last_used=now))
    if noted.rowcount:
        return
    try:
        async with database.write() as connection:
            await connection.execute(insert(ceilings).values(seconds=seconds, last_used=now))
    except IntegrityError:
        return  # another replica has just said the same
