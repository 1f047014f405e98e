"""The relay: everything that was decided goes to the log, in order, whoever dies and whatever fails meanwhile."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from sqlalchemy import update

from events import EventOpener, KeySet, LogUnavailable, Revoke, Selector, SignedEvent, Stream, pack
from events.log import Entry
from events.log.memory import MemoryLog
from issuer.outbox.lease import LEASE_SECONDS, RELAY, Lease
from issuer.outbox.relay import Relay, RelayState
from issuer.store.schema import leases, streams
from tests.issuer_under_test import Store, on_every_store, raw_events, said, until
from tests.outbox_reader import counter, texts
from verifier_agent import Verifier
from verifier_agent.clocks import SystemClock

FAR = 4e9
SEQUENCED = (Stream.KEYS, Stream.REVOCATIONS)


@pytest.fixture(autouse=True)
def quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a relay look, beat and try again without making the tests wait."""
    for name in ("BEAT_SECONDS", "LOOK_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(f"issuer.outbox.relay.{name}", 0.05)


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


def relay_of(store: Store, event_log: FragileLog, holder: str = "one") -> Relay:
    return Relay(store.database, store.outbox, event_log, store.signer, store.opener, holder, SystemClock())


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[Relay]:
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        await kill(task)


async def kill(task: asyncio.Task[None]) -> None:
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


async def let_the_lease_run_out(store: Store) -> None:
    async with store.database.write() as connection:
        await connection.execute(update(leases).values(expires_at=leases.c.expires_at - LEASE_SECONDS))


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

        await until(is_published, "the other replica's key set is in the log", seconds=5)
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


async def test_what_is_live_is_published_again_unchanged_when_the_log_has_been_made_anew(store: Store) -> None:
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


async def fresh(store: Store, event_log: FragileLog) -> bool:
    """Whether an agent that starts now finds everything in the log."""
    verifier = Verifier(store.trust)
    for stream in (*SEQUENCED, Stream.HEARTBEATS):
        for raw in await logged(event_log, stream):
            verifier.apply(stream, raw)
    return verifier.state.freshness.covered is not None and not verifier.state.holes()


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
    ahead = store.signer.sign(stream, now.head + 3, _any(stream), time=1.8e9, txn="lost by the store")
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
        ours = await store.outbox.append(connection, stream, _any(stream))
    other = store.signer.sign(stream, ours.seq, _any(stream), time=1.8e9, txn="from before the backup")
    await event_log.inner.append(stream, [other.text])

    async with running(relay_of(store, event_log)) as relay:
        await until(lambda: relay.state is RelayState.HALTED, "the relay has halted")

    assert relay.halted is not None
    assert f"different events as {stream} 1.2" in relay.halted


def _any(stream: Stream) -> KeySet | Revoke:
    return KeySet(keys=()) if stream is Stream.KEYS else Revoke(selector=Selector(), expires_at=FAR)


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

        await let_the_lease_run_out(store)
        assert await Lease(store.beside().database, RELAY, "two").acquire() is not None
        hangs.let_go.set()

        await until(lambda: relay.state is RelayState.WAITING, "the relay has stopped")
        assert await mark(store) == before
    assert "relay_interrupted" in caplog.messages


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


@on_every_store
async def test_heartbeats_are_numbered_upwards_across_relays_and_tell_what_is_committed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_log = FragileLog()
    committed = [(await counter(store.database, Stream.REVOCATIONS)).head]
    for holder in ("one", "two"):
        async with running(relay_of(store.beside(), event_log, holder=holder)):
            for _ in range(5):
                committed.append((await decide(store)).seq)
                await asyncio.sleep(0.03)

    beats = await said(event_log.inner, store.trust, Stream.HEARTBEATS)
    heads = [beat.record.heads["revocations"].head for beat in beats]  # type: ignore[attr-defined]
    times = [beat.record.time for beat in beats]  # type: ignore[attr-defined]
    assert len(beats) > 5
    assert [beat.seq for beat in beats] == sorted({beat.seq for beat in beats})
    assert times == sorted(times)
    assert heads == sorted(heads)
    assert set(heads) <= set(committed)


@on_every_store
async def test_a_heartbeat_does_not_tell_of_a_decision_that_may_still_be_taken_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_log = FragileLog()
    before = (await decide(store)).seq
    other = store.beside()
    async with running(relay_of(other, event_log)):
        await until(lambda: is_level(store, event_log), "log and store are level")
        with suppress(TakenBack):
            async with store.database.write() as connection:
                await store.outbox.append(connection, Stream.REVOCATIONS, _any(Stream.REVOCATIONS))
                await asyncio.sleep(0.2)
                raise TakenBack
        await asyncio.sleep(0.1)

    beats = await said(event_log.inner, store.trust, Stream.HEARTBEATS)
    assert {beat.record.heads["revocations"].head for beat in beats} <= {before - 1, before}  # type: ignore[attr-defined]


async def test_a_signed_event_is_the_same_bytes_in_store_and_log(store: Store) -> None:
    event_log = FragileLog()
    event = await decide(store)
    async with running(relay_of(store, event_log)):
        await until(lambda: is_level(store, event_log), "log and store are level")

    assert (await logged(event_log))[-1] == event.text
    assert EventOpener(store.trust).open(event.text, Stream.REVOCATIONS).digest == event.digest


async def test_a_store_whose_heartbeats_were_numbered_lower_goes_on_above_those_in_the_log(store: Store) -> None:
    event_log = FragileLog()
    async with running(relay_of(store, event_log)):
        await until(lambda: fresh(store, event_log), "a heartbeat tells of everything")
    before = await logged(event_log, Stream.HEARTBEATS)
    async with store.database.write() as connection:
        await connection.execute(update(streams).where(streams.c.stream == "heartbeats").values(head=pack(1, 0)))

    async def another() -> bool:
        return len(await logged(event_log, Stream.HEARTBEATS)) > len(before) + 2

    async with running(relay_of(store, event_log, "two")):
        await until(another, "more heartbeats")
    newest = store.opener.open((await logged(event_log, Stream.HEARTBEATS))[-1], Stream.HEARTBEATS)

    assert newest.seq > store.opener.open(before[-1], Stream.HEARTBEATS).seq


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
