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
from typing import Any, Final

from events import Stream
from events.log import EventLog
from verifier_agent.clocks import Clock
from verifier_agent.failover_rule import SILENT_SECONDS, FailoverRule, Fault
from verifier_agent.follower import LogFollower
from verifier_agent.issuer_state import IssuerState
from verifier_agent.verifier import Verifier

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.25
TRIAL_SECONDS: Final = 600.0
"""How often it is tried whether the second log could be read, so that this is known before it must be."""
FIRST_TRIAL_SECONDS: Final = 30.0
"""Within which the first trial is; not at once, as many agents may start at the same time."""
SPREAD: Final = 1.5
"""Agents wait for a silent log up to so many times as long, so that they do not all come at once."""


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
        both = [self.first] if self.second is None else [self.first, self.second]
        return {each.name: each.health.error for each in both if each.health.error is not None}

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
