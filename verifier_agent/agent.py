"""The agent: a verifier that is kept up to date by a task on the event loop.

async with Agent(settings) as agent:
    claims = agent.verify(token, audience="orders", scope="orders:read")
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from msgspec import UNSET

from events import IssuerTrust, Stream
from events.errors import LogMisconfigured
from events.log import EventLog, SharedLog, open_log
from verifier_agent.claims import Claims
from verifier_agent.clocks import Clock, SystemClock
from verifier_agent.errors import KeyPending, SettingInvalid
from verifier_agent.failover import Failover
from verifier_agent.fleet import Reporter
from verifier_agent.fleet.reporter import Condition
from verifier_agent.fleet.sinks import LogSink, Registry
from verifier_agent.hot_path import Verify, hot_path
from verifier_agent.jwks import ForeignKeys, JwksFetcher, JwksRefresher
from verifier_agent.policy import Audience, OnStale
from verifier_agent.report import AgentReport, ForeignReport
from verifier_agent.saved.protocol import SnapshotSource, StateStore
from verifier_agent.settings import AgentSettings
from verifier_agent.settling import Settling
from verifier_agent.staleness import StalenessWatch, is_stale
from verifier_agent.stores import FROM_LOG, Stores
from verifier_agent.verifier import Verifier

log = logging.getLogger(__name__)

KEY_SECONDS: Final = 2.0
"""How long ``verify_or_wait`` waits for a foreign issuer's key unless told otherwise."""


