"""The lease of the relay: one holder, by the store's clock, and a number that fences off those before."""

import asyncio

from sqlalchemy import select, update

from issuer.outbox.lease import LEASE_SECONDS, RELAY, Lease
from issuer.store.schema import leases
from tests.issuer_under_test import Store, on_every_store


def lease(store: Store, holder: str) -> Lease:
    return Lease(store.beside().database, RELAY, holder)


async def let_it_run_out(store: Store) -> None:
    """As if ``LEASE_SECONDS`` had passed on the store's clock since it was renewed."""
    async with store.database.write() as connection:
        sooner = leases.c.expires_at - LEASE_SECONDS
        await connection.execute(update(leases).where(leases.c.name == RELAY).values(expires_at=sooner))


async def seconds_left(store: Store) -> float:
    async with store.database.write() as connection:
        left = select(leases.c.expires_at - store.database.time()).where(leases.c.name == RELAY)
        return float((await connection.execute(left)).scalar_one())


@on_every_store
async def test_one_holds_it_and_the_others_wait(store: Store) -> None:
    mine, theirs = lease(store, "mine"), lease(store, "theirs")

    assert await mine.acquire() == 1
    assert await theirs.acquire() is None


async def test_whoever_renews_keeps_the_number(store: Store) -> None:
    mine = lease(store, "mine")

    assert [await mine.acquire() for _ in range(3)] == [1, 1, 1]


@on_every_store
async def test_it_ends_by_the_stores_clock_and_who_takes_over_has_a_higher_number(store: Store) -> None:
    mine, theirs = lease(store, "mine"), lease(store, "theirs")
    await mine.acquire()
    await let_it_run_out(store)

    assert await theirs.acquire() == 2
    assert await mine.acquire() is None


async def test_whoever_comes_back_too_late_has_a_new_number_even_if_nobody_else_came(store: Store) -> None:
    mine = lease(store, "mine")
    before = await mine.acquire()
    await let_it_run_out(store)

    assert before is not None
    assert await mine.acquire() == before + 1


async def test_each_renewal_makes_it_last_as_long_as_the_first_time(store: Store) -> None:
    mine = lease(store, "mine")
    for _ in range(3):
        await mine.acquire()
        assert 0 < await seconds_left(store) <= LEASE_SECONDS


async def test_who_lets_go_need_not_be_waited_for(store: Store) -> None:
    mine, theirs = lease(store, "mine"), lease(store, "theirs")
    await mine.acquire()
    await mine.release()

    assert await theirs.acquire() == 2


async def test_nobody_lets_go_of_what_another_holds(store: Store) -> None:
    mine, theirs = lease(store, "mine"), lease(store, "theirs")
    await mine.acquire()

    await theirs.release()

    assert await theirs.acquire() is None


@on_every_store
async def test_of_many_who_want_it_at_once_one_gets_it(store: Store) -> None:
    candidates = [lease(store, f"candidate-{number}") for number in range(8)]

    fences = await asyncio.gather(*(candidate.acquire() for candidate in candidates))

    assert sorted(fence for fence in fences if fence is not None) == [1]


@on_every_store
async def test_of_many_who_want_it_when_it_runs_out_one_gets_it(store: Store) -> None:
    await lease(store, "gone").acquire()
    await let_it_run_out(store)
    candidates = [lease(store, f"candidate-{number}") for number in range(8)]

    fences = await asyncio.gather(*(candidate.acquire() for candidate in candidates))

    assert sorted(fence for fence in fences if fence is not None) == [2]


async def test_a_lease_from_before_the_stores_clock_was_put_back_holds_nobody_up(store: Store) -> None:
    mine, theirs = lease(store, "mine"), lease(store, "theirs")
    before = await mine.acquire()
    async with store.database.write() as connection:
        await connection.execute(update(leases).values(expires_at=leases.c.expires_at + 3600))

    assert before is not None
    assert await theirs.acquire() == before + 1
