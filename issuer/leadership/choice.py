"""Which lock says who leads, as the settings have it."""

from contextlib import AsyncExitStack

from issuer.leadership.leader_lock import LeaderLock
from issuer.leadership.store_lock import StoreLock
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from verifier_agent import SettingInvalid
from verifier_agent.clocks import Clock
from verifier_agent.hot.following import Following


def leader_lock(
    settings: IssuerSettings,
    database: Database,
    holder: str,
    clock: Clock,
    followed: Following | None,
    stack: AsyncExitStack,
) -> LeaderLock:
    """The lock that ``leader_lock`` names; what it opens is closed with ``stack``.

    Raises:
        SettingInvalid: it needs what is not set, or not installed.
    """
    if settings.leader_lock == "consul":
        if followed is None or followed.consul is None:
            raise SettingInvalid("setting 'leader_lock' is consul, and the setting 'consul' names none")
        from issuer.leadership.consul_lock import ConsulLock

        return ConsulLock(followed.consul, holder)
    if settings.leader_lock == "redis":
        try:
            from issuer.leadership.redis_lock import RedisLock
            from verifier_agent.redis.connection import RedisConnection
            from verifier_agent.redis.settings import RedisPlace
        except ImportError as error:
            raise SettingInvalid("setting 'leader_lock' is redis: install tocsin[redis]") from error
        connection = RedisConnection(RedisPlace.parse(settings.redis or ""), clock)
        stack.push_async_callback(connection.close)
        return RedisLock(connection, settings.issuer, clock)
    return StoreLock(database, holder)
