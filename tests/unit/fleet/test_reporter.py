"""What an agent says of itself, and what it does when nobody takes it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from events import AgentStatus, EventOpener, IssuerTrust, Stream
from events.errors import LogMisconfigured, LogUnavailable
from events.log.memory import MemoryLog
from tests.simulator import ISSUER, FakeClock
from verifier_agent.fleet.reporter import Condition, Reporter
from verifier_agent.fleet.sinks import AGAIN_SECONDS, Enrolled, LogSink, Sinks, StatusRefused

SOON = 20.0


class FakeRegistry:
    """An issuer that enrols whoever asks, unless a test says otherwise."""

    path = "issuer"

    def __init__(self) -> None:
        self.enrolments: list[dict[str, Any]] = []
        self.statuses: list[bytes] = []
        self.faults: list[Exception] = []
        self.after = 0
        self.closed = False

    async def enrol(self, body: dict[str, Any]) -> Enrolled:
        self.enrolments.append(body)
        self._fail()
        return Enrolled(self.after)

    async def send(self, status: bytes) -> None:
        self._fail()
        self.statuses.append(status)

    async def close(self) -> None:
        self.closed = True

    def _fail(self) -> None:
        if self.faults:
            raise self.faults.pop(0)


class Told:
    """A reporter, its registry, and what the agent knows."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.registry = FakeRegistry()
        self.applied = {"keys": 5, "revocations": 7}
        self.reporter = Reporter(
            ISSUER,
            "web-1",
            lambda: Condition(self.applied, ("odd",), 0.25, 900.0),
            self.registry,
            None,
            self.clock,
            every=5.0,
        )

    def opened(self, raw: bytes) -> tuple[int, AgentStatus]:
        """A status, its signature checked by the key that was enrolled."""
        jwk = self.registry.enrolments[0]["jwk"]
        event = EventOpener(IssuerTrust(issuer=ISSUER, event_keys=(jwk,))).open(raw, Stream.AGENTS)
        assert isinstance(event.record, AgentStatus)
        return event.seq, event.record

    async def until(self, reached: Callable[[], object]) -> None:
        """Let time pass on the agent's clock until something has come about."""
        async with asyncio.timeout(SOON):
            while not reached():
                self.clock.advance(1)
                self.reporter.wake()
                await asyncio.sleep(0.001)


async def run(told: Told, reached: Callable[[], object]) -> None:
    task = asyncio.create_task(told.reporter.run())
    try:
        await told.until(reached)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_it_enrols_with_a_first_status_and_goes_on_with_newer_ones() -> None:
    told = Told()
    await run(told, lambda: len(told.registry.statuses) >= 2)
    await told.reporter.farewell()

    first = told.registry.enrolments[0]
    said = [told.opened(first["status"].encode()), *map(told.opened, told.registry.statuses)]
    assert "d" not in first["jwk"]
    assert [seq for seq, _ in said] == sorted({seq for seq, _ in said})
    assert all((one.name, one.max_staleness, one.unusable_keys) == ("web-1", 900.0, ("odd",)) for _, one in said)
    assert [one.farewell for _, one in said] == [False] * (len(said) - 1) + [True]
    assert said[0][1].applied == told.applied
    assert "urn:tocsin:event:key-set" in said[0][1].understands


async def test_an_agent_that_the_issuer_does_not_know_any_more_enrols_again() -> None:
    told = Told()
    told.registry.faults = []
    task = asyncio.create_task(told.reporter.run())
    try:
        await told.until(lambda: told.registry.statuses)
        told.registry.faults = [StatusRefused("404 not_found", unknown=True)]
        await told.until(lambda: len(told.registry.enrolments) == 2)
    finally:
        task.cancel()
        await asyncio.wait([task])

    assert told.registry.enrolments[0]["jwk"] == told.registry.enrolments[1]["jwk"]


async def test_one_whose_clock_went_back_goes_on_above_what_the_issuer_has_heard() -> None:
    told = Told()
    told.registry.after = int(told.clock.now() * 1000) + 3_600_000
    await run(told, lambda: told.registry.statuses)

    seqs = [told.opened(body["status"].encode())[0] for body in told.registry.enrolments]
    assert seqs[1] == told.registry.after + 1
    assert told.opened(told.registry.statuses[0])[0] > seqs[1]


async def test_failures_are_counted_logged_once_and_got_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    told = Told()
    told.registry.faults = [StatusRefused("away"), StatusRefused("away"), RuntimeError("a library's fault")]
    await run(told, lambda: told.registry.statuses)

    report = told.reporter.status()
    assert (report.failures, report.enrolled, report.last_error) == (3, True, None)
    assert [record.message for record in caplog.records].count("agent_status_unsaid") == 1


async def test_nobody_who_never_enrolled_says_farewell() -> None:
    told = Told()
    await told.reporter.farewell()

    assert told.registry.statuses == []
    assert told.registry.closed


# -- where statuses go


class BrokenLog(MemoryLog):
    """A log in memory that cannot be appended to."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.appends = 0

    async def append(self, *_: object) -> None:
        self.appends += 1
        raise self.error


async def test_a_log_takes_statuses_first() -> None:
    kept, registry = MemoryLog(), FakeRegistry()
    sinks = Sinks([LogSink(lambda: kept), registry], FakeClock().boot)
    await sinks.send(b"a status")

    assert [entry.data for entry in await kept.read({Stream.AGENTS: None}, wait=0)] == [b"a status"]
    assert (sinks.path, registry.statuses) == ("log", [])


@pytest.mark.parametrize("error", [LogUnavailable("away"), LogMisconfigured("it can only be read")])
async def test_while_the_log_takes_none_they_go_to_the_issuer_and_the_log_is_left_in_peace(error: Exception) -> None:
    clock, registry, broken = FakeClock(), FakeRegistry(), BrokenLog(error)
    sinks = Sinks([LogSink(lambda: broken), registry], clock.boot)
    for status in (b"1", b"2"):
        await sinks.send(status)
    clock.advance(AGAIN_SECONDS)
    await sinks.send(b"3")

    assert registry.statuses == [b"1", b"2", b"3"]
    assert broken.appends == (2 if isinstance(error, LogUnavailable) else 1)
