"""What users have agreed to before, so that they are not asked again."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from issuer.errors import StoreUnavailable
from issuer.store.database import Database
from issuer.store.schema import consents

AT_ALL: Final = ""
"""Stands in place of a scope: that the client may act for the user at all, and know who they are."""

TRIES: Final = 5
"""Of a transaction that meets another's new rows."""


class ConsentStore:
    """Consents by user, client and scope."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def covers(self, sub: str, client_id: str, scope: Iterable[str]) -> bool:
        """Whether the user has let the client have all of this."""
        query = select(consents.c.scope).where(consents.c.sub == sub, consents.c.client_id == client_id)
        async with self._database.read() as connection:
            return {AT_ALL, *scope} <= set((await connection.execute(query)).scalars())

    async def give(self, sub: str, client_id: str, scope: Iterable[str]) -> None:
        """Remember that the user lets the client have these scopes, beside those of before.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        for _ in range(TRIES):
            try:
                async with self._database.write() as connection:
                    await self._give(connection, sub, client_id, scope)
            except IntegrityError:
                continue  # the same was agreed to for the first time twice at once, and there was no row to wait for
            return
        raise StoreUnavailable(f"a consent could not be kept in {TRIES} attempts")

    async def _give(self, connection: AsyncConnection, sub: str, client_id: str, scope: Iterable[str]) -> None:
        mine = (consents.c.sub == sub) & (consents.c.client_id == client_id)
        wanted = sorted({AT_ALL, *scope})
        # Deleted first and in one order, so that two at once wait for each other.
        await connection.execute(delete(consents).where(mine, consents.c.scope.in_(wanted)))
        for each in wanted:
            await connection.execute(
                insert(consents).values(sub=sub, client_id=client_id, scope=each, given_at=self._database.time())
            )
