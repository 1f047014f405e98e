"""Who leads, and the epoch by which nobody acts who only thinks so.

A lock alone does not suffice: who is stopped longer than it lasts goes on when it wakes up, and believes in it still.
So whoever gets the lock opens an epoch in the store, one higher than any before, and everything that a leader does
names its epoch in its own transaction. What is done under an older one does not commit (Kleppmann, 2016).
"""

import asyncio
import logging
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from issuer.errors import IssuerError
from issuer.leadership.leader_lock import LeaderLock, LockUnavailable
from issuer.store.database import Database
from issuer.store.schema import leases
from verifier_agent.clocks import Clock

log = logging.getLogger(__name__)

EPOCH: Final = "leader-epoch"


class LeadershipLost(IssuerError):
    """Another replica leads by now; nothing was done."""


class Leadership:
    """This replica's part in it.

    Attributes:
        epoch: ours while we lead, else ``None``.
        error: why the lock could not be asked for the last time, or ``None``.
    """

    def __init__(self, lock: LeaderLock, database: Database, holder: str, clock: Clock) -> None:
        """Set up; nobody leads yet.

        Args:
            lock: who holds it leads.
            database: has the epoch.
            holder: name of this process; no other has it.
            clock: its boot-time clock tells how long ago we asked.
        """
        self.epoch: int | None = None
        self.error: str | None = None
        self._lock = lock
        self._database = database
        self._holder = holder
        self._clock = clock
        self._until = 0.0

    @property
    def leads(self) -> bool:
        """Whether we did when we last asked, and that holds still."""
        return self.epoch is not None and self._clock.boot() < self._until

    async def look(self) -> bool:
        """Take or renew the lock; whether we lead.

        Raises:
            StoreUnavailable: the epoch could not be opened.
        """
        asked = self._clock.boot()  # reckoned from before, so that we never think it lasts longer than it does
        try:
            held = await self._lock.held()
        except LockUnavailable as error:
            if self.error is None:
                log.warning("leader_lock_unavailable", extra={"error": str(error)})
            self.error = str(error)
            return self.leads
        self.error = None
        if not held:
            self._step_down()
            return False
        self._until = asked + self._lock.seconds
        if self.epoch is None or not await self._is_newest():
            self.epoch = await self._open()
            log.info("leadership_taken", extra={"epoch": self.epoch})
        return self.leads

    async def confirm(self, connection: AsyncConnection) -> None:
        """Hold, in a transaction of the caller's, that we lead until that ends: nobody opens another epoch meanwhile.

        Raises:
            LeadershipLost: somebody else leads; the transaction must not be committed.
        """
        newest = select(leases.c.fence).where(leases.c.name == EPOCH, leases.c.holder == self._holder)
        found = (await connection.execute(newest.with_for_update())).scalar_one_or_none()
        if self.epoch is None or found != self.epoch:
            self._step_down()
            raise LeadershipLost("another replica leads by now; nothing was done")

    async def run(self) -> None:
        """Lead whenever it is our turn, until cancelled; then let another at once."""
        try:
            while True:
                try:
                    await self.look()
                except IssuerError as error:  # the store is away; it is logged where more depends on it
                    log.debug("leadership_unknown", extra={"error": str(error)})
                await asyncio.sleep(self._lock.seconds / 4)
        finally:
            await asyncio.shield(self._leave())

    async def _leave(self) -> None:
        self.epoch = None
        try:
            await self._lock.release()
        except LockUnavailable as error:
            log.info("leader_lock_not_released", extra={"error": str(error)})

    def _step_down(self) -> None:
        if self.epoch is not None:
            log.info("leadership_lost", extra={"epoch": self.epoch})
        self.epoch = None

    async def _is_newest(self) -> bool:
        query = select(leases.c.fence).where(leases.c.name == EPOCH, leases.c.holder == self._holder)
        async with self._database.read() as connection:
            return bool((await connection.execute(query)).scalar_one_or_none() == self.epoch)

    async def _open(self) -> int:
        statement = (
            update(leases)
            .where(leases.c.name == EPOCH)
            .values(fence=leases.c.fence + 1, holder=self._holder)
            .returning(leases.c.fence)
        )
        async with self._database.write() as connection:
            epoch: int = (await connection.execute(statement)).scalar_one()
        return epoch
