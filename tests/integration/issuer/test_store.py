"""The store's transactions: whole or not at all, and never in the way of others for longer than they last."""

import asyncio
import threading
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from sqlalchemy import select, update

from events import Revoke, Selector, Stream
from issuer.errors import StoreUnavailable, StoreUninitialised
from issuer.outbox.lease import RELAY
from issuer.store.database import Database
from issuer.store.migration import MIGRATION_SECONDS, check_version, migrate
from issuer.store.schema import leases, streams
from tests.issuer_under_test import Store, on_every_store
from tests.outbox_reader import numbers

TRIES = 100
LONGEST_WRITE_SECONDS = 0.004
LONGEST_OPENING_SECONDS = 0.005


@on_every_store
async def test_a_cancelled_transaction_takes_no_effect_and_does_not_keep_others_from_writing(store: Store) -> None:
    async def one_more() -> None:
        async with store.database.write() as connection:
            counted = update(leases).where(leases.c.name == RELAY).values(fence=leases.c.fence + 1)
            (await connection.execute(counted.returning(leases.c.fence))).scalar_one()
            (await connection.execute(counted.returning(leases.c.fence))).scalar_one()

    for attempt in range(TRIES):
        cancelled = asyncio.create_task(one_more())
        await asyncio.sleep(LONGEST_WRITE_SECONDS * attempt / TRIES)
        cancelled.cancel()
        with suppress(asyncio.CancelledError):
            await cancelled
        await one_more()  # StoreUnavailable, if the cancelled one still held its lock

    async with store.database.read() as connection:
        fence: int = (await connection.execute(select(leases.c.fence).where(leases.c.name == RELAY))).scalar_one()
    assert fence % 2 == 0
    assert fence >= 2 * TRIES


@on_every_store
async def test_an_error_inside_a_transaction_takes_everything_back(store: Store) -> None:
    class Refused(Exception):
        pass

    before = await numbers(store.database, Stream.REVOCATIONS)

    async def decide_and_fail() -> None:
        async with store.database.write() as connection:
            await store.outbox.append(connection, Stream.REVOCATIONS, Revoke(selector=Selector(), expires_at=2e9))
            raise Refused

    with pytest.raises(Refused):
        await decide_and_fail()

    assert await numbers(store.database, Stream.REVOCATIONS) == before
    async with store.database.read() as connection:
        heads = (await connection.execute(select(streams.c.head).where(streams.c.stream == "revocations"))).scalars()
        assert heads.one() == before[-1]


@on_every_store
async def test_several_processes_may_make_the_tables_at_once(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("issuer.store.database.BUSY_SECONDS", MIGRATION_SECONDS)  # three wait for each other's disk
    async with AsyncExitStack() as stack:
        databases = [Database(store_url) for _ in range(4)]
        for database in databases:
            stack.push_async_callback(database.close)

        await asyncio.gather(*(migrate(database) for database in databases))
        await asyncio.gather(*(check_version(database) for database in databases))


@on_every_store
async def test_a_store_without_tables_is_named_as_such_with_what_to_do(store_url: str) -> None:
    database = Database(store_url)

    with pytest.raises(StoreUninitialised, match="tocsin init"):
        await check_version(database)

    await database.close()


async def test_a_store_that_is_not_there_is_unavailable_and_the_message_holds_no_password(tmp_path: object) -> None:
    for url in (f"sqlite:///{tmp_path}/no/such/folder/store.db", "postgresql://tocsin:S3cret@127.0.0.1:1/tocsin"):
        database = Database(url)
        with pytest.raises(StoreUnavailable) as unavailable:
            await check_version(database)
        assert "S3cret" not in str(unavailable.value)
        await database.close()


@on_every_store
async def test_the_stores_clock_is_that_of_the_epoch_and_does_not_go_back(store: Store) -> None:
    times = []
    for _ in range(20):
        async with store.database.write() as connection:
            before = (await connection.execute(select(store.database.time_before_reading()))).scalar_one()
            times += [before, (await connection.execute(select(store.database.time()))).scalar_one()]

    assert times == sorted(times)
    assert abs(times[-1] - time.time()) < 3600


@pytest.mark.parametrize("times", [1, 2])
async def test_a_connection_cancelled_while_it_opens_is_closed(tmp_path: Path, times: int) -> None:
    others = set(_connection_threads())  # of issuers that run for a whole module
    for attempt in range(TRIES):
        database = Database(f"sqlite:///{tmp_path}/store.db")
        cancelled = asyncio.create_task(_read(database))
        await asyncio.sleep(LONGEST_OPENING_SECONDS * attempt / TRIES)
        for _ in range(times):
            cancelled.cancel()
            await asyncio.sleep(0)
        with suppress(asyncio.CancelledError):
            await cancelled
        await database.close()

    for thread in set(_connection_threads()) - others:
        thread.join(5)
        assert not thread.is_alive()


async def test_a_connection_that_does_not_open_leaves_nothing_that_would_answer_a_closed_loop(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/no/such/folder/store.db")
    others = set(_connection_threads())  # of earlier tests, about to end

    for _ in range(TRIES):
        with pytest.raises(StoreUnavailable):
            await _read(database)
        assert set(_connection_threads()) <= others

    await database.close()


@on_every_store
async def test_a_store_is_closed_when_those_who_have_a_connection_are_done_and_gives_none_afterwards(
    store: Store,
) -> None:
    database = store.beside().database
    entered, leave = asyncio.Event(), asyncio.Event()

    async def reading() -> None:
        async with database.read() as connection:
            entered.set()
            await leave.wait()
            await connection.execute(select(1))

    reader = asyncio.create_task(reading())
    await entered.wait()
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="closed"):
        await _read(database)
    assert not closing.done()

    leave.set()
    await reader
    await closing


async def _read(database: Database) -> None:
    async with database.read() as connection:
        await connection.execute(select(1))


def _connection_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "_connection_worker_thread" in thread.name]
