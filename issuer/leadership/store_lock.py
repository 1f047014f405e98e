"""The lock as a lease in the store: what is there when nothing else is."""

from typing import Final

from issuer.errors import StoreUnavailable
from issuer.leadership.leader_lock import LockUnavailable
from issuer.outbox.lease import LEASE_SECONDS, Lease
from issuer.store.database import Database

LOCK: Final = "leader"


class StoreLock:
    """See ``LeaderLock``."""

    def __init__(self, database: Database, holder: str) -> None:
        self.seconds = LEASE_SECONDS
        self._lease = Lease(database, LOCK, holder)

    async def held(self) -> bool:
        """See ``LeaderLock``."""
        try:
            return await self._lease.acquire() is not None
        except StoreUnavailable as error:
            raise LockUnavailable(str(error)) from error

    async def release(self) -> None:
        """See ``LeaderLock``."""
        try:
            await self._lease.release()
        except StoreUnavailable as error:
            raise LockUnavailable(str(error)) from error
