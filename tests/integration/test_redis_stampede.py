"""A thousand agents that share a real Redis, at a snapshot that is missing there: one of them asks the issuer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.redis_under_test import LiveClock, issuer_of_today
from tests.sealed import sealed_snapshot
from tests.services.service import Service
from tests.simulator import IssuerSimulator, Listener
from verifier_agent.redis.connection import RedisConnection
from verifier_agent.redis.keys import RedisKeys
from verifier_agent.redis.lease import RedisLease
from verifier_agent.redis.settings import RedisPlace
from verifier_agent.redis.state_store import RedisStateStore
from verifier_agent.saved import SealedSnapshot
from verifier_agent.saved.keeper import SNAPSHOT_SECONDS, Keeper

AGENTS = 1000
CONNECTIONS = 20
"""Which the agents of a test share: what each would do is the same on one of its own."""
PATIENT = 60.0
LEASE_SECONDS = 120.0
"""Longer than a busy machine takes for all of them."""


class Source:
    """The issuer's ``GET /snapshot``, slow enough for everybody to come while one is being made."""

    def __init__(self, issuer: IssuerSimulator) -> None:
        self.asked = 0
        self._issuer = issuer

    async def fetch(self) -> SealedSnapshot:
        """See ``SnapshotSource``."""
        self.asked += 1
        await asyncio.sleep(0.5)
        return sealed_snapshot(self._issuer)


class Fleet:
    """What a thousand agents have of Redis; what they know they share."""

    def __init__(self, url: str, issuer: IssuerSimulator, source: Source, stack: AsyncExitStack) -> None:
        self.clock = LiveClock()
        self._issuer = issuer
        self._source = source
        self._verifier = Listener.caught_up(issuer).verifier
        self._connections = [
            RedisConnection(RedisPlace.parse(url), self.clock, answer_seconds=PATIENT) for _ in range(CONNECTIONS)
        ]
        for connection in self._connections:
            stack.push_async_callback(connection.close)
        self.keepers = [self._keeper(number) for number in range(AGENTS)]

    def _keeper(self, number: int) -> Keeper:
        connection, keys = self._connections[number % CONNECTIONS], RedisKeys("tocsin:", self._issuer.issuer)
        lease = RedisLease(connection, keys, self.clock, seconds=LEASE_SECONDS)
        store = RedisStateStore(connection, keys, lease)
        return Keeper("redis", store, self._verifier, self.clock, source=self._source, max_age=10 * SNAPSHOT_SECONDS)

    async def save(self) -> int:
        """All at once; how many may."""
        return sum(await asyncio.gather(*(keeper.try_to_save() for keeper in self.keepers)))


@pytest.fixture
def issuer(request: pytest.FixtureRequest) -> IssuerSimulator:
    """One for each test, so that none sees another's keys."""
    return issuer_of_today(f"https://{request.node.name}.example")


@pytest.fixture
def source(issuer: IssuerSimulator) -> Source:
    """Of its snapshots."""
    return Source(issuer)


@pytest.fixture
async def fleet(
    redis_server: Service, issuer: IssuerSimulator, source: Source, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Fleet]:
    """Agents that have just started, with nothing in Redis. They have one processor, and so more time than usual."""
    monkeypatch.setattr("verifier_agent.redis.connection.BULK_ANSWER_SECONDS", PATIENT)
    async with AsyncExitStack() as stack:
        yield Fleet(redis_server.address, issuer, source, stack)


async def test_a_thousand_agents_at_a_missing_snapshot_cost_one_load_and_find_it_afterwards(
    fleet: Fleet, issuer: IssuerSimulator, source: Source
) -> None:
    assert await fleet.save() == 1
    assert source.asked == 1

    saved = await fleet.keepers[-1]._store.load()
    assert saved.snapshot is not None
    started = Listener(issuer)
    now, boot = issuer.clock.now(), issuer.clock.boot()
    started.verifier.restore_sealed(saved.snapshot, now=now, boot=boot, max_age=SNAPSHOT_SECONDS)
    assert started.rejection(issuer.token()) is None


async def test_a_thousand_agents_at_a_snapshot_that_has_come_of_age_cost_one_load(fleet: Fleet, source: Source) -> None:
    await fleet.save()
    assert await fleet.save() == 1
    assert source.asked == 1, "the first is still new"
    fleet.clock.advance(2 * SNAPSHOT_SECONDS)

    assert await fleet.save() == 1
    assert source.asked == 2
