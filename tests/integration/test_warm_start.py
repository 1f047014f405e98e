"""Agents that start from what an earlier one has saved, by real logs in files and a real folder."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from events import KeyState, LogUnavailable, Selector, Stream
from events.log import EventLog, open_log
from tests.sealed import sealed_snapshot
from tests.simulator import AUDIENCE, FakeClock, IssuerSimulator, publish, signing_key
from verifier_agent import Agent, AgentSettings, RejectionCode, TokenRejected, UnavailableCode, VerificationUnavailable
from verifier_agent.errors import StoreUnavailable
from verifier_agent.saved import SealedSnapshot
from verifier_agent.saved.disk import DiskStore
from verifier_agent.sidecar.metrics import AgentMetrics

SOON = 60.0


class FakeSource:
    """Gives the snapshots that a test has put there."""

    def __init__(self) -> None:
        self.snapshot: SealedSnapshot | None = None
        self.asked = 0

    async def fetch(self) -> SealedSnapshot:
        """See ``SnapshotSource``."""
        self.asked += 1
        if self.snapshot is None:
            raise StoreUnavailable("none yet", "source_away")
        return self.snapshot


class World:
    """An issuer, its log in a file, and one folder for agents that follow each other."""

    def __init__(self, folder: Path) -> None:
        self.issuer = IssuerSimulator(clock=FakeClock(now=time.time()))
        self.folder = folder
        self.source = FakeSource()
        self.url = f"sqlite:///{folder}/events.db"
        self.log: EventLog = open_log(self.url)
        self.issuer.trust.save(folder / "trust.json")

    def agent(self, **changes: Any) -> Agent:
        """The next agent; ``changes`` are settings."""
        settings: dict[str, Any] = {
            "log": self.url,
            "trust": self.folder / "trust.json",
            "audience": AUDIENCE,
            "state_dir": self.folder / "state",
            "start_timeout": SOON,
        }
        source = changes.pop("source", None)
        opening = changes.pop("open_event_log", None)
        return Agent(
            AgentSettings(**settings | changes),
            clock=self.issuer.clock,
            open_event_log=opening,
            snapshot_source=source,
        )

    async def publish(self) -> None:
        """All that has been said, into the log."""
        await publish(self.log, *self.issuer.said, self.issuer.beat())

    async def say(self, *events: Any) -> None:
        """These events and a heartbeat."""
        await publish(self.log, *events, self.issuer.beat())


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Whose log holds the first events."""
    made = World(tmp_path)
    await made.publish()
    yield made
    await made.log.close()


