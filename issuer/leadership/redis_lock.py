"""The lock as a lease in Redis. Redis may lose it: the epoch in the store is what counts."""

from issuer.leadership.leader_lock import LockUnavailable
from verifier_agent.clocks import Clock
from verifier_agent.errors import StoreUnavailable
from verifier_agent.redis.connection import RedisConnection
from verifier_agent.redis.keys import RedisKeys
from verifier_agent.redis.lease import LEASE_SECONDS, RedisLease


class RedisLock:
    """See ``LeaderLock``."""

    def __init__(self, connection: RedisConnection, issuer: str, clock: Clock, prefix: str = "tocsin:leader:") -> None:
        """Set up; nothing is connected yet.

        Args:
            connection: to Redis.
            issuer: whose replicas they are.
            clock: of this machine.
            prefix: before its keys.
        """
        self.seconds = LEASE_SECONDS
        self._lease = RedisLease(connection, RedisKeys(prefix, issuer), clock)

    async def held(self) -> bool:
        """See ``LeaderLock``."""
        try:
            return await self._lease.held() is not None
        except StoreUnavailable as error:
            raise LockUnavailable(str(error)) from error

    async def release(self) -> None:
        """See ``LeaderLock``."""
        try:
            await self._lease.release()
        except StoreUnavailable as error:
            raise LockUnavailable(str(error)) from error
