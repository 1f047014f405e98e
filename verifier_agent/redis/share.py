"""All that an agent does with Redis, in one object to own."""

import asyncio
import random
from collections.abc import Callable
from typing import Final

from verifier_agent.clocks import Clock
from verifier_agent.errors import SettingInvalid
from verifier_agent.issuer_state import IssuerState
from verifier_agent.redis.connection import ANSWER_SECONDS, BULK_ANSWER_SECONDS, RedisConnection
from verifier_agent.redis.deny_list import DenyList
from verifier_agent.redis.keys import RedisKeys
from verifier_agent.redis.lease import RedisLease
from verifier_agent.redis.settings import RedisPlace, check_prefix
from verifier_agent.redis.state_store import RedisStateStore
from verifier_agent.report import RedisReport

PREFIX: Final = "tocsin:"
WRITER_SECONDS: Final = 30.0
"""Who has not been up to date for so long lets another write."""


class RedisShare:
    """Snapshot, events and deny-list in Redis.

    Attributes:
        store: where the state is saved; a ``StateStore``.
        deny_list: entries for verifiers in other languages, if they are wanted.
    """

    def __init__(
        self,
        url: str,
        issuer: str,
        clock: Clock,
        state: Callable[[], IssuerState],
        *,
        prefix: str = PREFIX,
        deny_list: bool = True,
        deny_list_prefix: str = "",
        timeout: float = ANSWER_SECONDS,
    ) -> None:
        """Set up; nothing is connected yet.

        Args:
            url: setting ``redis``.
            issuer: whose events are followed.
            clock: the machine's, or a test's.
            state: what the agent knows now.
            prefix: setting ``redis_prefix``, before all keys but those of the deny-list.
            deny_list: setting ``redis_deny_list``, whether to write one.
            deny_list_prefix: setting ``redis_deny_list_prefix``, before its keys.
            timeout: setting ``redis_timeout``, seconds that an answer may take.

        Raises:
            SettingInvalid: one of them cannot be used.
        """
        check_prefix("redis_prefix", prefix)
        check_prefix("redis_deny_list_prefix", deny_list_prefix)
        if not 0 < timeout <= BULK_ANSWER_SECONDS:
            raise SettingInvalid(f"setting 'redis_timeout' must be more than 0 and at most {BULK_ANSWER_SECONDS:g} s")
        self._connection = RedisConnection(RedisPlace.parse(url), clock, answer_seconds=timeout)
        keys = RedisKeys(prefix, issuer)
        self._clock = clock
        self._state = state
        self._lease = RedisLease(self._connection, keys, clock, eligible=self._is_up_to_date)
        self.store = RedisStateStore(self._connection, keys, self._lease)
        self.deny_list: DenyList | None = None
        if deny_list:
            self.deny_list = DenyList(
                self._connection, keys, self._lease, clock, state, prefix=deny_list_prefix, chance=random.random
            )

    async def run(self) -> None:
        """Keep the lease, and the deny-list level, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._lease.keep(), name="tocsin-redis-lease")
            if self.deny_list is not None:
                tasks.create_task(self.deny_list.run(), name="tocsin-deny-list")

    def wake(self) -> None:
        """Something has been applied; to be called on the event loop."""
        if self.deny_list is not None:
            self.deny_list.wake()

    def status(self) -> RedisReport:
        """How it stands."""
        return RedisReport(
            breaker=str(self._connection.breaker.state),
            failures=self._connection.breaker.failures,
            writes=self._lease.is_held,
            saved=self.store.written,
            left_out=self.store.left_out,
            deny_list_level=None if self.deny_list is None else self.deny_list.is_level,
            deny_list_owner=None if self.deny_list is None else self.deny_list.owner,
        )

    def _is_up_to_date(self) -> bool:
        age = self._state().freshness.age(self._clock.now(), self._clock.boot())
        return age is not None and age <= WRITER_SECONDS

    async def close(self) -> None:
        """Let another write, and close all connections; ``run`` is to be cancelled before."""
        await self.store.close()
        await self._connection.close()
