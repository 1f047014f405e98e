"""An agent's part in Redis, with a simulated issuer behind it, on the clocks of this machine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from events import token_digest
from tests.simulator import FakeClock, IssuerSimulator, Listener
from verifier_agent.clocks import SystemClock
from verifier_agent.redis.connection import RedisConnection
from verifier_agent.redis.deny_entries import names
from verifier_agent.redis.deny_list import DenyList
from verifier_agent.redis.keys import RedisKeys
from verifier_agent.redis.lease import RedisLease
from verifier_agent.redis.settings import RedisPlace
from verifier_agent.redis.state_store import RedisStateStore

PATIENT: Final = 5.0
"""Seconds for an answer, where a test is about something else: this machine may be busy."""
BEAT_SECONDS: Final = 0.5
EVENTUALLY_SECONDS: Final = 60.0


class LiveClock(FakeClock):
    """The clocks of this machine, until a test moves them."""

    def __init__(self) -> None:
        super().__init__(0.0, 0.0)
        self._system = SystemClock()

    def now(self) -> float:
        """Wall clock, seconds since the epoch."""
        return self.wall + self._system.now()

    def boot(self) -> float:
        """Boot-time clock, seconds."""
        return self.uptime + self._system.boot()


def issuer_of_today(name: str = "https://issuer.example") -> IssuerSimulator:
    """A simulated issuer in this time."""
    return IssuerSimulator(name, clock=LiveClock())


class Writer:
    """What one agent has of Redis.

    Attributes:
        listener: what the agent knows.
    """

    def __init__(
        self,
        url: str,
        issuer: IssuerSimulator,
        *,
        answer_seconds: float = PATIENT,
        lease_seconds: float = 6.0,
        prefix: str = "tocsin:",
        deny_list_prefix: str = "",
    ) -> None:
        self.listener = Listener.caught_up(issuer)
        self.clock = SystemClock()
        self.keys = RedisKeys(prefix, issuer.issuer)
        self.connection = RedisConnection(RedisPlace.parse(url), self.clock, answer_seconds=answer_seconds)
        self.lease = RedisLease(self.connection, self.keys, self.clock, seconds=lease_seconds)
        self.store = RedisStateStore(self.connection, self.keys, self.lease)
        self.deny_list = DenyList(
            *(self.connection, self.keys, self.lease, self.clock, lambda: self.listener.verifier.state),
            prefix=deny_list_prefix,
        )

    async def run(self) -> None:
        """Keep the deny-list, and hear a heartbeat now and then."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.deny_list.run())
            while True:
                self.listener.hear(self.listener.issuer.beat())
                await asyncio.sleep(BEAT_SECONDS)

    async def close(self) -> None:
        """Let go of everything."""
        await self.store.close()
        await self.connection.close()


@asynccontextmanager
async def writing(url: str, issuer: IssuerSimulator, **options: Any) -> AsyncIterator[Writer]:
    """A writer for a while; nothing runs by itself."""
    writer = Writer(url, issuer, **options)
    try:
        yield writer
    finally:
        await writer.close()


@asynccontextmanager
async def running(work: Awaitable[None]) -> AsyncIterator[None]:
    """Something that runs until the end of the block."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def eventually(check: Callable[[], Awaitable[bool] | bool]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(EVENTUALLY_SECONDS):
        while True:
            held = check()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def asking(url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of the test's own."""
    parts = urlsplit(url)
    client = redis.asyncio.Redis(
        host=parts.hostname or "",
        port=parts.port or 0,
        socket_timeout=PATIENT,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
    )
    try:
        yield client
    finally:
        await client.aclose()


def entries_of(*tokens: str, prefix: str = "") -> list[str]:
    """All entries that stand for tokens."""
    return [name for token in tokens for name in names(prefix, token_digest(token))]
