"""Which running issuers hold which key-encryption keys, by their own word in the store.

A row that is sealed anew must open everywhere: an issuer that does not hold its key-encryption key could not sign after
the next rotation.
"""

import logging
import os
import socket
from typing import Final

import msgspec
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from issuer.keys.wrapping import Wrappers
from issuer.store.database import Database
from issuer.store.schema import kek_holders

log = logging.getLogger(__name__)

SILENT_SECONDS: Final = 120.0
"""After so long an issuer that said nothing is gone; each says it every 30 seconds, and takes its word back when it
stops."""
MAX_NAME: Final = 128


class KekHolder(msgspec.Struct, frozen=True, kw_only=True):
    """A running issuer.

    Attributes:
        name: host and process.
        kek_ids: those that it can open rows of; the first is the one it seals with.
    """

    name: str
    kek_ids: tuple[str, ...]


class KekHolders:
    """Says for one issuer what it holds."""

    def __init__(self, database: Database, wrappers: Wrappers, holder: str) -> None:
        """Set up.

        Args:
            database: where it is said.
            wrappers: what this issuer holds.
            holder: tells this issuer from all others.
        """
        self._database = database
        self._wrappers = wrappers
        self._holder = holder
        self._warned: set[str] = set()

    async def say(self) -> None:
        """Say it now, and warn of issuers that could not open what this one seals.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        now = self._database.time()
        told = {"kek_ids": list(self._wrappers.kek_ids), "said_at": now}
        async with self._database.write() as connection:
            await connection.execute(delete(kek_holders).where(kek_holders.c.said_at < now - SILENT_SECONDS))
            mine = kek_holders.c.holder == self._holder
            if not (await connection.execute(update(kek_holders).where(mine).values(**told))).rowcount:
                name = f"{socket.gethostname()}:{os.getpid()}"[:MAX_NAME]
                await connection.execute(insert(kek_holders).values(holder=self._holder, name=name, **told))
            ignorant = await without(connection, self._database, self._wrappers.current.kek_id)
        for each in set(ignorant) - self._warned:
            log.warning("kek_unknown_elsewhere", extra={"kek_id": self._wrappers.current.kek_id, "issuer": each})
        self._warned = set(ignorant)

    async def take_back(self) -> None:
        """Say that this issuer has stopped.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        async with self._database.write() as connection:
            await connection.execute(delete(kek_holders).where(kek_holders.c.holder == self._holder))


async def running_holders(connection: AsyncConnection, database: Database) -> list[KekHolder]:
    """The issuers that run, by name."""
    query = (
        select(kek_holders.c.name, kek_holders.c.kek_ids)
        .where(kek_holders.c.said_at > database.time() - SILENT_SECONDS)
        .order_by(kek_holders.c.name)
    )
    rows = (await connection.execute(query)).mappings()
    return [KekHolder(name=row["name"], kek_ids=tuple(row["kek_ids"])) for row in rows]


async def without(connection: AsyncConnection, database: Database, kek_id: str) -> list[str]:
    """The issuers that run and cannot open what is sealed with a key-encryption key."""
    return [each.name for each in await running_holders(connection, database) if kek_id not in each.kek_ids]
