"""A log that was away, lost something or knows too much: the relay brings it level, or stops and says so."""

import asyncio
import logging

import pytest

from events import LogUnavailable, Stream
from events.log.memory import MemoryLog
from issuer.outbox.relay import RelayState
from tests.integration.issuer.relay_under_test import (
    SEQUENCED,
    FragileLog,
    any_record,
    decide,
    fresh,
    is_level,
    logged,
    relay_of,
    running,
)
from tests.issuer_under_test import Store, until
from tests.outbox_reader import counter, texts

pytestmark = pytest.mark.usefixtures("quick_relay")


async def test_while_the_log_is_away_decisions_stand_and_afterwards_they_are_published_in_order(store: Store) -> None:
    event_log = FragileLog()
    async with running(relay_of(store, event_log)) as relay:
        await until(lambda: is_level(store, event_log), "log and store are level")
        before = await logged(event_log)

        event_log.away = True
        for number in range(10):
            await decide(store, f"meanwhile-{number}", relay=relay)
        await until(lambda: relay.state is RelayState.LOG_UNAVAILABLE, "the relay has noticed")
        assert await logged(event_log) == before
        event_log.away = False

        await until(lambda: is_level(store, event_log), "log and store are level")
        assert relay.state is RelayState.PUBLISHING


async def test_a_log_that_is_away_is_told_once(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    event_log = FragileLog()
    event_log.away = True
    with caplog.at_level(logging.WARNING):
        async with running(relay_of(store, event_log)) as relay:
            await until(lambda: relay.state is RelayState.LOG_UNAVAILABLE, "the relay has noticed")
            await asyncio.sleep(0.4)

    assert caplog.messages == ["event_log_unavailable"]


async def test_an_append_that_failed_after_a_part_of_it_went_through_is_completed(store: Store) -> None:
    event_log = FragileLog()
    for number in range(6):
        await decide(store, f"user-{number}")
    some = (await texts(store.database, Stream.REVOCATIONS))[:3]

    async def fail_half_way(stream: Stream) -> None:
        if stream is Stream.REVOCATIONS:
            event_log.before_append = None
            await event_log.inner.append(stream, some)
            raise LogUnavailable("half of it went through")

    event_log.before_append = fail_half_way
    async with running(relay_of(store, event_log)):
        await until(lambda: is_level(store, event_log), "log and store are level")


async def test_what_is_live_is_published_again_unchanged_when_the_log_has_been_made_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("issuer.outbox.relay.ENDS_EVERY", 1_000_000)  # that it was away is all there is to notice
    event_log = FragileLog()
    await decide(store, "expired", expires_at=1.0)
    async with running(relay_of(store, event_log)) as relay:
        await until(lambda: is_level(store, event_log), "log and store are level")
        live = [(await decide(store, f"user-{number}")).text for number in range(3)]
        await until(lambda: is_level(store, event_log), "log and store are level")
        await store.outbox.advance_floor()

        event_log.inner, event_log.away = MemoryLog(), True
        await until(lambda: relay.state is RelayState.LOG_UNAVAILABLE, "the relay has noticed")
        event_log.away = False

        async def is_there_again() -> bool:
            return await logged(event_log) == live

        await until(is_there_again, "what is live is in the log again, and nothing else")
        newest_keys = (await texts(store.database, Stream.KEYS))[-1:]
        assert await logged(event_log, Stream.KEYS) == newest_keys
        last = (await decide(store, "afterwards")).text

        async def goes_on() -> bool:
            return await logged(event_log) == [*live, last]

        await until(goes_on, "what is decided afterwards follows")
        await until(lambda: fresh(store, event_log), "an agent that knows the new log alone is complete")


async def test_a_log_that_has_been_made_anew_while_nobody_looked_is_noticed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("issuer.outbox.relay.ENDS_EVERY", 3)
    event_log = FragileLog()
    live = (await decide(store)).text
    async with running(relay_of(store, event_log)):
        await until(lambda: is_level(store, event_log), "log and store are level")
        await until(lambda: fresh(store, event_log), "the relay has sent a heartbeat")

        event_log.inner = MemoryLog()

        async def is_there_again() -> bool:
            return live in await logged(event_log)

        await until(is_there_again, "what is live is in the log again")


async def test_a_log_that_lost_its_tail_gets_it_back(store: Store) -> None:
    event_log = FragileLog()
    async with running(relay_of(store, event_log)):
        for number in range(6):
            await decide(store, f"user-{number}")
        await until(lambda: is_level(store, event_log), "log and store are level")
    everything = await logged(event_log)
    shorter = FragileLog()
    await shorter.inner.append(Stream.REVOCATIONS, everything[:4])

    async with running(relay_of(store.beside(), shorter, holder="two")):
        await until(lambda: is_level(store, shorter), "log and store are level")


async def test_what_has_expired_is_not_published_again(store: Store) -> None:
    baseline = await texts(store.database, Stream.REVOCATIONS)
    await decide(store, "expired", expires_at=1.0)
    live = (await decide(store)).text
    event_log = FragileLog()
    async with running(relay_of(store, event_log)):
        await until(lambda: is_level(store, event_log), "log and store are level")
    await store.outbox.advance_floor()
    shorter = FragileLog()
    await shorter.inner.append(Stream.REVOCATIONS, baseline)

    async with running(relay_of(store, shorter, holder="two")) as relay:
        await until(lambda: relay.state is RelayState.PUBLISHING, "the relay publishes")

    assert await logged(shorter) == [*baseline, live]


async def test_what_others_have_written_into_the_log_is_passed_over(
    store: Store, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = await Store.create(f"sqlite:///{tmp_path_factory.mktemp('stranger')}/store.db")
    forged = [await decide(stranger, f"user-{number}") for number in range(5)]
    await stranger.close()
    event_log = FragileLog()
    await event_log.inner.append(Stream.REVOCATIONS, [b"", b"garbage", b"a.b.c", *(event.text for event in forged)])
    event = await decide(store)

    async with running(relay_of(store, event_log)) as relay:
        await until(lambda: relay.state is RelayState.PUBLISHING, "the relay publishes")

        async def is_published() -> bool:
            return (await logged(event_log))[-1] == event.text

        await until(is_published, "our event is in the log")
        assert relay.halted is None


@pytest.mark.parametrize("stream", SEQUENCED)
async def test_a_log_that_knows_more_than_the_store_halts_the_relay_and_is_left_alone(
    store: Store, stream: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    event_log = FragileLog()
    now = await counter(store.database, stream)
    ahead = store.signer.sign(stream, now.head + 3, any_record(stream), time=1.8e9, txn="lost by the store")
    await event_log.inner.append(stream, [ahead.text])

    with caplog.at_level(logging.CRITICAL):
        async with running(relay_of(store, event_log)) as relay:
            await until(lambda: relay.state is RelayState.HALTED, "the relay has halted")

    assert relay.halted is not None
    assert f"the log has {stream} 1.4; the store ends at 1.1" in relay.halted
    assert caplog.messages == ["relay_halted"]
    assert await logged(event_log, stream) == [ahead.text]


@pytest.mark.parametrize("stream", SEQUENCED)
async def test_a_log_with_another_event_under_the_same_number_halts_the_relay(store: Store, stream: Stream) -> None:
    event_log = FragileLog()
    async with store.database.write() as connection:
        ours = await store.outbox.append(connection, stream, any_record(stream))
    other = store.signer.sign(stream, ours.seq, any_record(stream), time=1.8e9, txn="from before the backup")
    await event_log.inner.append(stream, [other.text])

    async with running(relay_of(store, event_log)) as relay:
        await until(lambda: relay.state is RelayState.HALTED, "the relay has halted")

    assert relay.halted is not None
    assert f"different events as {stream} 1.2" in relay.halted
