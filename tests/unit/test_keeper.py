"""Keeping a store level with what an agent hears, and live events alone."""

import asyncio
import logging
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import Selector, SignedEvent, Stream
from tests.sealed import sealed_snapshot
from tests.simulator import HOUR, IssuerSimulator, Listener
from verifier_agent.errors import StoreUnavailable
from verifier_agent.saved import SavedEvent, SavedState, SealedSnapshot
from verifier_agent.saved.keeper import MAX_PENDING, RETRY_SECONDS, SNAPSHOT_SECONDS, Keeper
from verifier_agent.saved.live_events import live

DAY = 86_400.0


class FakeStore:
    """A store in memory that fails when it is told to."""

    def __init__(self) -> None:
        self.snapshot: SealedSnapshot | None = None
        self.events: list[SavedEvent] = []
        self.fault: Exception | None = None
        self.appends = self.replacements = 0
        self.closed = False

    async def load(self) -> SavedState:
        self._check()
        return SavedState(self.snapshot, list(self.events))

    async def replace(self, snapshot: SealedSnapshot | None, events: Sequence[SavedEvent]) -> None:
        self._check()
        self.snapshot, self.events = snapshot, list(events)
        self.replacements += 1

    async def append(self, events: Sequence[SavedEvent]) -> None:
        self._check()
        self.events.extend(events)
        self.appends += 1

    async def close(self) -> None:
        self.closed = True

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault


class FakeSource:
    """Gives what a test has put there."""

    def __init__(self) -> None:
        self.snapshot: SealedSnapshot | None = None
        self.asked = 0

    async def fetch(self) -> SealedSnapshot:
        self.asked += 1
        if self.snapshot is None:
            raise StoreUnavailable("none to be had", "source_away")
        return self.snapshot


class World:
    """One issuer, who hears it, a store and its keeper."""

    def __init__(self, *, source: bool = False) -> None:
        self.issuer = IssuerSimulator()
        self.store, self.source = FakeStore(), FakeSource()
        self.listener = Listener(self.issuer)
        self.keeper = self.successor(self.listener, source=source)

    def successor(self, listener: Listener, *, source: bool = False) -> Keeper:
        """The keeper of another life."""
        given_source = self.source if source else None
        clock = self.issuer.clock
        return Keeper("fake", self.store, listener.verifier, clock, source=given_source, max_age=DAY)

    def hear(self, *events: SignedEvent) -> None:
        """As the follower does."""
        for event in events:
            if self.listener.hear(event) == ["applied"]:
                self.keeper.hear(event.stream, event.text)

    async def recalled(self) -> Listener:
        """Who starts from the store."""
        listener = Listener(self.issuer)
        await self.successor(listener).recall()
        return listener


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def sourced() -> World:
    """One whose keeper can ask for snapshots."""
    return World(source=True)


async def test_what_was_heard_is_there_in_the_next_life(world: World) -> None:
    token = world.issuer.token()
    world.issuer.revoke(Selector.of(sub="alice"))
    world.hear(*world.issuer.said, world.issuer.beat())
    assert await world.keeper.try_to_save()
    world.issuer.clock.wall += 7
    listener = await world.recalled()

    assert listener.rejection(token) == "revoked"
    assert listener.freshness == 7.0
    assert listener.verifier.snapshot() == world.listener.verifier.snapshot()


async def test_of_many_heartbeats_the_newest_is_saved_now_and_then(world: World) -> None:
    world.hear(*world.issuer.said)
    for _ in range(20):
        world.issuer.clock.advance(1)
        world.hear(world.issuer.beat())
        await world.keeper.try_to_save()

    assert 3 <= sum(event.stream is Stream.HEARTBEATS for event in world.store.events) <= 5


async def test_nothing_new_is_not_saved(world: World) -> None:
    await world.keeper.try_to_save()
    await world.keeper.try_to_save()

    assert world.store.appends == 0


async def test_what_could_not_be_saved_waits_and_is_saved_in_order(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "verifier_agent")
    world.hear(*world.issuer.said)
    world.store.fault = StoreUnavailable("full", "enospc")
    for _ in range(3):
        assert not await world.keeper.try_to_save()
    world.hear(world.issuer.revoke(Selector.of(sub="alice")), world.issuer.beat())
    assert world.keeper.report().unsaved == len(world.issuer.said)
    world.store.fault = None
    assert await world.keeper.try_to_save()

    assert [event.data for event in world.store.events[:-1]] == [event.text for event in world.issuer.said]
    assert world.keeper.report().failures == {"enospc": 3}
    assert world.keeper.report().unsaved == 0
    assert [message for message in caplog.messages if message.startswith("state")] == [
        "state_store_away",
        "state_store_back",
    ]


async def test_a_fault_that_nobody_expects_does_not_end_the_keeper(world: World) -> None:
    world.hear(*world.issuer.said)
    world.store.fault = ZeroDivisionError("a library's")

    assert not await world.keeper.try_to_save()
    assert world.keeper.report().failures == {"fault": 1}


