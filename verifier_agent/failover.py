"""Follows one log, and a second one beside it for as long as the first does not suffice.

Both feed the same verifier: numbers are shared, and what has been applied is not applied again. So nobody has to know
where exactly one log left off and the other took over, and the first is never let go of: that it is good again is seen
by reading it. See ``docs/adr/0012-failover.md``.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, Final

from events import Stream
from events.log import EventLog
from verifier_agent.clocks import Clock
from verifier_agent.follower import LogFollower
from verifier_agent.issuer_state import IssuerState
from verifier_agent.log_health import LogHealth
from verifier_agent.verifier import Verifier

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.25
TRIAL_SECONDS: Final = 600.0
"""How often it is tried whether the second log could be read, so that this is known before it must be."""
FIRST_TRIAL_SECONDS: Final = 30.0
"""Within which the first trial is; not at once, as many agents may start at the same time."""
LATE_SECONDS: Final = 2.0
"""Looks further apart than this say that this process stood still, and nothing of the log."""
SILENT_SECONDS: Final = 3.0
"""After so long without a heartbeat, of which there is one each second, the second log is read."""
SPREAD: Final = 1.5
"""Agents wait up to so many times as long, so that they do not all come at once."""
MISSING_SECONDS: Final = 8.0
"""After so long without a part of what is missing: more than the first log takes to be read again from its start."""
STEADY_SECONDS: Final = 10.0
"""How long the first must have been good before it is read alone again; doubled each time it relapses."""
LONGEST_STEADY_SECONDS: Final = 320.0
RELAPSE_SECONDS: Final = 60.0


class Fault(StrEnum):
    """Why the first log does not suffice."""

    UNREADABLE = "unreadable"
    SILENT = "silent"
    INCOMPLETE = "incomplete"


class FailoverRule:
    """When a second log is read. No I/O, no clock.

    Attributes:
        fault: what is, or was until lately, wrong with the first; ``None`` while it is read alone.
        failovers: how often the second was begun with.
    """

    def __init__(self, patience: float = SILENT_SECONDS) -> None:
        """Set up.

        Args:
            patience: how long the first may be silent, in seconds.
        """
        self.fault: Fault | None = None
        self.failovers = 0
        self._patience = patience
        self._looked_at = self._begun_at = float("-inf")
        self._good_since: float | None = None
        self._returned_at = float("-inf")
        self._steady = STEADY_SECONDS
        self._missing: tuple[int, ...] | None = None
        self._missing_since = 0.0

    def look(self, now: float, first: LogHealth, missing: tuple[int, ...] | None) -> None:
        """Judge anew.

        Args:
            now: boot-time clock, seconds.
            first: how the first log is.
            missing: up to where each stream is complete while something is missing; ``None`` while nothing is.
        """
        if now - self._looked_at > LATE_SECONDS:
            self._begun_at = now
        self._looked_at = now
        fault = self._fault_of(now, first, missing)
        if self.fault is None:
            if fault is not None:
                self._fail_over(now, fault)
        elif fault is not None or (first.late_at is not None and now - first.late_at < SILENT_SECONDS):
            self._good_since = None
        elif self._good_since is None:
            self._good_since = now
        elif now - self._good_since >= self._steady:
            self.fault, self._returned_at = None, now

    def _fail_over(self, now: float, fault: Fault) -> None:
        relapsed = now - self._returned_at < RELAPSE_SECONDS
        self._steady = min(2 * self._steady, LONGEST_STEADY_SECONDS) if relapsed else STEADY_SECONDS
        self.fault, self._good_since = fault, None
        self.failovers += 1

    def _fault_of(self, now: float, first: LogHealth, missing: tuple[int, ...] | None) -> Fault | None:
        if missing != self._missing or missing is None:
            self._missing, self._missing_since = missing, now
        elif now - max(self._missing_since, self._begun_at) > MISSING_SECONDS:
            return Fault.INCOMPLETE
        if first.error and first.alive_at is None:  # nothing has been heard of it yet: no reason to wait
            return Fault.UNREADABLE
        heard = self._begun_at if first.alive_at is None else max(first.alive_at, self._begun_at)
        if now - heard > self._patience:
            return Fault.UNREADABLE if first.error else Fault.SILENT
        return None


class Failover:
    """Reads a first log always, and a second one when it must. One task runs it and owns it.

    Attributes:
        first: follows the first log.
        second: follows the other, if there is one.
    """

    def __init__(
        self,
        verifier: Verifier,
        open_first: Callable[[], EventLog],
        open_second: Callable[[], EventLog] | None,
        clock: Clock,
        applied: Callable[[], None],
        heard: Callable[[Stream, bytes], None] | None = None,
    ) -> None:
        """Set up.

        Args:
            verifier: whom to feed.
            open_first: opens the log that is to be read.
            open_second: opens the one beside it.
            clock: of this machine.
            applied: see ``LogFollower``.
            heard: see there.
        """
        self.first = LogFollower(verifier, open_first, clock, applied, heard)
        self.second = open_second and LogFollower(verifier, open_second, clock, applied, heard, "fallback_log")
        self._verifier = verifier
        self._clock = clock
        self._rule = FailoverRule(SILENT_SECONDS * random.uniform(1.0, SPREAD))  # noqa: S311 - jitter, not a secret
        self._barrier: float | None = None

    @property
    def fault(self) -> Fault | None:
        """Why the second is read; ``None`` while the first is read alone."""
        return self._rule.fault

    @property
    def failovers(self) -> int:
        """How often the second was begun with."""
        return self._rule.failovers

    @property
    def errors(self) -> dict[str, str]:
        """Why a log could not be read when it was last tried, by the name of its setting."""
        both = (self.first, self.second)
        return {log.name: log.health.error for log in both if log is not None and log.health.error is not None}

    @property
    def failures(self) -> int:
        """How often a log could not be read."""
        return self.first.failures + (self.second.failures if self.second else 0)

    @property
    def barrier(self) -> float | None:
        """That of the log which was heard first, see ``LogFollower``; it does not change any more."""
        if self._barrier is None:
            both = (self.first.barrier, self.second.barrier if self.second else None)
            self._barrier = max((barrier for barrier in both if barrier is not None), default=None)
        return self._barrier

    async def run(self) -> None:
        """Follow until cancelled."""
        if self.second is None:
            await self.first.run()
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.first.run(), name="tocsin-log")
            tasks.create_task(self._watch(self.second), name="tocsin-failover")
            tasks.create_task(self._try_out(self.second), name="tocsin-trial")

    async def _watch(self, second: LogFollower) -> None:
        while True:
            await self._look_while(lambda: self.fault is None)
            log.warning("event_log_failed_over", extra={"reason": str(self.fault)})
            for follower in (self.first, second):
                follower.look_for_place()
            async with _running(second.run()):
                await self._look_while(lambda: self.fault is not None)
            log.info("event_log_returned")

    async def _try_out(self, second: LogFollower) -> None:
        await asyncio.sleep(FIRST_TRIAL_SECONDS * random.random())  # noqa: S311 - jitter, not a secret
        while True:
            if self.fault is None:
                await second.try_out()
            await asyncio.sleep(TRIAL_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret

    async def _look_while(self, holds: Callable[[], bool]) -> None:
        while holds():
            self._rule.look(self._clock.boot(), self.first.health, _missing(self._verifier.state))
            await asyncio.sleep(LOOK_SECONDS)


def _missing(state: IssuerState) -> tuple[int, ...] | None:
    """Up to where each stream is complete, if anything is missing."""
    if not state.holes():
        return None
    return tuple(sequence.contiguous() for sequence in state.sequences.values())


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have this done beside what is in the context."""
    task = asyncio.create_task(work, name="tocsin-fallback-log")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
