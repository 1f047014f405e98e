"""Logins are throttled by what the store has counted, for all replicas together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, literal, select
from sqlalchemy.sql.elements import ColumnElement

from issuer.errors import OAuthError
from issuer.store.database import Database
from issuer.store.schema import login_failures
from issuer.users import LoginThrottle, Passwords, UserStore
from issuer.users.login_queue import LoginQueue
from issuer.users.login_rule import ACCOUNT_FREE, ADDRESS_FREE, KNOWN_SECONDS, LoginRule
from tests.issuer_under_test import Store, on_every_store

RIGHT, WRONG = "correct horse", "battery staple"
HOME, OFFICE, ELSEWHERE = "192.0.2.1", "192.0.2.2", "198.51.100.9"
FREE = 3


class StoreClock:
    """The store's clock, set by a test."""

    def __init__(self) -> None:
        self.now = 1e9

    def time(self) -> ColumnElement[float]:
        return literal(self.now)


class Door:
    """Where users log in."""

    def __init__(self, database: Database, passwords: Passwords) -> None:
        self.clock = StoreClock()
        database.time = self.clock.time  # type: ignore[method-assign]
        self.throttle = LoginThrottle(database, LoginRule(FREE, 900))
        self.users = UserStore(database, passwords, self.throttle)

    async def tried(self, password: str, address: str | None = HOME, name: str = "alice") -> str:
        """What came of it: ``in``, ``wrong`` or ``wait``."""
        try:
            return "wrong" if await self.users.log_in(name, password, address=address) is None else "in"
        except OAuthError as error:
            return "wait" if error.status == 429 and error.retry_after else repr(error)

    async def fail(self, times: int, address: str | None, name: str = "alice") -> list[str]:
        return [await self.tried(WRONG, address, name) for _ in range(times)]


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[Door]:
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    door = Door(database, passwords)
    await door.users.add("alice", RIGHT)
    await door.users.add("bob", RIGHT)
    yield door
    passwords.close()


@pytest.fixture
async def door(store: Store) -> AsyncIterator[Door]:
    async with opened(store.database) as door:
        yield door


@on_every_store
async def test_after_the_free_failures_each_further_one_waits_for_longer(door: Door) -> None:
    assert await door.fail(FREE + 1, HOME) == ["wrong"] * FREE + ["wait"]
    assert await door.tried(RIGHT) == "wait", "the password is not even looked at"

    door.clock.now += 1
    assert await door.fail(2, HOME) == ["wrong", "wait"]
    door.clock.now += 1
    assert await door.tried(RIGHT) == "wait"
    door.clock.now += 1
    assert await door.tried(RIGHT) == "in"


@on_every_store
async def test_trying_on_while_one_must_wait_does_not_put_the_end_off(door: Door) -> None:
    await door.fail(FREE, HOME)
    for _ in range(20):
        door.clock.now += 0.04
        assert await door.tried(WRONG) == "wait"
    door.clock.now += 0.3

    assert await door.tried(RIGHT) == "in"


@on_every_store
async def test_of_many_that_come_at_once_no_more_are_looked_at_than_are_free(door: Door) -> None:
    outcomes = await asyncio.gather(*(door.tried(WRONG) for _ in range(30)))

    assert sorted(outcomes) == ["wait"] * (30 - FREE) + ["wrong"] * FREE


@asynccontextmanager
async def full(queue: LoginQueue) -> AsyncIterator[None]:
    """A line with one at work, and the one who may wait."""

    async def stand() -> None:
        async with queue.turn():
            pass

    async with queue.turn():
        waiting = asyncio.create_task(stand())
        await asyncio.sleep(0)
        yield
    await waiting


async def test_a_full_line_is_said_at_once_and_counts_against_nobody(door: Door) -> None:
    door.users.queue = LoginQueue(at_work=1, most_waiting=1)
    async with full(door.users.queue):
        outcomes = [await door.tried(WRONG) for _ in range(2 * FREE)]
    free_again = await door.fail(FREE, HOME)

    assert all("temporarily_unavailable" in outcome for outcome in outcomes)
    assert free_again == ["wrong"] * FREE


async def test_who_must_come_later_is_told_so_past_the_line(door: Door) -> None:
    await door.fail(FREE, HOME)
    door.users.queue = LoginQueue(at_work=1, most_waiting=1)
    async with full(door.users.queue):
        assert await door.tried(RIGHT) == "wait"


@on_every_store
async def test_another_replica_counts_on_where_this_one_was(door: Door, store: Store) -> None:
    await door.fail(FREE, HOME)
    other = LoginThrottle(store.database, LoginRule(FREE, 900))

    with pytest.raises(OAuthError) as refused:
        await other.begin("alice", HOME)

    assert refused.value.retry_after == pytest.approx(1.0)


@on_every_store
async def test_a_good_login_takes_back_its_own_attempt_and_not_those_of_strangers(door: Door) -> None:
    await door.fail(1, ELSEWHERE)
    for _ in range(5):
        assert await door.tried(RIGHT) == "in"

    async with door.users._database.read() as connection:
        counts = (await connection.execute(select(login_failures.c.count).order_by(login_failures.c.count))).scalars()
        # known here; the account's one failure; the stranger's own, by account and address
        assert [count for count in counts if count] == [1, 1, 1]


@on_every_store
async def test_what_is_past_is_forgotten_and_purged(door: Door) -> None:
    await door.fail(FREE, HOME)
    await door.tried(RIGHT, OFFICE)
    door.clock.now += KNOWN_SECONDS + 1
    assert await door.fail(FREE, HOME) == ["wrong"] * FREE

    await door.throttle.purge()

    async with door.users._database.read() as connection:
        left = (await connection.execute(select(func.count()).select_from(login_failures))).scalar_one()
    assert left == 3  # counted anew; the office is forgotten


async def test_a_name_that_does_not_exist_waits_like_one_that_does(door: Door) -> None:
    for name in ("alice", "nobody", "", "a\0b", "x" * 500):
        assert await door.fail(FREE + 1, f"address of {name[:8]}", name) == ["wrong"] * FREE + ["wait"]


async def test_names_that_are_one_account_are_counted_as_one(door: Door) -> None:
    assert [await door.tried(WRONG, HOME, name) for name in ("alice", " ALICE", "Alice ", "aLICE")] == [
        *["wrong"] * FREE,
        "wait",
    ]


async def test_without_an_address_the_account_alone_is_counted(door: Door) -> None:
    free = FREE * ACCOUNT_FREE
    assert await door.fail(free + 1, None) == ["wrong"] * free + ["wait"]
    assert await door.tried(RIGHT, None, "bob") == "in"


async def test_the_store_keeps_neither_names_nor_addresses_to_be_read(door: Door) -> None:
    await door.fail(2, ELSEWHERE)
    await door.tried(RIGHT, HOME)

    async with door.users._database.read() as connection:
        rows = (await connection.execute(select(login_failures))).mappings().all()
    text = repr([dict(row) for row in rows])
    assert rows
    for personal in ("alice", HOME, ELSEWHERE):
        assert personal not in text
        assert all(personal.encode() not in cast("bytes", row["name"]) for row in rows)


async def test_an_address_that_tries_one_password_on_many_names_must_wait(door: Door) -> None:
    free = FREE * ADDRESS_FREE
    outcomes = [await door.tried(WRONG, ELSEWHERE, f"user{number}") for number in range(free + 1)]

    assert outcomes == ["wrong"] * free + ["wait"]
    assert await door.tried(RIGHT, HOME) == "in"
