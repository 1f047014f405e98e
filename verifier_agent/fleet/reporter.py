"""Enrols an agent, and says again and again how it is. Nobody who verifies waits for any of it."""

import asyncio
import logging
import os
import random
import secrets
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from events import AgentStatus, EventSigner, Stream, pack
from events.records import KNOWN
from verifier_agent.clocks import Clock
from verifier_agent.fleet.identity import AgentIdentity, KeptIdentity
from verifier_agent.fleet.report import FleetReport
from verifier_agent.fleet.sinks import Registry, Sinks, StatusRefused, StatusSink
from verifier_agent.fleet.timing import StatusTiming

log = logging.getLogger(__name__)

FAREWELL_SECONDS: Final = 2.0
"""Longest that stopping waits for the farewell to go out; without it the agent counts until it is too old to verify."""
ENROL_EVERY: Final = 3600.0
"""Seconds after which an agent enrols again: its issuer may have gone back, or somebody has removed it."""
MAX_NAME: Final = 128


class Condition(NamedTuple):
    """How an agent is at one moment.

    Attributes:
        applied: see ``AgentStatus``, as for the others.
        unusable_keys: see there.
        freshness: see there.
        max_staleness: see there.
        heir: see there.
    """

    applied: Mapping[str, int]
    unusable_keys: tuple[str, ...]
    freshness: float | None
    max_staleness: float | None
    heir: str = ""


class Reporter:
    """Says how one agent is. One task runs it and owns it.

    Attributes:
        enrolled: whether the issuer knows this agent.
    """

    def __init__(
        self,
        issuer: str,
        name: str | None,
        condition: Callable[[], Condition],
        registry: Registry,
        log_sink: StatusSink | None,
        clock: Clock,
        *,
        every: float,
        folder: Path | None = None,
    ) -> None:
        """Set up; nothing is opened or connected yet.

        Args:
            issuer: whose events the agent follows.
            name: for people; host and process when absent.
            condition: how the agent is now.
            registry: the issuer.
            log_sink: goes first where there is one.
            clock: of this machine.
            every: longest pause between two statuses, seconds.
            folder: keeps the agent's key; without one it is in memory.
        """
        self.enrolled = False
        self._issuer = issuer
        self._name = (name or f"{socket.gethostname()}:{os.getpid()}")[:MAX_NAME]
        self._condition = condition
        self._registry = registry
        self._sinks = Sinks([registry] if log_sink is None else [log_sink, registry], clock.boot)
        self._clock = clock
        self._every = every
        self._version = _version()
        self._kept = None if folder is None else KeptIdentity(folder)
        self._identity: AgentIdentity | None = None
        self._timing = StatusTiming(every, random.uniform)
        self._enrol_at = 0.0
        self._seq = 0
        self._said = 0
        self._failures = 0
        self._last_error: str | None = None
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Something has been applied."""
        self._news.set()

    def status(self) -> FleetReport:
        """How the enrolment stands."""
        return FleetReport(
            agent=None if self._identity is None else self._identity.agent,
            name=self._name,
            enrolled=self.enrolled,
            said=self._said,
            path=self._sinks.path,
            failures=self._failures,
            last_error=self._last_error,
        )

    async def run(self) -> None:
        """Enrol, and say how the agent is, until cancelled."""
        if self._identity is None:
            take = AgentIdentity.create if self._kept is None else self._kept.take
            self._identity = await asyncio.to_thread(take)
        while True:
            await self._until_due()
            try:
                await self._speak(self._identity)
            except StatusRefused as error:
                self._note_failure(error)
            except Exception as error:
                # A client library's fault must not end the agent's task, nor silence it for good.
                log.exception("agent_status_failed", extra={"issuer": self._issuer})
                self._note_failure(error)

    async def farewell(self) -> None:
        """Say that the agent stops, unless nobody knows it, and let go of everything."""
        try:
            if self.enrolled and self._identity is not None:
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await self._sinks.send(self._signed(self._identity, self._condition(), farewell=True))
        except (StatusRefused, TimeoutError) as error:
            log.warning("agent_farewell_unsaid", extra={"error": str(error) or "time-out"})
        finally:
            self.enrolled = False
            await self._sinks.close()
            if self._kept is not None:
                self._kept.release()

    async def _until_due(self) -> None:
        while True:
            self._news.clear()
            now = self._clock.boot()
            pause = self._timing.due(now, self._condition().applied) - now
            if pause <= 0:
                return
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
            except TimeoutError:
                pass

    async def _speak(self, identity: AgentIdentity) -> None:
        condition = self._condition()
        if not self.enrolled or self._clock.boot() >= self._enrol_at:
            await self._enrol(identity, condition)
        else:
            await self._sinks.send(self._signed(identity, condition))
        self._timing.said(self._clock.boot(), condition.applied)
        self._said += 1
        self._last_error = None

    async def _enrol(self, identity: AgentIdentity, condition: Condition) -> None:
        """Be known by key and first status in one; that must be newer than all that the issuer has heard of us."""
        answer = await self._registry.enrol(self._enrolment(identity, condition))
        if answer.after > self._seq:  # this machine's clock went back since the last start
            self._seq = answer.after
            await self._registry.enrol(self._enrolment(identity, condition))
        if not self.enrolled:
            log.info("agent_enrolled", extra={"agent": identity.agent, "name_": self._name})
        self.enrolled = True
        self._enrol_at = self._clock.boot() + ENROL_EVERY * random.uniform(0.8, 1.2)  # noqa: S311 - jitter

    def _enrolment(self, identity: AgentIdentity, condition: Condition) -> dict[str, Any]:
        return {"jwk": identity.public_jwk, "status": self._signed(identity, condition).decode("ascii")}

    def _note_failure(self, error: Exception) -> None:
        if isinstance(error, StatusRefused) and error.unknown:
            self.enrolled = False
        words = str(error) or type(error).__name__
        level = logging.DEBUG if self._last_error else logging.WARNING
        log.log(level, "agent_status_unsaid", extra={"issuer": self._issuer, "error": words})
        self._failures += 1
        self._last_error = words
        self._timing.failed(self._clock.boot())

    def _signed(self, identity: AgentIdentity, condition: Condition, *, farewell: bool = False) -> bytes:
        now = self._clock.now()
        # Milliseconds: they go on growing when an agent starts again, and the issuer says where they must go on.
        self._seq = max(self._seq + 1, int(now * 1000), pack(1, 1))
        status = AgentStatus(
            agent=identity.agent,
            time=round(now, 3),
            name=self._name,
            version=self._version,
            applied=dict(condition.applied),
            unusable_keys=condition.unusable_keys,
            freshness=None if condition.freshness is None else round(condition.freshness, 3),
            max_staleness=condition.max_staleness,
            understands=tuple(KNOWN),
            every=self._every,
            farewell=farewell,
            heir=condition.heir,
        )
        signer = EventSigner(self._issuer, identity.key)
        return signer.sign(Stream.AGENTS, self._seq, status, time=now, txn=secrets.token_hex(8)).text


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("tocsin")
    except PackageNotFoundError:
        return "unknown"
