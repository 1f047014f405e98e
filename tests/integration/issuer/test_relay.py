"""The relay: everything that was decided goes to the log, in order, whoever dies and whoever else decides."""

import asyncio

import pytest

from events import EventOpener, KeySet, Stream
from issuer.outbox.lease import RELAY, Lease
from issuer.outbox.relay import RelayState
from tests.integration.issuer.relay_under_test import (
    FragileLog,
    Hangs,
    PartsSlowly,
    decide,
    give_the_lease_to_another,
    is_level,
    kill,
    logged,
    mark,
    relay_of,
    running,
)
from tests.issuer_under_test import ENOUGH_SECONDS, Store, on_every_store, until

pytestmark = pytest.mark.usefixtures("quick_relay")


@on_every_store
async def test_everything_decided_before_and_meanwhile_is_published_once_and_in_order(store: Store) -> None:
    event_log = FragileLog()
    for number in range(20):
        await decide(store, f"before-{number}")

    async with running(relay_of(store, event_log)) as relay:
        for number in range(20):
            await decide(store, f"meanwhile-{number}", relay=relay if number % 2 else None)

        await until(lambda: is_level(store, event_log), "log and store are level")
        assert relay.state is RelayState.PUBLISHING
        assert await relay.published(Stream.REVOCATIONS) == await mark(store)


