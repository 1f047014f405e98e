"""When a second log is read beside the first, and what it is then good for."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from events import LogUnavailable, RefusalCode, Selector, SignedEvent, Stream
from events.log import Entry
from events.log.memory import MemoryLog
from tests.simulator import AUDIENCE, IssuerSimulator, publish
from verifier_agent import Agent, AgentSettings, Outcome, RejectionCode, SettingInvalid, TokenRejected
from verifier_agent.failover_rule import (
    LATE_SECONDS,
    LONGEST_STEADY_SECONDS,
    MISSING_SECONDS,
    RELAPSE_SECONDS,
    SILENT_SECONDS,
    STEADY_SECONDS,
    FailoverRule,
    Fault,
)
from verifier_agent.log_health import BEHIND_SECONDS, LogHealth
from verifier_agent.sidecar.metrics import AgentMetrics

SOON: Final = 60.0
"""Seconds within which what is expected happens; none of it takes that long."""


class Watched:
    """A rule whose log is looked at twice a second, and gives a heartbeat each time unless a test says otherwise."""

    def __init__(self) -> None:
        self.rule = FailoverRule()
        self.health = LogHealth()
        self.now = 1000.0

    def pass_time(self, seconds: float, *, beats: bool = True, missing: tuple[int, ...] | None = None) -> Fault | None:
        """Look all the while; what is wrong in the end."""
        for _ in range(int(seconds * 2)):
            self.now += 0.5
            if beats:
                self.health.alive_at = self.now
            self.rule.look(self.now, self.health, missing)
        return self.rule.fault


@pytest.fixture
def watched() -> Watched:
    """A log that has been good for a minute."""
    watched = Watched()
    watched.pass_time(60)
    return watched


def test_a_log_that_beats_suffices(watched: Watched) -> None:
    assert watched.pass_time(3600) is None
    assert watched.rule.failovers == 0


def test_a_log_that_misses_a_few_heartbeats_suffices(watched: Watched) -> None:
    assert watched.pass_time(SILENT_SECONDS, beats=False) is None


@pytest.mark.parametrize(("failing", "fault"), [(False, Fault.SILENT), (True, Fault.UNREADABLE)])
def test_a_log_without_heartbeats_does_not_suffice(watched: Watched, failing: bool, fault: Fault) -> None:
    watched.health.error = "away" if failing else None
    assert watched.pass_time(SILENT_SECONDS + 0.5, beats=False) is fault
    assert watched.rule.failovers == 1


def test_a_log_that_cannot_be_read_at_the_start_is_not_waited_for() -> None:
    watched = Watched()
    watched.health.error = "away"
    assert watched.pass_time(0.5, beats=False) is Fault.UNREADABLE


def test_a_log_that_takes_the_connection_and_gives_nothing_is_waited_for_no_longer_than_one_that_falls_silent() -> None:
    watched = Watched()
    assert watched.pass_time(SILENT_SECONDS, beats=False) is None
    assert watched.pass_time(1, beats=False) is Fault.SILENT


def test_a_process_that_stood_still_does_not_blame_the_log(watched: Watched) -> None:
    watched.now += 3600
    assert watched.pass_time(SILENT_SECONDS, beats=False) is None
    assert watched.pass_time(1, beats=False) is Fault.SILENT


def test_what_is_missing_for_long_is_asked_of_the_other_log(watched: Watched) -> None:
    assert watched.pass_time(MISSING_SECONDS, missing=(3, 4)) is None
    assert watched.pass_time(1, missing=(3, 4)) is Fault.INCOMPLETE


def test_a_long_history_that_is_still_being_read_is_not_missing(watched: Watched) -> None:
    for number in range(100):
        assert watched.pass_time(2, missing=(number,)) is None


def test_a_hole_is_measured_from_when_the_process_stood_still(watched: Watched) -> None:
    watched.pass_time(1, missing=(3,))
    watched.now += LATE_SECONDS + MISSING_SECONDS
    assert watched.pass_time(1, missing=(3,)) is None


def test_a_log_is_read_alone_again_when_it_has_been_good_for_a_while(watched: Watched) -> None:
    watched.pass_time(10, beats=False)
    assert watched.pass_time(STEADY_SECONDS) is Fault.SILENT
    assert watched.pass_time(1) is None
    assert watched.rule.failovers == 1


def test_a_log_that_falls_silent_in_between_has_to_be_good_for_as_long_again(watched: Watched) -> None:
    watched.pass_time(10, beats=False)
    watched.pass_time(STEADY_SECONDS - SILENT_SECONDS - 2)
    watched.pass_time(SILENT_SECONDS + 1, beats=False)
    assert watched.pass_time(STEADY_SECONDS) is Fault.SILENT
    assert watched.pass_time(1) is None


def test_a_log_that_gives_what_has_long_been_known_is_not_good_yet(watched: Watched) -> None:
    watched.pass_time(10, beats=False)
    for _ in range(60):
        watched.health.late_at = watched.now
        assert watched.pass_time(1) is Fault.SILENT
    assert watched.pass_time(SILENT_SECONDS + STEADY_SECONDS + 1) is None


def test_a_log_that_relapses_has_to_be_good_for_longer_each_time(watched: Watched) -> None:
    steady, needed = STEADY_SECONDS, []
    for _ in range(7):
        watched.pass_time(10, beats=False)
        assert watched.pass_time(steady) is Fault.SILENT
        assert watched.pass_time(1) is None
        needed.append(steady)
        steady = min(2 * steady, LONGEST_STEADY_SECONDS)
    assert needed == [10, 20, 40, 80, 160, 320, 320]

    watched.pass_time(RELAPSE_SECONDS + 1)
    watched.pass_time(10, beats=False)
    assert watched.pass_time(STEADY_SECONDS + 1) is None


def heard(issuer: IssuerSimulator, outcome: Outcome | RefusalCode, *, ago: float) -> LogHealth:
    """After one event of that age, and of that outcome, at 7 seconds."""
    health = LogHealth()
    event = issuer.revoke(Selector.of(sub="alice"))
    health.took(event.stream, event.text, outcome)
    health.note(7.0, event.time + ago)
    return health


@pytest.mark.parametrize(
    ("outcome", "ago", "alive", "late"),
    [
        (Outcome.APPLIED, 3600.0, 7.0, None),
        (Outcome.KNOWN, BEHIND_SECONDS, 7.0, None),
        (Outcome.KNOWN, BEHIND_SECONDS + 1, None, 7.0),
        (RefusalCode.ROLLED_BACK, BEHIND_SECONDS, 7.0, None),
        (RefusalCode.ROLLED_BACK, BEHIND_SECONDS + 1, None, 7.0),
        (RefusalCode.BAD_SIGNATURE, 0.0, None, None),
        (RefusalCode.FORKED, 0.0, None, None),
    ],
)
def test_a_log_is_alive_that_gives_what_is_new_or_as_new_as_what_is_known(
    issuer: IssuerSimulator, outcome: Outcome | RefusalCode, ago: float, alive: float | None, late: float | None
) -> None:
    health = heard(issuer, outcome, ago=ago)
    assert (health.alive_at, health.late_at) == (alive, late)


def test_a_log_is_late_no_more_when_it_has_come_to_what_is_new(issuer: IssuerSimulator) -> None:
    health = heard(issuer, Outcome.KNOWN, ago=3600.0)
    for outcome in (Outcome.KNOWN, Outcome.APPLIED):
        event = issuer.revoke(Selector.of(sub="bob"))
        health.took(event.stream, event.text, outcome)
    health.note(9.0, event.time + 3600.0)
    assert (health.alive_at, health.late_at) == (9.0, 7.0)


class BreakableLog:
    """A log in memory that can be away, or give nothing.

    Attributes:
        away: whoever reads is told that it cannot be reached.
        silent: whoever reads finds nothing.
        opened: handles that there have been.
        closed: how many of them were closed.
        given: revocations that it has given to readers.
    """

    def __init__(self) -> None:
        self.kept = MemoryLog()
        self.away = self.silent = False
        self.opened = self.closed = self.given = 0

    def open(self) -> Any:
        """A handle for one reader."""
        self.opened += 1
        return self

    async def read(self, after: Mapping[Stream, int | None], *, wait: float, limit: int = 1000) -> list[Entry]:
        self._check()
        if self.silent:
            await asyncio.sleep(0.01)
            return []
        found = await self.kept.read(after, wait=min(wait, 0.01), limit=limit)
        self._check()
        self.given += sum(entry.stream is Stream.REVOCATIONS for entry in found)
        return found

    async def head(self, stream: Stream) -> int | None:
        self._check()
        return await self.kept.head(stream)

    async def close(self) -> None:
        self.closed += 1

    def _check(self) -> None:
        if self.away:
            raise LogUnavailable("away")


class TwoLogs:
    """An issuer on two logs, and an agent that follows both; time passes quickly.

    Attributes:
        agent: whose ``log`` is the first.
        beats_of_first: who signs the heartbeats of the first.
    """

    def __init__(self, issuer: IssuerSimulator, settings: AgentSettings) -> None:
        self.issuer = self.beats_of_first = issuer
        self.first, self.second = BreakableLog(), BreakableLog()
        self.settings = settings
        self.restart()

    def restart(self) -> None:
        """An agent that begins anew, in place of the one before."""
        self.agent = Agent(
            self.settings,
            open_event_log=self.first.open,
            open_fallback_log=self.second.open,
            clock=self.issuer.clock,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The agent, and time."""
        if not await self.first.kept.head(Stream.KEYS):
            await self.say(*self.issuer.said)
        await self._beat()
        time = asyncio.create_task(self._pass_time())
        try:
            async with self.agent:
                yield
        finally:
            time.cancel()
            await asyncio.wait([time])

    async def say(self, *events: SignedEvent, to: tuple[BreakableLog, ...] = ()) -> None:
        """Append to both, or to one alone; what is away gets it all the same."""
        for log in to or (self.first, self.second):
            await publish(log.kept, *events)

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait."""
        async with asyncio.timeout(SOON):
            while not reached():  # noqa: ASYNC110 - much of it is nothing that the agent applies
                await asyncio.sleep(0.005)

    def rejection(self, token: str) -> RejectionCode | None:
        """Why the agent rejects it."""
        try:
            self.agent.verify(token)
        except TokenRejected as rejected:
            return rejected.code
        return None

    async def _pass_time(self) -> None:
        while True:
            for _ in range(4):
                self.issuer.clock.advance(0.25)
                await asyncio.sleep(0.005)
            await self._beat()

    async def _beat(self) -> None:
        await publish(self.first.kept, self.beats_of_first.beat())
        await publish(self.second.kept, self.issuer.beat())  # another one, as that of relay and feed


@pytest.fixture
def logs(issuer: IssuerSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TwoLogs:
    """Two logs that hold the same, nothing being wrong."""
    monkeypatch.setattr("verifier_agent.failover.LOOK_SECONDS", 0.005)
    monkeypatch.setattr("verifier_agent.failover.FIRST_TRIAL_SECONDS", 3600.0)
    issuer.trust.save(tmp_path / "trust.json")
    return TwoLogs(
        issuer, AgentSettings(log="memory:", trust=tmp_path / "trust.json", audience=AUDIENCE, start_timeout=SOON)
    )


async def test_while_the_first_log_suffices_the_second_is_not_opened(logs: TwoLogs) -> None:
    async with logs.running():
        start = logs.issuer.clock.boot()
        await logs.until(lambda: logs.issuer.clock.boot() > start + 30)
        status = logs.agent.status()
    assert (status.log_read, status.log_fault, status.log_failovers) == ("log", None, 0)
    assert (logs.first.opened, logs.second.opened) == (1, 0)


@pytest.mark.parametrize("how", ["away", "silent"])
async def test_revocations_arrive_by_the_second_log_and_then_by_the_first_again(logs: TwoLogs, how: str) -> None:
    tokens = [logs.issuer.token(sub=f"user-{number}") for number in range(3)]
    async with logs.running():
        setattr(logs.first, how, True)
        await logs.until(lambda: logs.agent.status().log_read == "fallback_log")
        await logs.say(logs.issuer.revoke(Selector.of(sub="user-0")))
        await logs.until(lambda: logs.rejection(tokens[0]) is RejectionCode.REVOKED)
        status = logs.agent.status()
        assert (status.log_read, status.log_failovers) == ("fallback_log", 1)
        assert status.log_fault == ("unreadable" if how == "away" else "silent")

        setattr(logs.first, how, False)
        await logs.say(logs.issuer.revoke(Selector.of(sub="user-1")))
        await logs.until(lambda: logs.agent.status().log_read == "log")
        await logs.until(lambda: logs.second.closed == logs.second.opened == 1)
        logs.second.away = True
        await logs.say(logs.issuer.revoke(Selector.of(sub="user-2")))
        await logs.until(lambda: logs.agent.status().selectors == 3)
        await logs.until(lambda: not logs.agent.status().holes)

        assert [logs.rejection(token) for token in tokens] == [RejectionCode.REVOKED] * 3
        assert set(logs.agent.status().refused) <= {"rolled_back"}
        assert logs.agent.status().log_failovers == 1
    assert logs.first.closed == logs.first.opened


async def test_a_hole_that_only_the_first_log_has_makes_stale_and_is_filled_from_the_second(logs: TwoLogs) -> None:
    token = logs.issuer.token()
    async with logs.running():
        logs.second.away = True
        await logs.say(logs.issuer.revoke(Selector.of(sub="alice")), to=(logs.second,))
        await logs.say(logs.issuer.revoke(Selector.of(sub="bob")))
        await logs.until(lambda: logs.agent.status().log_fault == "incomplete")
        assert logs.rejection(token) is None
        assert (logs.agent.freshness() or 0) > MISSING_SECONDS

        logs.second.away = False
        await logs.until(lambda: logs.rejection(token) is RejectionCode.REVOKED)
        await logs.until(lambda: logs.agent.status().log_read == "log")
        assert not logs.agent.status().holes


async def test_with_both_logs_away_what_is_known_stays_in_force_and_either_brings_what_is_new(logs: TwoLogs) -> None:
    known, later = logs.issuer.token(sub="alice"), logs.issuer.token(sub="bob")
    logs.issuer.revoke(Selector.of(sub="alice"))
    async with logs.running():
        logs.first.away = logs.second.away = True
        await logs.until(lambda: logs.agent.status().log_failures > 2)
        assert (logs.rejection(known), logs.rejection(later)) == (RejectionCode.REVOKED, None)

        await logs.say(logs.issuer.revoke(Selector.of(sub="bob")))
        logs.second.away = False
        await logs.until(lambda: logs.rejection(later) is RejectionCode.REVOKED)


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_the_logs_do_everything_takes_effect_once_and_what_is_good_is_never_refused(
    logs: TwoLogs, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - to be had again
    effects: Counter[bytes] = Counter()
    for follower in (logs.agent._logs.first, logs.agent._logs.second):
        assert follower is not None
        follower._heard = lambda _stream, raw: effects.update([raw])
    good = logs.issuer.token()
    async with logs.running():
        for number in range(60):
            for log in (logs.first, logs.second):
                log.away, log.silent = chance.choice([(False, False), (False, False), (True, False), (False, True)])
            kept = chance.choice([(logs.first, logs.second)] * 3 + [(logs.first,), (logs.second,)])
            await logs.say(logs.issuer.revoke(Selector.of(sub=f"user-{number}")), to=kept)
            assert logs.rejection(good) is None
            await asyncio.sleep(chance.uniform(0, 0.05))
        for log in (logs.first, logs.second):
            log.away = log.silent = False
        await logs.until(lambda: logs.agent.status().selectors == 60)
        await logs.until(lambda: not logs.agent.status().holes)
        assert logs.rejection(good) is None
    assert set(effects.values()) == {1}


async def test_neither_log_is_read_over_again_from_where_it_was_left(logs: TwoLogs) -> None:
    async with logs.running():
        await logs.say(*(logs.issuer.revoke(Selector.of(sub=f"user-{number}")) for number in range(100)))
        await logs.until(lambda: logs.agent.status().selectors == 100)
        logs.first.away, logs.first.given = True, 0
        await logs.until(lambda: logs.second.opened == 1)
        await logs.say(*(logs.issuer.revoke(Selector.of(sub=f"other-{number}")) for number in range(100)))
        await logs.until(lambda: logs.agent.status().selectors == 200)
        assert logs.second.given < 110

        logs.first.away = False
        await logs.until(lambda: logs.agent.status().log_read == "log")
        assert logs.first.given < 10
        assert logs.agent._logs.first.place  # for a forked process to go on from

        await logs.say(*(logs.issuer.revoke(Selector.of(sub=f"third-{number}")) for number in range(100)))
        await logs.until(lambda: logs.agent.status().selectors == 300)
        logs.first.away, logs.second.given = True, 0
        await logs.until(lambda: logs.agent.status().log_failovers == 2)
        await logs.until(lambda: logs.second.opened == 2)
        await logs.say(logs.issuer.revoke(Selector.of(sub="alice")))
        await logs.until(lambda: logs.agent.status().selectors == 301)
        assert logs.second.given < 10


async def test_what_came_by_the_second_log_is_saved_and_is_enough_to_be_ready(logs: TwoLogs, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    logs.settings = msgspec.structs.replace(logs.settings, state_dir=tmp_path / "state")
    token = logs.issuer.token()
    logs.first.away = True
    for _ in range(2):
        logs.restart()
        async with logs.running():
            await logs.say(logs.issuer.revoke(Selector.of(sub="alice")))
            await logs.until(lambda: logs.rejection(token) is RejectionCode.REVOKED)
            await logs.until(lambda: logs.agent.status().ready)
            assert logs.agent.status().log_read == "fallback_log"
    assert logs.agent.status().started_from == "disk"
    logs.restart()
    await logs.agent._stores.recall()
    assert logs.rejection(token) is RejectionCode.REVOKED
    await logs.agent._stores.close()


async def test_an_agent_starts_from_the_second_log_while_the_first_is_away(logs: TwoLogs) -> None:
    logs.first.away = True
    async with logs.running():
        assert logs.agent.status().ready
        assert logs.rejection(logs.issuer.token()) is None


async def test_heartbeats_that_the_issuer_did_not_sign_do_not_keep_the_first_log_in_favour(logs: TwoLogs) -> None:
    async with logs.running():
        logs.beats_of_first = IssuerSimulator(clock=logs.issuer.clock, alg="EdDSA")  # another event key of that name
        await logs.until(lambda: logs.agent.status().log_read == "fallback_log")
        assert logs.agent.status().refused["bad_signature"] > 1


async def test_that_the_second_log_could_not_be_read_is_known_before_it_must_be(
    logs: TwoLogs, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIRST_TRIAL_SECONDS", "TRIAL_SECONDS"):
        monkeypatch.setattr(f"verifier_agent.failover.{name}", 0.01)
    caplog.set_level(logging.INFO, "verifier_agent.follower")
    logs.second.away = True
    async with logs.running():
        await logs.until(lambda: logs.agent.status().log_errors == {"fallback_log": "away"})
        await logs.until(lambda: logs.second.opened > 3)
        logs.second.away = False
        await logs.until(lambda: not logs.agent.status().log_errors)
        assert (logs.agent.status().log_read, logs.agent.status().log_failures) == ("log", 0)
    assert [(record.msg, record.__dict__["log"]) for record in caplog.records] == [
        ("event_log_unreadable", "fallback_log"),
        ("event_log_readable", "fallback_log"),
    ]
    assert logs.second.closed == logs.second.opened


async def test_each_change_is_logged_once(logs: TwoLogs, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "verifier_agent")
    async with logs.running():
        logs.first.away = True
        await logs.until(lambda: logs.agent.status().log_failures > 2)
        logs.first.away = False
        await logs.until(lambda: "event_log_returned" in caplog.messages)
    assert [message for message in caplog.messages if message.startswith("event_log")] == [
        "event_log_unreadable",
        "event_log_failed_over",
        "event_log_readable",
        "event_log_returned",
    ]


async def test_an_agent_that_ends_has_closed_both_logs_and_left_no_task(logs: TwoLogs) -> None:
    before = asyncio.all_tasks()
    async with logs.running():
        logs.first.silent = True
        await logs.until(lambda: logs.second.opened == 1)
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == before
    assert (logs.first.closed, logs.second.closed) == (logs.first.opened, 1)


def test_the_fallback_is_shown_without_its_secret(issuer: IssuerSimulator, tmp_path: Path) -> None:
    settings = AgentSettings(log="memory:", trust=tmp_path, fallback_log="https://agents:S3cret@issuer.example/events")
    assert "S3cret" not in repr(settings)
    assert "issuer.example" in repr(settings)


def test_a_fallback_that_is_no_log_or_the_log_itself_is_refused_by_the_name_of_its_setting(
    issuer: IssuerSimulator, tmp_path: Path
) -> None:
    issuer.trust.save(tmp_path / "trust.json")
    with pytest.raises(SettingInvalid, match="'fallback_log': no event log has the scheme 'redis'"):
        Agent(AgentSettings(log="memory:", trust=tmp_path / "trust.json", fallback_log="redis://x"))
    with pytest.raises(SettingInvalid, match="'fallback_log' must be another log"):
        AgentSettings(log="memory:", trust=tmp_path / "trust.json", fallback_log="memory:")


async def test_metrics_tell_which_log_is_relied_on(logs: TwoLogs) -> None:
    metrics = AgentMetrics(logs.agent).registry.get_sample_value

    def told() -> list[float | None]:
        names = ("log", "fallback_log")
        return [metrics(f"tocsin_log_{what}", {"log": name}) for what in ("read", "error") for name in names]

    async with logs.running():
        assert (told(), metrics("tocsin_log_failovers_total")) == ([1, 0, 0, 0], 0)
        logs.first.away = True
        await logs.until(lambda: logs.agent.status().log_read == "fallback_log")
        assert (told(), metrics("tocsin_log_failovers_total")) == ([0, 1, 1, 0], 1)
