"""An agent on a log in memory, through what logs do to those who follow them."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from events import KeyState, LogUnavailable, PositionLost, Selector, SignedEvent, Stream
from events.errors import LogMisconfigured
from events.log import Entry, SharedLog
from events.log.memory import MemoryLog
from tests.simulator import AUDIENCE, IssuerSimulator, publish, signing_key
from verifier_agent import Agent, AgentSettings, RejectionCode, SettingInvalid, TokenRejected

SOON = 60.0
"""Seconds within which what is expected happens; none of it takes that long."""


class FailingLog:
    """A log in memory behind handles that fail, lose positions or fall silent when a test says so.

    Attributes:
        faults: what the next reads raise.
        reads: the positions after which each read began.
        opened: how many handles there have been.
        closed: how many of them were closed.
        silent: reads find nothing, and each takes a second of the clock.
        slow: reads find one entry each, and take a second of the clock.
    """

    def __init__(self, issuer: IssuerSimulator) -> None:
        self.issuer = issuer
        self.kept = MemoryLog()
        self.faults: list[BaseException] = []
        self.reads: list[dict[Stream, int | None]] = []
        self.opened = 0
        self.closed = 0
        self.silent = False
        self.slow = False

    async def say(self, *events: SignedEvent) -> None:
        """Append events."""
        await publish(self.kept, *events)

    def open(self) -> "FailingLog._Handle":
        """A handle of its own for each reader."""
        self.opened += 1
        if self.opened > 1:
            self.silent = False
        return self._Handle(self)

    class _Handle:
        def __init__(self, log: "FailingLog") -> None:
            self._log = log

        async def append(self, stream: Stream, events: Sequence[bytes]) -> None:
            raise NotImplementedError

        async def read(self, after: Mapping[Stream, int | None], *, wait: float, limit: int = 1000) -> list[Entry]:
            self._log.reads.append(dict(after))
            if self._log.faults:
                raise self._log.faults.pop(0)
            if self._log.silent:
                await asyncio.sleep(0)
                self._log.issuer.clock.advance(1)
                return []
            if self._log.slow:
                await asyncio.sleep(0)
                self._log.issuer.clock.advance(1)
                limit = 1
            return await self._log.kept.read(after, wait=wait, limit=limit)

        async def head(self, stream: Stream) -> int | None:
            return await self._log.kept.head(stream)

        async def check(self) -> list[str]:
            return []

        async def close(self) -> None:
            self._log.closed += 1


@pytest.fixture
def event_log(issuer: IssuerSimulator) -> FailingLog:
    """A log without an entry."""
    return FailingLog(issuer)


@pytest.fixture
def settings(issuer: IssuerSimulator, tmp_path: Path) -> AgentSettings:
    """Settings that do not wait at start for what may not come."""
    issuer.trust.save(tmp_path / "trust.json")
    return AgentSettings(log="memory:", trust=tmp_path / "trust.json", audience=AUDIENCE, start_timeout=SOON)


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back off for no time at all."""
    monkeypatch.setattr(random, "uniform", lambda _low, _high: 0.0)


def agent_on(event_log: FailingLog, settings: AgentSettings) -> Agent:
    return Agent(settings, open_event_log=event_log.open, clock=event_log.issuer.clock)


