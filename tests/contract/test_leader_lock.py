"""One suite for everything that can say which replica leads."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from issuer.leadership import LeaderLock, LockUnavailable
from issuer.leadership.consul_lock import ConsulLock
from issuer.leadership.redis_lock import RedisLock
from issuer.leadership.store_lock import StoreLock
from issuer.store.database import Database
from issuer.store.migration import migrate
from tests.services.service import Service
from verifier_agent.clocks import SystemClock
from verifier_agent.consul import ConsulPlace
from verifier_agent.consul.connection import ConsulConnection
from verifier_agent.redis.connection import RedisConnection
from verifier_agent.redis.settings import RedisPlace

Locks = Callable[[str], LeaderLock]
SOON = 60.0
"""Seconds within which a lock of somebody who is gone is to be had; Consul may take twice its session's time."""


@pytest.fixture(params=["sqlite", "postgresql", "redis", "consul"])
async def locks(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Locks]:
    """The lock, as the process of a given name sees it."""
    async with AsyncExitStack() as stack:
        if request.param in ("sqlite", "postgresql"):
            url = f"sqlite:///{tmp_path / 'store.db'}"
            database = Database(url if request.param == "sqlite" else request.getfixturevalue("postgresql_url"))
            stack.push_async_callback(database.close)
            await migrate(database)
            yield lambda holder: StoreLock(database, holder)
            return
        server: Service = request.getfixturevalue("redis_server" if request.param == "redis" else "consul")

        def lock(holder: str) -> LeaderLock:
            if request.param == "redis":
                place = RedisPlace.parse(server.address)
                connection = RedisConnection(place, SystemClock(), answer_seconds=5.0)
                stack.push_async_callback(connection.close)
                return RedisLock(connection, f"https://{tmp_path.name}.example", SystemClock())
            consul = ConsulConnection(ConsulPlace.parse(f"{server.address}/{tmp_path.name.replace('_', '-')}"))
            stack.push_async_callback(consul.close)
            return ConsulLock(consul, holder)

        yield lock


async def test_one_holds_it_and_the_other_does_not(locks: Locks) -> None:
    one, other = locks("one"), locks("other")

    assert await one.held()
    assert not await other.held()
    assert await one.held(), "and keeps it by asking again"


async def test_of_many_who_ask_at_once_one_gets_it(locks: Locks) -> None:
    several = [locks(f"replica-{number}") for number in range(5)]

    held = await asyncio.gather(*(each.held() for each in several))

    assert sum(held) == 1


async def test_what_is_let_go_of_another_has_at_once(locks: Locks) -> None:
    one, other = locks("one"), locks("other")
    await one.held()

    await one.release()

    async with asyncio.timeout(SOON):
        while not await other.held():  # noqa: ASYNC110 - it is to be asked for
            await asyncio.sleep(0.2)
    assert not await one.held()
    await other.release()


async def test_letting_go_of_what_one_does_not_hold_does_nothing(locks: Locks) -> None:
    one, other = locks("one"), locks("other")
    await one.held()

    await other.release()
    await other.release()

    assert not await other.held()
    assert await one.held()


async def test_of_one_that_is_silent_another_gets_it(locks: Locks) -> None:
    one, other = locks("one"), locks("other")
    await one.held()

    async with asyncio.timeout(SOON):
        while not await other.held():  # noqa: ASYNC110 - it is to be asked for
            await asyncio.sleep(0.5)
    assert not await one.held()
    await other.release()


@pytest.mark.parametrize("kind", ["redis", "consul"])
async def test_what_does_not_answer_says_so(kind: str) -> None:
    one: LeaderLock
    if kind == "redis":
        redis = RedisConnection(RedisPlace.parse("redis://127.0.0.1:1"), SystemClock())
        one, closing = RedisLock(redis, "https://issuer.example", SystemClock()), redis.close
    else:
        consul = ConsulConnection(ConsulPlace.parse("http://127.0.0.1:1"))
        one, closing = ConsulLock(consul, "one"), consul.close
    with pytest.raises(LockUnavailable):
        await one.held()
    await closing()
