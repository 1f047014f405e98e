"""Asking Redis within a stated time, behind a breaker. Nothing that verifies a token asks it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import redis

from verifier_agent.clocks import Clock
from verifier_agent.errors import StoreUnavailable
from verifier_agent.redis.breaker import Breaker, BreakerState
from verifier_agent.redis.servers import Command, Servers, connect_seconds, servers_at
from verifier_agent.redis.settings import Deployment, RedisPlace

log = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 0.05
DISCOVERY_SECONDS: Final = 1.0
"""To ask sentinels, or a cluster's nodes, who has what; some of them may hang."""
BULK_ANSWER_SECONDS: Final = 0.5
BULK_SECONDS: Final = 5.0
"""To read or write a whole snapshot, in pieces each of which is answered within ``BULK_ANSWER_SECONDS``."""
MAX_TEXT: Final = 200
UNREACHABLE: Final = (redis.RedisError, OSError, RuntimeError)
"""The last is uvloop's word for a connection that has been closed under a writer's hands."""


class RedisRefused(StoreUnavailable):
    """Redis answered with an error (code ``refused``)."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, "refused")


class RedisConnection:
    """Redis, to be asked by several; each call ends within its budget.

    A call of an open connection waits for ``answer_seconds``; one that has to connect first, for ``connect_seconds``
    more; and where servers have to be found, for ``DISCOVERY_SECONDS`` on top of that.

    Attributes:
        place: where it is.
        breaker: whether it is asked at all.
        calls: how often it was asked.
    """

    def __init__(
        self,
        place: RedisPlace,
        clock: Clock,
        *,
        answer_seconds: float = ANSWER_SECONDS,
        breaker: Breaker | None = None,
    ) -> None:
        """Set up; nothing is connected yet.

        Args:
            place: where it is.
            clock: its boot-time clock is the one for the breaker.
            answer_seconds: how long one answer may take.
            breaker: closed; by default one with the usual pauses.
        """
        self.place = place
        self.breaker = breaker or Breaker()
        self.calls = 0
        self._clock = clock
        self._servers = servers_at(place, answer_seconds)
        self._budget = answer_seconds + connect_seconds(answer_seconds)
        if place.deployment is not Deployment.SINGLE:
            self._budget += DISCOVERY_SECONDS
        self._is_suspect = False

    @property
    def budget(self) -> float:
        """The most seconds that a call takes."""
        return self._budget

    async def ask(self, *commands: Command, node: object = None) -> list[Any]:
        """Send commands in one go and wait for their answers.

        Args:
            commands: names and arguments; a cluster wants the keys of each to lie in one slot.
            node: one of ``BulkCalls.nodes``, for commands without keys.

        Raises:
            StoreUnavailable: it did not answer in time, cannot be reached, or the breaker is open.
            RedisRefused: an answer is an error.
        """
        return await self._call(self._servers, commands, self._budget, node)

    @asynccontextmanager
    async def bulk(self, seconds: float = BULK_SECONDS) -> AsyncIterator["BulkCalls"]:
        """A connection for the occasion, for what takes longer.

        Args:
            seconds: that all calls on it may take together.
        """
        servers = servers_at(self.place, BULK_ANSWER_SECONDS)
        try:
            yield BulkCalls(self, servers, self._clock.boot() + seconds)
        finally:
            await _close(servers)

    async def close(self) -> None:
        """Close all connections."""
        await _close(self._servers)

    async def _call(self, servers: Servers, commands: Sequence[Command], budget: float, node: object) -> list[Any]:
        if not self.breaker.admit(self._clock.boot()):
            raise StoreUnavailable("Redis failed a moment ago and is not asked", "not_asked")
        self.calls += 1
        try:
            answers = await self._within(servers, commands, budget, node)
        except (TimeoutError, redis.TimeoutError) as error:
            self._failed(error, timed_out=True)
            raise StoreUnavailable("Redis did not answer in time", "timeout") from None
        except UNREACHABLE as error:
            self._failed(error)
            raise StoreUnavailable(f"Redis cannot be reached: {self._text(error)}", "unreachable") from None
        except BaseException:  # cancelled, or a fault of the library
            self.breaker.abandoned()
            raise
        return self._checked(answers)

    async def _within(self, servers: Servers, commands: Sequence[Command], budget: float, node: object) -> list[Any]:
        task = asyncio.current_task()
        cancelled = task.cancelling() if task else 0
        async with asyncio.timeout(budget):
            if self._is_suspect and servers is self._servers:
                self._is_suspect = False
                await servers.begin_anew()
            answers = await servers.send(commands, node)
        if task and task.cancelling() > cancelled:
            raise asyncio.CancelledError  # Python 3.11's wait_for, which redis-py sends with, may swallow it
        return answers

    def _checked(self, answers: list[Any]) -> list[Any]:
        """The answers, unless one is an error; some errors are of the server, others of what was asked."""
        error = next((answer for answer in answers if isinstance(answer, Exception)), None)
        if error is None or type(error) is redis.ResponseError:
            self._succeeded()
        elif isinstance(error, redis.TimeoutError):  # by a cluster's pipeline these come among the answers
            self._failed(error, timed_out=True)
        else:  # out of memory, read-only, loading, no permission …
            self._failed(error)
        if error is not None:
            raise RedisRefused(f"Redis refused: {self._text(error)}")
        return answers

    def _succeeded(self) -> None:
        if self.breaker.state is BreakerState.HALF_OPEN:
            log.info("redis_is_back")
        self.breaker.succeeded()

    def _failed(self, error: BaseException, *, timed_out: bool = False) -> None:
        was = self.breaker.state
        self.breaker.failed(self._clock.boot(), timed_out=timed_out)
        self._is_suspect = True
        if was is BreakerState.CLOSED and self.breaker.state is BreakerState.OPEN:
            log.warning("redis_is_away", extra={"error": self._text(error)})

    def _text(self, error: BaseException) -> str:
        """What an error says, without a secret that it may quote."""
        text = f"{type(error).__name__}: {error}"
        place = self.place
        for secret in (place.password, place.sentinel_password):
            if secret is not None:
                text = text.replace(secret.reveal(), "…")
        return text[:MAX_TEXT]


class BulkCalls:
    """Calls that share one budget."""

    def __init__(self, connection: RedisConnection, servers: Servers, deadline: float) -> None:
        self._connection = connection
        self._servers = servers
        self._deadline = deadline

    async def ask(self, *commands: Command, node: object = None) -> list[Any]:
        """See ``RedisConnection.ask``; it takes what is left of the common budget at most."""
        connection = self._connection
        left = max(0.0, self._deadline - connection._clock.boot())  # noqa: SLF001 - of one module, for one another
        return await connection._call(self._servers, commands, left, node)  # noqa: SLF001

    async def nodes(self) -> Sequence[object]:
        """Whom to ask in turn for what concerns all keys.

        Raises:
            StoreUnavailable: see ``RedisConnection.ask``.
        """
        connection = self._connection
        try:
            async with asyncio.timeout(connection.budget):
                return await self._servers.nodes()
        except UNREACHABLE as error:  # TimeoutError is an OSError
            raise StoreUnavailable(f"Redis cannot be reached: {connection._text(error)}", "unreachable") from None  # noqa: SLF001


async def _close(servers: Servers) -> None:
    try:
        async with asyncio.timeout(DISCOVERY_SECONDS):
            await servers.close()
    except UNREACHABLE as error:
        log.debug("redis_not_closed", extra={"error": type(error).__name__})