async def until(agent: Agent, reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not reached():
            await agent.changed()


async def saved(agent: Agent) -> None:
    """Have everything saved now instead of in a moment."""
    for keeper in agent._stores._keepers:
        assert await keeper.try_to_save()


def rejection(agent: Agent, token: str) -> RejectionCode | None:
    try:
        agent.verify(token)
    except TokenRejected as rejected:
        return rejected.code
    return None


def away() -> EventLog:
    raise LogUnavailable("the network is away")


async def test_with_everything_away_an_agent_goes_by_what_was_saved_at_its_true_age(world: World) -> None:
    issuer = world.issuer
    good, revoked, listed = issuer.token(sub="bob"), issuer.token(sub="alice"), issuer.token(sub="carol")
    issuer.revoke(Selector.of(sub="alice"))
    issuer.revoke_tokens(listed)
    await world.say(*issuer.said)
    world.source.snapshot = sealed_snapshot(issuer)
    async with world.agent(source=world.source) as agent:
        await saved(agent)
        stolen = signing_key("ES256", "stolen")
        await world.say(issuer.publish_key(stolen, KeyState.REVOKED), issuer.revoke(Selector.of(sub="dave")))
        await until(agent, lambda: agent.status().selectors == 2)
    issuer.clock.wall += 300
    issuer.clock.uptime = 1.0  # the machine has been started anew

    async with world.agent(open_event_log=away, start_timeout=0) as agent:
        status = agent.status()
        assert (status.started_from, status.ready) == ("disk", False)
        assert status.freshness == pytest.approx(300, abs=0.1)
        assert status.stores["disk"].snapshot_age == pytest.approx(300, abs=0.1)
        assert [rejection(agent, token) for token in (good, revoked, listed, issuer.token(sub="dave"))] == [
            None,
            RejectionCode.REVOKED,
            RejectionCode.REVOKED,
            None,
        ]
        assert rejection(agent, issuer.token(key=stolen)) is RejectionCode.KEY_REVOKED
        issuer.clock.advance(601)
        with pytest.raises(VerificationUnavailable) as unavailable:
            agent.verify(good)
        assert unavailable.value.code is UnavailableCode.STALE


async def test_an_agent_is_ready_when_the_log_has_nothing_that_it_lacks(world: World) -> None:
    issuer = world.issuer
    for number in range(50):
        issuer.revoke(Selector.of(sub=f"user-{number}"))
    await world.say(*issuer.said[3:])
    async with world.agent() as agent:
        assert agent.status().started_from == "log"
        assert agent.status().selectors == 50
    missed = [issuer.revoke(Selector.of(sub=f"late-{number}")) for number in range(20)]
    await world.say(*missed)

    async with world.agent() as agent:
        status = agent.status()
        assert (status.started_from, status.ready, status.selectors, status.holes) == ("disk", True, 70, {})
        assert rejection(agent, issuer.token(sub="late-3", rsq=1)) is RejectionCode.REVOKED


async def test_a_log_whose_newest_heartbeat_was_saved_makes_ready_too(world: World) -> None:
    async with world.agent():
        pass
    async with world.agent() as agent:
        assert agent.status().started_from == "disk"
        assert agent.status().ready


async def test_of_the_log_only_what_is_new_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = world.issuer
    for number in range(500):
        issuer.revoke(Selector.of(sub=f"user-{number}"))
    await world.say(*issuer.said[3:])
    async with world.agent():
        pass
    await world.say(*[issuer.revoke(Selector.of(sub=f"late-{number}")) for number in range(3)])
    reader, read = open_log(world.url), 0
    original = reader.read

    async def counting(*given: Any, **how: Any) -> Any:
        nonlocal read
        entries = await original(*given, **how)
        read += len(entries)
        return entries

    monkeypatch.setattr(reader, "read", counting)
    async with world.agent(open_event_log=lambda: reader) as agent:
        assert agent.status().selectors == 503
    assert read < 40


async def test_a_log_that_was_made_anew_is_read_from_its_start(world: World) -> None:
    issuer = world.issuer
    for number in range(30):
        issuer.revoke(Selector.of(sub=f"user-{number}"))
    await world.say(*issuer.said[3:])
    async with world.agent():
        pass
    world.url = f"sqlite:///{world.folder}/other.db"
    other = open_log(world.url)
    late = issuer.revoke(Selector.of(sub="late"))
    await publish(other, *issuer.said, issuer.beat())

    async with world.agent() as agent:
        assert agent.status().started_from == "disk"
        assert agent.status().selectors == 31
        assert rejection(agent, issuer.token(sub="late", rsq=late.seq - 1)) is RejectionCode.REVOKED
    await other.close()


async def test_a_damaged_file_costs_a_replay_and_nothing_else(world: World) -> None:
    issuer = world.issuer
    world.source.snapshot = sealed_snapshot(issuer)
    async with world.agent(source=world.source) as agent:
        await saved(agent)
    file = world.folder / "state" / "tocsin.state"
    whole = file.read_bytes()
    for at in range(0, len(whole), 211):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        async with world.agent() as agent:
            assert agent.status().ready
            assert rejection(agent, issuer.token()) is None


async def test_a_snapshot_is_asked_for_when_there_is_none_and_not_again(world: World) -> None:
    world.source.snapshot = sealed_snapshot(world.issuer)
    async with world.agent(source=world.source) as agent:
        for _ in range(3):
            await saved(agent)
        assert world.source.asked == 1
        world.issuer.clock.advance(2 * 3600.0)
        await saved(agent)
        assert world.source.asked == 2
    async with world.agent(source=world.source) as agent:
        assert agent.status().ready  # though the log knows no heartbeat as new as the snapshot
        assert agent.status().stores["disk"].snapshot_age == pytest.approx(2 * 3600, abs=0.1)


async def test_an_agent_without_a_folder_saves_nothing(world: World) -> None:
    async with world.agent(state_dir=None) as agent:
        assert agent.status().stores == {}
    assert not (world.folder / "state").exists()


async def test_events_are_saved_as_the_log_gave_them(world: World) -> None:
    revocation = world.issuer.revoke(Selector.of(sub="alice"))
    async with world.agent() as agent:
        await world.say(revocation)
        await until(agent, lambda: agent.status().selectors == 1)
    store = DiskStore(world.folder / "state")
    events = (await store.load()).events
    await store.close()

    assert (Stream.REVOCATIONS, revocation.text) in events
    assert events[-1].stream is Stream.HEARTBEATS


async def test_metrics_tell_how_the_store_is(world: World) -> None:
    async with world.agent(source=world.source) as agent:
        await saved(agent)
        text = generate_latest(AgentMetrics(agent).registry).decode()

    assert 'tocsin_snapshot_age_seconds{store="disk"} +Inf' in text
    assert 'tocsin_store_failures_total{code="source_away",store="disk"} 1.0' in text
    assert 'tocsin_unsaved_events{store="disk"} 0.0' in text


async def test_two_agents_on_one_folder_both_verify_and_one_of_them_saves(world: World) -> None:
    async with world.agent() as first:
        await saved(first)
        async with world.agent() as second:
            await world.say(world.issuer.revoke(Selector.of(sub="alice")))
            for agent in (first, second):
                await until(agent, lambda agent=agent: agent.status().selectors == 1)  # type: ignore[misc]
            assert await first._stores._keepers[0].try_to_save()
            assert not await second._stores._keepers[0].try_to_save()
            assert (first.status().stores["disk"].read_only, second.status().stores["disk"].read_only) == (False, True)


async def test_an_agent_with_a_folder_that_cannot_be_is_as_good_as_one_without(world: World) -> None:
    (world.folder / "state").write_bytes(b"a file")
    async with world.agent() as agent:
        assert agent.status().ready
        assert rejection(agent, world.issuer.token()) is None
        assert not await agent._stores._keepers[0].try_to_save()
        assert set(agent.status().stores["disk"].failures) <= {"enotdir", "eexist"}


async def test_a_start_that_is_cancelled_leaves_no_task_and_no_lock(world: World) -> None:
    async with world.agent() as agent:
        await saved(agent)
    before = asyncio.all_tasks()
    for turns in range(12):

        async def start() -> None:
            async with world.agent(open_event_log=away):
                raise AssertionError("it cannot be ready")

        starting = asyncio.create_task(start())
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert asyncio.all_tasks() == before
    store = DiskStore(world.folder / "state")
    await store.append([])
    await store.close()
