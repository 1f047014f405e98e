"""A relay on a real store, and a log that fails in the ways that a test asks for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from sqlalchemy import update

from events import KeySet, LogUnavailable, Revoke, Selector, SignedEvent, Stream
from events.log import Entry
from events.log.memory import MemoryLog
from issuer.outbox.lease import LEASE_SECONDS, RELAY
from issuer.outbox.relay import Relay
from issuer.store.schema import leases
from tests.issuer_under_test import Store, raw_events
from tests.outbox_reader import counter, texts
from verifier_agent import Verifier
from verifier_agent.clocks import SystemClock

FAR = 4e9
SEQUENCED = (Stream.KEYS, Stream.REVOCATIONS)


class TakenBack(Exception):
    """Ends a transaction without effect."""


class FragileLog:
    """A log in memory that is away, or hangs before or after it has taken something, when a test says so."""

    def __init__(self, inner: MemoryLog | None = None) -> None:
        self.inner = inner or MemoryLog()
        self.away = False
        self.before_append: Callable[[Stream], Awaitable[object]] | None = None
        self.after_append: Callable[[Stream], Awaitable[object]] | None = None

    async def append(self, stream: Stream, events: Sequence[bytes]) -> None:
        self._check()
        if self.before_append:
            await self.before_append(stream)
        await self.inner.append(stream, events)
        if self.after_append:
            await self.after_append(stream)

    async def read(self, after: Mapping[Stream, int | None], *, wait: float, limit: int = 1000) -> list[Entry]:
        self._check()
        return await self.inner.read(after, wait=wait, limit=limit)

    async def head(self, stream: Stream) -> int | None:
        self._check()
        return await self.inner.head(stream)

    async def check(self) -> list[str]:
        self._check()
        return []

    async def close(self) -> None:
        pass

    def _check(self) -> None:
        if self.away:
            raise LogUnavailable("away, as the test says")


class Hangs:
    """Holds up appends to one stream until it is told to let them go."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.reached = asyncio.Event()
        self.let_go = asyncio.Event()

    async def __call__(self, stream: Stream) -> None:
        if stream is self._stream:
            self.reached.set()
            await self.let_go.wait()


class PartsSlowly:
    """Holds up heartbeats, and when they are cancelled their end, until it is told to let it go."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.let_go = asyncio.Event()

    async def __call__(self, stream: Stream) -> None:
        if stream is Stream.HEARTBEATS:
            self.reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()
                await self.let_go.wait()


def relay_of(store: Store, event_log: FragileLog, holder: str = "one") -> Relay:
    return Relay(store.database, store.outbox, event_log, store.opener, holder, SystemClock())


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[Relay]:
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        await kill(task)


async def kill(task: asyncio.Task[None]) -> None:
    """End a relay's task as the end of its process would."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def decide(
    store: Store, name: str = "alice", *, expires_at: float = FAR, relay: Relay | None = None
) -> SignedEvent:
    async with store.database.write() as connection:
        record = Revoke(selector=Selector.of(sub=name), expires_at=expires_at)
        event = await store.outbox.append(connection, Stream.REVOCATIONS, record)
    if relay is not None:
        relay.offer(event)
    return event


async def logged(event_log: FragileLog, stream: Stream = Stream.REVOCATIONS) -> list[bytes]:
    return await raw_events(event_log.inner, stream)


async def is_level(store: Store, event_log: FragileLog) -> bool:
    """Whether the log has everything that was decided, once, in order, and the mark says so."""
    for stream in SEQUENCED:
        now = await counter(store.database, stream)
        if now.published != now.head or await logged(event_log, stream) != await texts(store.database, stream):
            return False
    return True


async def mark(store: Store) -> int:
    return (await counter(store.database, Stream.REVOCATIONS)).published


async def give_the_lease_to_another(store: Store) -> None:
    """As if it had run out, and another process had been first; at once, or its holder may renew it in between."""
    taken = {"holder": "another", "fence": leases.c.fence + 1, "expires_at": store.database.time() + LEASE_SECONDS}
    async with store.database.write() as connection:
        await connection.execute(update(leases).where(leases.c.name == RELAY).values(taken))


async def fresh(store: Store, event_log: FragileLog) -> bool:
    """Whether an agent that starts now finds everything in the log."""
    verifier = Verifier(store.trust)
    for stream in (*SEQUENCED, Stream.HEARTBEATS):
        for raw in await logged(event_log, stream):
            verifier.apply(stream, raw)
    return verifier.state.freshness.covered is not None and not verifier.state.holes()


def any_record(stream: Stream) -> KeySet | Revoke:
    """Something that may be said on the stream."""
    return KeySet(keys=()) if stream is Stream.KEYS else Revoke(selector=Selector(), expires_at=FAR)
