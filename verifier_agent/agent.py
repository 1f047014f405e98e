"""The agent: a verifier that is kept up to date by a task on the event loop.

async with Agent(settings) as agent:
    claims = agent.verify(token, audience="orders", scope="orders:read")
"""

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec

from events import IssuerTrust
from events.errors import LogMisconfigured
from events.log import EventLog, open_log
from verifier_agent.clocks import Clock, SystemClock
from verifier_agent.errors import SettingInvalid
from verifier_agent.follower import LogFollower
from verifier_agent.hot_path import Verify, hot_path
from verifier_agent.settings import AgentSettings
from verifier_agent.verifier import Verifier

log = logging.getLogger(__name__)


class AgentReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent knows, and how well.

    Attributes:
        issuer: whose events it follows.
        ready: whether everything has been known at least once.
        freshness: seconds since everything was known; ``None`` when it never was.
        clock_skew: seconds by which this machine's clock seems ahead of the issuer's; ``None`` if unknown.
        applied: stream to the highest ``seq`` up to which nothing is missing.
        holes: stream to the missing ``seq`` ranges, by the newest heartbeat.
        forks: contradictions seen, in words.
        misunderstood: critical events that this version does not know.
        keys: ``kid`` to state.
        unusable_keys: ``kid`` of keys that this version cannot use, and why.
        selectors: selector revocations in force.
        digests: single-token revocations in force.
        refused: events refused, by code.
        log_failures: how often the log could not be read.
    """

    issuer: str
    ready: bool
    freshness: float | None
    clock_skew: float | None
    applied: dict[str, int]
    holes: dict[str, list[tuple[int, int]]]
    forks: list[str]
    misunderstood: list[str]
    keys: dict[str, str]
    unusable_keys: dict[str, str]
    selectors: int
    digests: int
    refused: dict[str, int]
    log_failures: int


class Agent:
    """Follows the events of one issuer and verifies its tokens from memory.

    Attributes:
        verifier: what is known, and the rules.
        verify: ``agent.verify(token, audience=…, scope=…)`` gives the claims of a good token, from memory, without
            waiting for anything, from any thread; its arguments and errors are those of ``Verifier.verify``.
    """

    def __init__(
        self,
        settings: AgentSettings,
        *,
        open_event_log: Callable[[], EventLog] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Read the trust file; nothing is connected yet.

        Args:
            settings: what to follow and how to judge.
            open_event_log: makes the log to follow; by default the one that ``settings.log`` names.
            clock: the machine's by default.

        Raises:
            SettingInvalid: the trust file cannot be used, or there is no log of that name.
        """
        try:
            trust = IssuerTrust.load(settings.trust)
            self.verifier = Verifier(trust, settings.policy())
        except (OSError, ValueError) as error:
            raise SettingInvalid(f"setting 'trust': {error}") from error
        if open_event_log is None:
            open_event_log = _opening(settings.log)
        self._settings = settings
        self._clock = clock or SystemClock()
        self.verify: Verify = hot_path(self.verifier, self._clock)
        self._follower = LogFollower(self.verifier, open_event_log, self._clock, self._on_applied)
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Start following, and wait up to ``start_timeout`` until everything is known.

        Past that the agent is there all the same: it says ``VerificationUnavailable`` until it knows enough.
        """
        self._task = asyncio.create_task(self._follower.run(), name="tocsin-agent")
        try:
            ready = await self.ready(self._settings.start_timeout)
        except BaseException:  # cancelled: nobody will call __aexit__
            await self._stop()
            raise
        if not ready:
            state = self.verifier.state
            log.warning("agent_not_ready", extra={"issuer": state.issuer, "holes": len(state.holes())})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    def freshness(self) -> float | None:
        """Seconds since everything was known; ``None`` when it never was."""
        return self.verifier.freshness(self._clock.now(), self._clock.boot())

    async def ready(self, timeout: float) -> bool:
        """Wait until everything has been known once, at most ``timeout`` seconds; whether it has."""
        try:
            async with asyncio.timeout(timeout):
                while self.verifier.state.freshness.covered is None:
                    await self.changed()
        except TimeoutError:
            return False
        return True

    async def changed(self) -> None:
        """Wait until further events have been applied.

        Raises:
            RuntimeError: the agent is not running.
        """
        if self._task is None or self._task.done():
            raise RuntimeError("the agent is not running; use it as a context: async with Agent(settings)")
        waiter = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait([waiter, self._task], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()

    def status(self) -> AgentReport:
        """What is known, and how well."""
        state, now, boot = self.verifier.state, self._clock.now(), self._clock.boot()
        return AgentReport(
            issuer=state.issuer,
            ready=state.freshness.covered is not None,
            freshness=state.freshness.age(now, boot),
            clock_skew=state.freshness.clock_skew(now, boot),
            applied={str(stream): sequence.contiguous() for stream, sequence in state.sequences.items()},
            holes={str(stream): holes for stream, holes in state.holes().items()},
            forks=state.forks(),
            misunderstood=sorted(self.verifier.misunderstood),
            keys={key.kid: str(key.state) for key in state.keys.published},
            unusable_keys=dict(state.keys.unusable),
            selectors=state.revocations.selectors,
            digests=state.revocations.digests,
            refused={str(code): count for code, count in self.verifier.refused.items()},
            log_failures=self._follower.failures,
        )

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _on_applied(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _opening(url: str) -> Callable[[], EventLog]:
    """What opens the log at ``url``, once for each connection."""
    try:
        open_log(url)  # connects nothing; a URL that cannot be used is told before anything starts
    except LogMisconfigured as error:
        raise SettingInvalid(f"setting 'log': {error}") from error
    return lambda: open_log(url)