async def test_more_than_a_batch_is_published_in_order(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("issuer.outbox.relay.BATCH", 3)
    event_log = FragileLog()
    for number in range(10):
        await decide(store, f"user-{number}")

    async with running(relay_of(store, event_log)):
        await until(lambda: is_level(store, event_log), "log and store are level")


@on_every_store
async def test_offers_in_any_order_and_offers_that_others_lie_between_are_published_in_order(store: Store) -> None:
    event_log = FragileLog()
    async with running(relay_of(store, event_log)) as relay:
        await until(lambda: is_level(store, event_log), "log and store are level")
        for _ in range(10):
            events = [await decide(store) for _ in range(5)]
            for event in (events[3], events[1], events[4]):  # the others were decided by another replica
                relay.offer(event)
        await until(lambda: is_level(store, event_log), "log and store are level")


async def test_what_another_replica_decides_is_published_while_this_one_is_busy(store: Store) -> None:
    event_log = FragileLog()
    async with running(relay_of(store, event_log)) as relay:
        await until(lambda: is_level(store, event_log), "log and store are level")

        async def be_busy() -> None:
            while True:
                await decide(store, relay=relay)
                await asyncio.sleep(0.002)

        busy = asyncio.create_task(be_busy())
        async with store.beside().database.write() as connection:
            event = await store.outbox.append(connection, Stream.KEYS, KeySet(keys=(), reason="by another replica"))

        async def is_published() -> bool:
            return event.text in await logged(event_log, Stream.KEYS)

        await until(is_published, "the other replica's key set is in the log")
        await kill(busy)


async def test_the_mark_moves_after_the_log_has_acknowledged(store: Store) -> None:
    event_log = FragileLog()
    async with running(relay_of(store, event_log)):
        await until(lambda: is_level(store, event_log), "log and store are level")
        before = await mark(store)
        hangs = event_log.after_append = Hangs(Stream.REVOCATIONS)

        event = await decide(store)
        await hangs.reached.wait()
        assert event.text in await logged(event_log)
        assert await mark(store) == before

        hangs.let_go.set()
        await until(lambda: is_level(store, event_log), "log and store are level")
        assert await mark(store) == event.seq


@on_every_store
@pytest.mark.parametrize("when", ["before_append", "after_append"])
async def test_a_relay_that_is_killed_around_an_append_loses_nothing_and_nothing_is_sent_twice(
    store: Store, when: str
) -> None:
    event_log = FragileLog()
    hangs = Hangs(Stream.REVOCATIONS)
    setattr(event_log, when, hangs)
    for number in range(5):
        await decide(store, f"user-{number}")
    first = asyncio.create_task(relay_of(store, event_log).run())
    await hangs.reached.wait()
    await kill(first)

    second = FragileLog(event_log.inner)
    async with running(relay_of(store.beside(), second, holder="two")):
        await until(lambda: is_level(store, second), "log and store are level")


@on_every_store
async def test_two_relays_do_not_publish_at_once_and_the_second_takes_over_when_the_first_ends(store: Store) -> None:
    event_log = FragileLog()
    first, second = relay_of(store, event_log), relay_of(store.beside(), event_log, holder="two")
    ending = asyncio.create_task(first.run())
    await until(lambda: first.state is RelayState.PUBLISHING, "the first relay publishes")
    async with running(second):
        for number in range(10):
            await decide(store, f"user-{number}", relay=second)
        await until(lambda: is_level(store, event_log), "log and store are level")
        assert (first.state, second.state) == (RelayState.PUBLISHING, RelayState.WAITING)

        await kill(ending)

        await until(lambda: second.state is RelayState.PUBLISHING, "the second relay has taken over")
        await decide(store, "afterwards")
        await until(lambda: is_level(store, event_log), "log and store are level")


@on_every_store
async def test_a_relay_whose_lease_has_gone_to_another_moves_no_mark_and_stops(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    event_log = FragileLog()
    async with running(relay_of(store, event_log)) as relay:
        await until(lambda: is_level(store, event_log), "log and store are level")
        before = await mark(store)
        hangs = event_log.after_append = Hangs(Stream.REVOCATIONS)
        await decide(store)
        await hangs.reached.wait()

        await give_the_lease_to_another(store)
        hangs.let_go.set()

        await until(lambda: relay.state is RelayState.WAITING, "the relay has stopped")
        assert await mark(store) == before
    assert "relay_interrupted" in caplog.messages


async def test_a_relay_that_is_ended_while_it_gives_up_its_lease_ends(store: Store) -> None:
    event_log = FragileLog()
    relay = relay_of(store, event_log)
    ending = asyncio.create_task(relay.run())
    await until(lambda: is_level(store, event_log), "log and store are level")
    parting = event_log.before_append = PartsSlowly()
    await until(parting.reached.is_set, "a heartbeat is under way")

    await give_the_lease_to_another(store)
    await decide(store)
    await until(parting.cancelled.is_set, "the relay gives up, and waits for its heartbeat's end")
    ending.cancel()
    await asyncio.sleep(0)
    parting.let_go.set()

    await asyncio.wait([ending], timeout=ENOUGH_SECONDS)
    assert ending.cancelled()


@on_every_store
async def test_a_relay_whose_log_hangs_keeps_its_lease(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("lease", "relay"):
        monkeypatch.setattr(f"issuer.outbox.{module}.LEASE_SECONDS", 0.45)
    event_log = FragileLog()
    rival = Lease(store.beside().database, RELAY, "two")
    async with running(relay_of(store, event_log)):
        await until(lambda: is_level(store, event_log), "log and store are level")
        hangs = event_log.before_append = Hangs(Stream.REVOCATIONS)
        event = await decide(store)
        await hangs.reached.wait()

        for _ in range(15):  # twice as long as the lease lasts
            assert await rival.acquire() is None
            await asyncio.sleep(0.06)

        hangs.let_go.set()
        await until(lambda: is_level(store, event_log), "log and store are level")
        assert await mark(store) == event.seq


async def test_a_signed_event_is_the_same_bytes_in_store_and_log(store: Store) -> None:
    event_log = FragileLog()
    event = await decide(store)
    async with running(relay_of(store, event_log)):
        await until(lambda: is_level(store, event_log), "log and store are level")

    assert (await logged(event_log))[-1] == event.text
    assert EventOpener(store.trust).open(event.text, Stream.REVOCATIONS).digest == event.digest


async def test_one_stream_that_never_rests_does_not_keep_another_waiting(store: Store) -> None:
    event_log = FragileLog()
    relay = relay_of(store, event_log)
    stop = asyncio.Event()

    async def busy() -> None:
        while not stop.is_set():
            relay.offer(await decide(store))

    async with running(relay):
        writers = [asyncio.create_task(busy()) for _ in range(3)]
        elsewhere = store.beside()
        async with elsewhere.database.write() as connection:
            decided = await elsewhere.outbox.append(connection, Stream.KEYS, KeySet(keys=()))

        async def published() -> bool:
            return decided.text in await logged(event_log, Stream.KEYS)

        await until(published, "another replica's key event is published")
        stop.set()
        await asyncio.gather(*writers)
        await elsewhere.close()