async def test_what_waits_is_bounded(world: World) -> None:
    world.store.fault = StoreUnavailable("away")
    large = b"A" * (MAX_PENDING // 3)
    for _ in range(10):
        world.keeper.hear(Stream.REVOCATIONS, large)
    report = world.keeper.report()

    assert 0 < report.unsaved <= 3
    assert report.unsaved + report.dropped == 10


async def test_what_another_agent_saves_is_not_missed(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.store.fault = StoreUnavailable("another agent's", "in_use")
    world.hear(*world.issuer.said)
    await world.keeper.try_to_save()
    for _ in range(10):
        world.keeper.hear(Stream.REVOCATIONS, b"A" * (MAX_PENDING // 3))
    await world.keeper.try_to_save()

    assert world.keeper.report().dropped == 0
    assert not caplog.messages


async def test_a_snapshot_takes_the_place_of_the_events_in_it(sourced: World) -> None:
    issuer = sourced.issuer
    issuer.revoke(Selector.of(sub="alice"))
    sourced.hear(*issuer.said, issuer.beat())
    await sourced.keeper.try_to_save()
    assert (sourced.store.snapshot, len(sourced.store.events)) == (None, len(issuer.said) + 1)
    sourced.source.snapshot = sealed_snapshot(issuer)
    late = issuer.revoke(Selector.of(sub="bob"))
    beat = issuer.beat()
    sourced.hear(late, beat)
    issuer.clock.advance(RETRY_SECONDS)
    assert await sourced.keeper.try_to_save()

    assert sourced.store.snapshot == sourced.source.snapshot
    assert [event.data for event in sourced.store.events] == [late.text, beat.text]
    assert (await sourced.recalled()).verifier.snapshot() == sourced.listener.verifier.snapshot()


async def test_snapshots_are_asked_for_about_once_an_hour(sourced: World) -> None:
    sourced.source.snapshot = sealed_snapshot(sourced.issuer)
    for _ in range(100):
        await sourced.keeper.try_to_save()
        sourced.issuer.clock.advance(SNAPSHOT_SECONDS / 25)
        sourced.source.snapshot = sealed_snapshot(sourced.issuer)

    assert 3 <= sourced.source.asked <= 6


async def test_a_snapshot_is_asked_for_when_there_are_many_events(
    sourced: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verifier_agent.saved.keeper.MANY_EVENTS", 10)
    sourced.source.snapshot = sealed_snapshot(sourced.issuer)
    await sourced.keeper.try_to_save()
    sourced.hear(*sourced.issuer.said[:3])
    for number in range(30):
        sourced.hear(sourced.issuer.revoke(Selector.of(sub=f"user-{number}")))
    sourced.source.snapshot = sealed_snapshot(sourced.issuer)
    for _ in range(3):
        sourced.issuer.clock.advance(RETRY_SECONDS)
        await sourced.keeper.try_to_save()

    assert sourced.source.asked == 2
    assert sourced.store.snapshot == sourced.source.snapshot


async def test_who_cannot_save_asks_for_no_snapshot(sourced: World) -> None:
    sourced.source.snapshot = sealed_snapshot(sourced.issuer)
    sourced.store.fault = StoreUnavailable("another agent's", "in_use")

    assert not await sourced.keeper.try_to_save()
    assert sourced.source.asked == 0
    assert sourced.keeper.report().read_only
    assert sourced.keeper.report().failures == {}
    sourced.store.fault = None
    assert await sourced.keeper.try_to_save()
    assert sourced.source.asked == 1
    assert not sourced.keeper.report().read_only


@pytest.mark.parametrize("bad", ["forged", "altered", "old"])
async def test_a_bad_snapshot_is_not_saved(sourced: World, bad: str) -> None:
    issuer = sourced.issuer
    good = sealed_snapshot(issuer)
    await sourced.keeper.try_to_save()
    issuer.clock.advance(2 * DAY if bad == "old" else RETRY_SECONDS)
    sourced.source.snapshot = {
        "forged": SealedSnapshot(good.seal[:-8] + b"AAAAAAAA", good.data),
        "altered": SealedSnapshot(good.seal, good.data + b" "),
        "old": good,
    }[bad]
    sourced.hear(*issuer.said)

    assert await sourced.keeper.try_to_save()
    code = {"forged": "snapshot_bad_seal", "altered": "snapshot_altered", "old": "snapshot_too_old"}[bad]
    assert sourced.keeper.report().failures == {"source_away": 1, code: 1}
    assert sourced.store.snapshot is None
    assert [event.data for event in sourced.store.events] == [event.text for event in issuer.said]


async def test_without_snapshots_what_has_ended_is_let_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verifier_agent.saved.keeper.MANY_EVENTS", 50)
    issuer = world.issuer
    world.hear(*issuer.said)
    for hour in range(40):
        for number in range(20):
            world.hear(issuer.revoke(Selector.of(sub=f"user-{hour}-{number}"), life=HOUR))
        issuer.clock.advance(HOUR / 2)
        world.hear(issuer.beat())
        await world.keeper.try_to_save()

    assert len(world.store.events) < 200
    assert (await world.recalled()).verifier.state.holes() == {}
    assert (await world.recalled()).verifier.state.revocations.selectors == (
        world.listener.verifier.state.revocations.selectors
    )


async def test_a_refused_snapshot_is_counted_and_the_events_beside_it_count(world: World) -> None:
    snapshot = sealed_snapshot(world.issuer)
    world.store.snapshot = SealedSnapshot(snapshot.seal, snapshot.data[:-1])
    world.store.events = [SavedEvent(event.stream, event.text) for event in world.issuer.said]
    listener = Listener(world.issuer)
    keeper = world.successor(listener)

    assert await keeper.recall() is not None
    assert keeper.report().failures == {"snapshot_altered": 1}
    assert keeper.report().snapshot_age is None
    assert listener.verifier.state.keys.seq


async def test_a_store_that_cannot_be_read_is_counted(world: World) -> None:
    world.store.fault = StoreUnavailable("damaged", "damaged")

    assert await world.keeper.recall() is None
    assert world.keeper.report().failures == {"damaged": 1}


async def test_the_last_words_are_saved(world: World) -> None:
    world.hear(*world.issuer.said, world.issuer.beat())
    await world.keeper.close()

    assert len(world.store.events) == len(world.issuer.said) + 1
    assert world.store.closed


async def test_the_task_saves_by_itself_until_it_is_cancelled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verifier_agent.saved.keeper.SAVE_SECONDS", 0.0)
    world.hear(*world.issuer.said)
    task = asyncio.create_task(world.keeper.run())
    async with asyncio.timeout(10):
        while not world.store.events:  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_of_saved_events_each_is_kept_once_and_what_is_none_is_not() -> None:
    issuer = IssuerSimulator()
    beats = [issuer.beat() for _ in range(3)]
    events = [SavedEvent(event.stream, event.text) for event in (*issuer.said, *issuer.said, *reversed(beats))]
    garbage = [SavedEvent(Stream.KEYS, data) for data in (b"", b"a.b.c", b"e30.e30.e30", b"\xff", b"..")]

    assert live([*garbage, *events], {}) == [*events[: len(issuer.said)], SavedEvent(Stream.HEARTBEATS, beats[2].text)]
    assert live(events, {"keys": issuer.said[-1].seq + 1, "revocations": 1 << 50, "heartbeats": 1 << 50}) == []


STEPS = st.lists(
    st.sampled_from(["revoke", "digests", "lift", "keys", "time", "save", "snapshot", "incarnation", "lose"]),
    max_size=25,
)


@given(steps=STEPS, cut=st.integers(0, 30), lost=st.integers(0, 30))
def test_snapshot_any_part_of_the_saved_events_and_the_rest_of_the_log_are_as_good_as_replay(
    steps: list[str], cut: int, lost: int
) -> None:
    asyncio.run(_any_history(steps, cut, lost))


async def _any_history(steps: list[str], cut: int, lost: int) -> None:
    world = World(source=True)
    issuer = world.issuer
    world.hear(*issuer.said)
    for number, step in enumerate(steps):
        _do(world, step, number)
        if step in {"save", "snapshot"}:
            issuer.clock.advance(RETRY_SECONDS)
            world.source.snapshot = sealed_snapshot(issuer) if step == "snapshot" else None
            await world.keeper.try_to_save()
    world.store.events = [
        event for at, event in enumerate(world.store.events[:cut]) if not lost or (at + 1) % (lost + 1)
    ]
    started, replayed = await world.recalled(), Listener(issuer)
    beat = issuer.beat()
    started.hear(*issuer.said, beat)
    replayed.hear(*issuer.said, beat)

    assert started.verifier.state.revocations.dump() == replayed.verifier.state.revocations.dump()
    assert started.verifier.state.keys.published == replayed.verifier.state.keys.published
    assert started.verifier.state.keys.revoked == replayed.verifier.state.keys.revoked
    assert started.verifier.state.holes() == replayed.verifier.state.holes() == {}
    assert started.freshness == replayed.freshness == 0.0


def _do(world: World, step: str, number: int) -> None:
    issuer, before = world.issuer, len(world.issuer.said)
    if step == "revoke":
        issuer.revoke(Selector.of(sub=f"user-{number}"), life=HOUR if number % 2 else 60)
    elif step == "digests":
        issuer.revoke_tokens(issuer.token())
    elif step == "lift":
        issuer.lift(issuer.revoke(Selector.of(sub="lifted")))
    elif step == "keys":
        issuer.publish_keys()
    elif step == "incarnation":
        issuer.open_incarnation()
    elif step == "time":
        issuer.clock.advance(45)
    elif step == "lose":
        world.keeper._pending.clear()
    world.hear(*issuer.said[before:], issuer.beat())