async def until(agent: Agent, reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not reached():
            await agent.changed()


def rejection(agent: Agent, token: str) -> RejectionCode | None:
    try:
        agent.verify(token)
    except TokenRejected as rejected:
        return rejected.code
    return None


def retries(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record.__dict__["retry_seconds"] for record in caplog.records if record.msg == "event_log_unreadable"]


async def test_an_agent_is_ready_once_everything_is_known(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings
) -> None:
    await event_log.say(*issuer.said, issuer.beat())

    async with agent_on(event_log, settings) as agent:
        assert agent.verify(issuer.token()).sub == "alice"
        assert agent.freshness() == 0.0
        status = agent.status()

    assert status.ready
    assert status.issuer == issuer.issuer
    assert status.keys == {issuer.key.kid: "active"}
    assert status.applied == {event.stream: event.seq for event in issuer.said}
    assert (status.holes, status.forks, status.misunderstood, status.refused) == ({}, [], [], {})
    assert status.log_failures == 0
    assert event_log.closed == event_log.opened == 1


async def test_agents_that_share_a_log_hear_the_same_and_judge_each_for_itself(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings
) -> None:
    await event_log.say(*issuer.said, issuer.beat())
    shared, token, clock = SharedLog(event_log.open), issuer.token(), issuer.clock
    strict = AgentSettings(log=settings.log, trust=settings.trust, audience="somebody else")

    async with Agent(settings, shared=shared, clock=clock) as one, Agent(strict, shared=shared, clock=clock) as other:
        assert [rejection(agent, token) for agent in (one, other)] == [None, RejectionCode.WRONG_AUDIENCE]
        await event_log.say(issuer.revoke(Selector.of(sub="alice")), issuer.beat())
        for agent in (one, other):
            await until(agent, lambda agent=agent: bool(agent.status().selectors))  # type: ignore[misc]
        assert [rejection(agent, token) for agent in (one, other)] == [
            RejectionCode.REVOKED,
            RejectionCode.WRONG_AUDIENCE,
        ]
        assert event_log.opened - event_log.closed == 1
    assert event_log.opened == event_log.closed


async def test_an_event_after_the_start_takes_effect(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings
) -> None:
    await event_log.say(*issuer.said, issuer.beat())
    token = issuer.token()

    async with agent_on(event_log, settings) as agent:
        assert rejection(agent, token) is None
        await event_log.say(issuer.revoke(Selector.of(sub="alice")))
        await until(agent, lambda: agent.status().selectors == 1)

        assert rejection(agent, token) is RejectionCode.REVOKED


async def test_of_the_heartbeats_only_the_newest_is_read_at_start(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings
) -> None:
    beats = [issuer.beat() for _ in range(5)]
    await event_log.say(*issuer.said, *beats[:-1], issuer.sign(Stream.HEARTBEATS, beats[-1].seq, beats[-1].record))

    async with agent_on(event_log, settings) as agent:
        assert agent.status().ready
        assert agent.verifier.state.freshness.newest == beats[-1].record
    assert event_log.reads[0] == {Stream.KEYS: None, Stream.REVOCATIONS: None, Stream.HEARTBEATS: 3}


async def test_an_agent_that_is_not_ready_in_time_is_there_all_the_same(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings, caplog: pytest.LogCaptureFixture
) -> None:
    settings = AgentSettings(log="memory:", trust=settings.trust, audience=AUDIENCE, start_timeout=0)

    async with agent_on(event_log, settings) as agent:
        assert "agent_not_ready" in caplog.messages
        assert not agent.status().ready
        await event_log.say(*issuer.said, issuer.beat())

        assert await agent.ready(SOON)
        assert rejection(agent, issuer.token()) is None


async def test_a_hole_is_shown_until_what_is_missing_arrives(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings
) -> None:
    await event_log.say(*issuer.said, issuer.beat())
    missing = issuer.revoke(Selector.of(sub="alice"))
    later = issuer.revoke(Selector.of(sub="bob"))
    issuer.clock.advance(1)

    async with agent_on(event_log, settings) as agent:
        await event_log.say(later, issuer.beat())
        await until(agent, lambda: agent.status().selectors == 1)
        assert agent.status().holes == {"revocations": [(missing.seq, missing.seq)]}
        assert agent.freshness() == 1.0

        await event_log.say(missing)
        await until(agent, lambda: not agent.status().holes)
        assert agent.freshness() == 0.0


async def test_refused_events_are_counted_and_do_not_stop_the_stream(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings
) -> None:
    await event_log.kept.append(Stream.REVOCATIONS, [b"", b"nonsense", b"\xff" * 100])
    await event_log.say(*issuer.said, issuer.beat())

    async with agent_on(event_log, settings) as agent:
        assert agent.status().ready
        assert agent.status().refused == {"malformed": 3}


async def test_a_log_that_fails_is_opened_again_with_growing_pauses(
    issuer: IssuerSimulator,
    event_log: FailingLog,
    settings: AgentSettings,
    no_jitter: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "verifier_agent.follower")
    event_log.faults = [LogUnavailable("away")] * 7
    await event_log.say(*issuer.said, issuer.beat())

    async with agent_on(event_log, settings) as agent:
        assert agent.status().ready
        assert agent.status().log_failures == 7
    assert retries(caplog) == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
    assert event_log.opened == event_log.closed == 8


async def test_the_pauses_begin_anew_after_the_log_has_worked(
    issuer: IssuerSimulator,
    event_log: FailingLog,
    settings: AgentSettings,
    no_jitter: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "verifier_agent.follower")
    event_log.faults = [LogUnavailable("away")] * 3
    await event_log.say(*issuer.said, issuer.beat())

    async with agent_on(event_log, settings) as agent:
        event_log.faults = [LogUnavailable("away again")]
        await event_log.say(issuer.revoke(Selector()))
        await until(agent, lambda: agent.status().log_failures == 4)
    assert retries(caplog) == [0.1, 0.2, 0.4, 0.1]


async def test_what_is_known_stays_in_force_while_the_log_is_away(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings, no_jitter: None
) -> None:
    token = issuer.token()
    issuer.revoke_tokens(token)
    await event_log.say(*issuer.said, issuer.beat())

    async with agent_on(event_log, settings) as agent:
        event_log.faults = [LogUnavailable("away")] * 1000
        await event_log.say(issuer.beat())

        assert rejection(agent, token) is RejectionCode.REVOKED
        assert rejection(agent, issuer.token()) is None


@pytest.mark.parametrize(
    "fault",
    [LogMisconfigured("no such file"), ValueError("a client library's"), OSError("gone"), asyncio.CancelledError()],
)
async def test_a_fault_of_another_kind_is_survived_too(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings, no_jitter: None, fault: BaseException
) -> None:
    event_log.faults = [fault]
    await event_log.say(*issuer.said, issuer.beat())

    async with agent_on(event_log, settings) as agent:
        assert agent.status().ready
        assert agent.status().log_failures == 1


async def test_a_log_that_cannot_be_opened_is_tried_again(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings, no_jitter: None
) -> None:
    await event_log.say(*issuer.said, issuer.beat())
    faults = [LogMisconfigured("certificates are missing")]

    def open_log() -> Any:
        if faults:
            raise faults.pop()
        return event_log.open()

    async with Agent(settings, open_event_log=open_log, clock=issuer.clock) as agent:
        assert agent.status().log_failures == 1


async def test_a_lost_position_is_read_again_from_the_start(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings
) -> None:
    await event_log.say(*issuer.said, issuer.beat())

    async with agent_on(event_log, settings) as agent:
        event_log.faults = [PositionLost(Stream.REVOCATIONS, 7)]
        await event_log.say(issuer.revoke(Selector()))
        await event_log.say(issuer.revoke(Selector.of(sub="bob")))
        await until(agent, lambda: agent.status().selectors == 2)

        lost = next(at for at, after in enumerate(event_log.reads) if at and after[Stream.REVOCATIONS] is None)
        assert event_log.reads[lost][Stream.KEYS] == event_log.reads[lost - 1][Stream.KEYS] is not None
        assert event_log.opened == 1
        assert agent.status().log_failures == 0


async def test_a_log_that_loses_its_own_start_counts_as_failing(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings, no_jitter: None
) -> None:
    event_log.faults = [PositionLost(Stream.KEYS, 0)] * 3
    await event_log.say(*issuer.said, issuer.beat())

    async with agent_on(event_log, settings) as agent:
        assert agent.status().log_failures > 0


async def test_a_long_history_is_not_read_again_while_it_is_being_read(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(30):
        issuer.revoke(Selector.of(sub=f"user-{number}"))
    agent = agent_on(event_log, settings)
    beat = issuer.beat()
    agent.verifier.apply(Stream.HEARTBEATS, beat.text)  # so that what is still to be read counts as missing
    await event_log.say(*issuer.said, beat)
    event_log.slow = True

    async with agent:
        await until(agent, lambda: agent.status().selectors == 30)
        event_log.slow = False
        assert not agent.status().holes
    assert "event_log_read_again" not in caplog.messages


async def test_a_silent_log_is_opened_anew(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings, caplog: pytest.LogCaptureFixture
) -> None:
    event_log.silent = True
    await event_log.say(*issuer.said, issuer.beat())

    async with agent_on(event_log, settings) as agent:
        assert agent.status().ready
    assert event_log.opened == event_log.closed == 2
    assert "event_log_silent" in caplog.messages


async def test_an_agent_that_ends_has_closed_its_log_and_left_no_task(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings
) -> None:
    await event_log.say(*issuer.said, issuer.beat())
    before = asyncio.all_tasks()
    async with agent_on(event_log, settings) as agent:
        await event_log.say(issuer.beat())
        await agent.changed()
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == before
    assert event_log.closed == 1
    assert rejection(agent, issuer.token()) is None  # what was known can still be asked for


@pytest.mark.parametrize("times", [0, 1])
async def test_a_start_that_is_cancelled_leaves_no_task(
    event_log: FailingLog, settings: AgentSettings, times: int
) -> None:
    before = asyncio.all_tasks()

    async def start() -> None:
        async with agent_on(event_log, settings):
            raise AssertionError("it cannot be ready")

    starting = asyncio.create_task(start())
    for _ in range(5 * times):
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == before
    assert event_log.closed == event_log.opened


async def test_a_cancellation_inside_the_context_ends_the_agent(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings
) -> None:
    await event_log.say(*issuer.said, issuer.beat())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), agent_on(event_log, settings) as agent:
            await agent.changed()

    assert event_log.closed == 1


async def test_changed_wakes_everybody_who_waits(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings
) -> None:
    await event_log.say(*issuer.said, issuer.beat())

    async with agent_on(event_log, settings) as agent, asyncio.timeout(SOON):
        waiters = [asyncio.create_task(agent.changed()) for _ in range(3)]
        await asyncio.sleep(0)
        await event_log.say(issuer.beat())
        await asyncio.gather(*waiters)


async def test_waiting_for_an_agent_that_does_not_run_is_a_mistake(
    event_log: FailingLog, settings: AgentSettings
) -> None:
    with pytest.raises(RuntimeError, match="use it as a context"):
        await agent_on(event_log, settings).changed()


async def test_an_agent_that_was_not_ready_may_be_entered_once_more(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings
) -> None:
    hasty = AgentSettings(log="memory:", trust=settings.trust, audience=AUDIENCE, start_timeout=0.05)
    agent = agent_on(event_log, hasty)
    async with agent:
        assert not agent.is_ready

    async with asyncio.timeout(SOON), agent:
        assert not agent.is_ready
        await event_log.say(*issuer.said, issuer.beat())
        await until(agent, lambda: agent.is_ready)


async def test_waiting_ends_when_the_agent_does(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings
) -> None:
    await event_log.say(*issuer.said, issuer.beat())
    async with agent_on(event_log, settings) as agent:
        waiter = asyncio.create_task(agent.changed())
        await asyncio.sleep(0)
    async with asyncio.timeout(SOON):
        await waiter


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trust": Path("/no/such/trust.json")}, "setting 'trust': "),
        ({"log": "redis://x"}, "setting 'log': no event log has the scheme 'redis'"),
        ({"log": "kafka://"}, "setting 'log': a kafka:// URL names its brokers"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_before_anything_starts(
    settings: AgentSettings, change: dict[str, Any], message: str
) -> None:
    given: dict[str, Any] = {"log": settings.log, "trust": settings.trust} | change

    with pytest.raises(SettingInvalid) as refused:
        Agent(AgentSettings(**given))
    assert str(refused.value).startswith(message)


async def test_keys_that_cannot_be_used_are_shown_with_the_reason(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings
) -> None:
    issuer.keys["odd"] = type(issuer.keys[issuer.key.kid])(kid="odd", alg="ES999", state=KeyState.ACTIVE, jwk={})
    issuer.publish_keys()
    issuer.publish_key(signing_key("ES256", "second"), KeyState.PENDING)
    await event_log.say(*issuer.said, issuer.beat())

    async with agent_on(event_log, settings) as agent:
        assert agent.status().unusable_keys == {"odd": "algorithm 'ES999' is not supported"}
        assert agent.status().keys["second"] == "pending"


async def test_a_clock_that_differs_from_the_issuers_is_reported(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings
) -> None:
    await event_log.say(*issuer.said, issuer.beat())
    issuer.clock.wall += 40

    async with agent_on(event_log, settings) as agent:
        assert agent.status().clock_skew == 40.0
        assert agent.freshness() == 40.0


async def test_an_agent_logs_no_more_than_a_line_a_fact(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "verifier_agent")
    await event_log.say(*issuer.said, issuer.beat())
    async with agent_on(event_log, settings):
        pass

    assert caplog.messages == ["agent_fresh"]


async def test_a_stream_with_a_hole_that_lasts_is_read_again_from_its_start(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings
) -> None:
    await event_log.say(*issuer.said, issuer.beat())

    async with agent_on(event_log, settings) as agent:
        behind = issuer.revoke(Selector.of(sub="alice"))
        await event_log.say(issuer.revoke(Selector.of(sub="bob")), issuer.beat())
        await until(agent, lambda: bool(agent.status().holes))
        # As if the log had lost its tail and grown again: the event lies before the position that the agent has.
        event_log.kept._streams[Stream.REVOCATIONS].insert(0, behind.text)
        issuer.clock.advance(6)
        await event_log.say(issuer.beat())
        async with asyncio.timeout(SOON):
            while agent.status().holes:
                issuer.clock.advance(1)
                await agent.changed()

        assert agent.status().selectors == 2


async def test_a_log_that_is_opened_again_is_read_on_and_not_from_its_start(
    issuer: IssuerSimulator, event_log: FailingLog, settings: AgentSettings, no_jitter: None
) -> None:
    await event_log.say(*issuer.said, issuer.beat())

    async with agent_on(event_log, settings) as agent:
        event_log.faults = [LogUnavailable("away")]
        await event_log.say(issuer.beat())  # what is being read already does not fail
        await agent.changed()
        await event_log.say(issuer.revoke(Selector.of(sub="bob")))
        await until(agent, lambda: agent.status().selectors == 1)

        assert event_log.opened == 2
        assert all(after[Stream.KEYS] is not None for after in event_log.reads[1:])