class Agent:
    """Follows the events of one issuer and verifies its tokens from memory.

    Attributes:
        verifier: what is known, and the rules.
        verify: ``agent.verify(token, audience=…, scope=…)`` gives the claims of a good token, from memory, without
            waiting for anything, from any thread; its arguments and errors are those of ``Verifier.verify``.
        foreign: what keeps the keys of each foreign issuer up to date.
    """

    def __init__(
        self,
        settings: AgentSettings,
        *,
        shared: SharedLog | None = None,
        open_event_log: Callable[[], EventLog] | None = None,
        open_fallback_log: Callable[[], EventLog] | None = None,
        clock: Clock | None = None,
        jwks_fetcher: JwksFetcher | None = None,
        stores: Mapping[str, StateStore] | None = None,
        snapshot_source: SnapshotSource | None = None,
        registry: Registry | None = None,
    ) -> None:
        """Read the trust file; nothing is connected yet.

        Args:
            settings: what to follow and how to judge.
            shared: the log to follow, which other agents of this event loop follow too.
            open_event_log: makes the log to follow; by default the one that ``settings.log`` names.
            open_fallback_log: makes the one beside it; by default that of ``settings.fallback_log``, if there is one.
            clock: the machine's by default.
            jwks_fetcher: asks foreign issuers for their keys; over HTTP by default, for which aiohttp is needed.
            stores: what to start from, in this order, and to save to, by name; by default those that the settings name.
            snapshot_source: gives new snapshots to save; by default the issuer, where ``settings.snapshot_url`` is.
            registry: where to enrol; by default the issuer, where ``settings.enrol_url`` is.

        Raises:
            SettingInvalid: the trust file cannot be used, there is no log of that name, or our own issuer is among the
                foreign ones.
        """
        try:
            trust = IssuerTrust.load(settings.trust)
            foreign = [ForeignKeys(issuer) for issuer in settings.foreign_issuers]
            opener = None if shared is None else shared.opener(trust)
            self.verifier = Verifier(trust, settings.policy(), foreign, opener)
        except SettingInvalid:
            raise
        except (OSError, ValueError) as error:
            raise SettingInvalid(f"setting 'trust': {error}") from error
        if open_event_log is None:
            open_event_log = _opening(settings.log, "log") if shared is None else shared.open
        if open_fallback_log is None and settings.fallback_log is not None:
            open_fallback_log = _opening(settings.fallback_log, "fallback_log")
        self._settings = settings
        self._clock = clock or SystemClock()
        self.verify: Verify = hot_path(self.verifier, self._clock)
        self._stores = Stores(settings, self.verifier, self._clock, stores=stores, source=snapshot_source)
        self._settling = Settling(self.verifier.state.revocations)
        self._staleness = StalenessWatch(trust.issuer, self.freshness, settings.max_staleness)
        heard = self._stores.hear if self._stores.wanted else None
        self._logs = Failover(self.verifier, open_event_log, open_fallback_log, self._clock, self._on_applied, heard)
        self.foreign = {
            keys.issuer.issuer: JwksRefresher(keys, jwks_fetcher or _http_fetcher(), self._clock, self._on_keys_gone)
            for keys in foreign
        }
        self._reporter = self._enrolling(trust.issuer, open_event_log, registry)
        self._task: asyncio.Task[None] | None = None
        self._others: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Start following, and wait up to ``start_timeout`` until everything is known.

        What has been saved counts from the beginning. Past ``start_timeout`` the agent is there all the same: it goes
        by what was saved, and says ``VerificationUnavailable`` when that is too old or nothing.
        """
        try:
            await self._stores.recall()
            self._start_tasks()
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

    async def verify_or_wait(
        self,
        token: str,
        *,
        audience: Audience = UNSET,
        scope: str | None = None,
        caller: str | None = None,
        max_staleness: float | None = None,
        timeout: float = KEY_SECONDS,
    ) -> Claims:
        """As ``verify``, but for a foreign issuer's key that may be new it waits until it has been asked for.

        Args:
            token: see ``Verifier.verify``, as for the other arguments.
            audience: see there.
            scope: see there.
            caller: see there.
            max_staleness: see there.
            timeout: seconds to wait at most; after them ``KeyPending`` is raised.

        Raises:
            TokenRejected: the token is no good; ``code`` says why.
            VerificationUnavailable: nothing can be said.
            ValueError: neither the call nor the settings name an audience.
        """
        asked: Any = {"audience": audience, "scope": scope, "caller": caller, "max_staleness": max_staleness}
        try:
            return self.verify(token, **asked)
        except KeyPending as pending:
            await self.foreign[pending.issuer].wait_for(pending.kid, timeout, caller)
        return self.verify(token, **asked)

    def reconfigure(self, settings: AgentSettings) -> None:
        """Go on with other settings; those that take a restart stay as they are. See ``AgentSettings.HOT``.

        Every token is judged anew.
        """
        self._settings = msgspec.structs.replace(
            self._settings, **{name: getattr(settings, name) for name in AgentSettings.HOT}
        )
        self.verifier.reconfigure(self._settings.policy())
        self._staleness.limit = self._settings.max_staleness

    def freshness(self) -> float | None:
        """Seconds since everything was known; ``None`` when it never was."""
        return self.verifier.freshness(self._clock.now(), self._clock.boot())

    @property
    def is_ready(self) -> bool:
        """Whether everything is known that the log held when we came; what was saved alone is not enough for that."""
        covered, barrier = self.verifier.state.freshness.covered, self._logs.barrier
        if covered is None or self._stores.started_from == FROM_LOG:
            return covered is not None
        return barrier is not None and covered.time >= barrier

    async def ready(self, timeout: float) -> bool:
        """Wait until everything has been known once, at most ``timeout`` seconds; whether it has."""
        try:
            async with asyncio.timeout(timeout):
                while not self.is_ready:
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
        await self._changed.wait()  # or for the end of the task

    def status(self) -> AgentReport:
        """What is known, and how well."""
        state, now, boot = self.verifier.state, self._clock.now(), self._clock.boot()
        age = state.freshness.age(now, boot)
        return AgentReport(
            issuer=state.issuer,
            ready=self.is_ready,
            stale=is_stale(age, self._settings.max_staleness),
            freshness=age,
            clock_skew=state.freshness.clock_skew(now, boot),
            applied={str(stream): sequence.contiguous() for stream, sequence in state.sequences.items()},
            holes={str(stream): holes for stream, holes in state.holes().items()},
            forks=state.forks(),
            misunderstood=sorted(self.verifier.misunderstood),
            event_keys=[link.kid for link in self.verifier.event_keys.links],
            begun_anew=state.begun_anew,
            keys={key.kid: str(key.state) for key in state.keys.published},
            unusable_keys=dict(state.keys.unusable),
            selectors=state.revocations.selectors,
            digests=state.revocations.digests,
            refused={str(code): count for code, count in self.verifier.refused.items()},
            log_failures=self._logs.failures,
            log_read="log" if self._logs.fault is None else "fallback_log",
            log_fault=self._logs.fault and str(self._logs.fault),
            log_failovers=self._logs.failovers,
            log_errors=self._logs.errors,
            started_from=self._stores.started_from,
            stores=self._stores.report(),
            redis=self._stores.redis_report(),
            foreign={issuer: ForeignReport.of(refresher.keys, boot) for issuer, refresher in self.foreign.items()},
            fleet=None if self._reporter is None else self._reporter.status(),
        )

    def _start_tasks(self) -> None:
        self._task = asyncio.create_task(self._logs.run(), name="tocsin-agent")
        self._task.add_done_callback(lambda _: self._tell_change())
        self._others = [
            *(asyncio.create_task(each.run(), name="tocsin-foreign-keys") for each in self.foreign.values()),
            *(asyncio.create_task(work, name="tocsin-store") for work in self._stores.running()),
            asyncio.create_task(self._staleness.run(), name="tocsin-staleness"),
            asyncio.create_task(self._settling.run(), name="tocsin-settling"),
        ]
        if self._reporter is not None:
            self._others.append(asyncio.create_task(self._reporter.run(), name="tocsin-reporter"))

    async def _stop(self) -> None:
        tasks = [task for task in (self._task, *self._others) if task is not None]
        self._task, self._others = None, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._reporter is not None:
            await self._reporter.farewell()
        await self._stores.close()

    def _enrolling(
        self, issuer: str, open_event_log: Callable[[], EventLog], registry: Registry | None
    ) -> Reporter | None:
        """What says how this agent is, where it is to enrol."""
        settings = self._settings
        if registry is None:
            if settings.enrol_url is None:
                return None
            registry = _http_registry(settings.enrol_url)
        return Reporter(
            issuer,
            settings.agent_name,
            self._condition,
            registry,
            LogSink(open_event_log),
            self._clock,
            every=settings.status_every,
            folder=settings.state_dir,
        )

    def _condition(self) -> Condition:
        state = self.verifier.state
        applied = {
            str(Stream.KEYS): state.keys.seq,  # the newest set suffices
            str(Stream.REVOCATIONS): state.sequences[Stream.REVOCATIONS].contiguous(),
        }
        policy = self.verifier.policy
        limit = policy.max_staleness if policy.on_stale is OnStale.DENY else None
        unusable, heir = tuple(sorted(state.keys.unusable)), self.verifier.event_keys.heir
        return Condition(applied, unusable, self.freshness(), limit, heir)

    def _on_keys_gone(self, _kids: frozenset[str]) -> None:
        self.verifier.forget_foreign(self._clock.boot())

    def _on_applied(self) -> None:
        self._stores.wake()
        self._settling.wake()
        if self._reporter is not None:
            self._reporter.wake()
        self._tell_change()

    def _tell_change(self) -> None:
        """Wake all who wait for one; whoever waits from now on waits for the next."""
        self._changed.set()
        self._changed = asyncio.Event()


def _opening(url: str, setting: str) -> Callable[[], EventLog]:
    """What opens the log at ``url``, once for each connection."""
    try:
        open_log(url)  # connects nothing; a URL that cannot be used is told before anything starts
    except LogMisconfigured as error:
        raise SettingInvalid(f"setting {setting!r}: {error}") from error
    return lambda: open_log(url)


def _http_fetcher() -> JwksFetcher:
    try:
        from verifier_agent.jwks.http_fetcher import HttpFetcher
    except ImportError as error:
        raise SettingInvalid("setting 'foreign_issuers' needs aiohttp: install tocsin[sidecar]") from error
    return HttpFetcher()


def _http_registry(url: str) -> Registry:
    try:
        from verifier_agent.fleet.issuer_registry import IssuerRegistry
    except ImportError as error:
        raise SettingInvalid("setting 'enrol_url' needs aiohttp: install tocsin[sidecar]") from error
    return IssuerRegistry(url)
