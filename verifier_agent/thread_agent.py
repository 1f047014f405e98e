"""The agent for programs without an event loop: the same, without ``await``.

with ThreadAgent(settings) as agent:
    claims = agent.verify(token, audience="orders", scope="orders:read")
"""

import atexit
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from weakref import WeakSet

from msgspec import UNSET

from events.log import EventLog
from verifier_agent.agent import KEY_SECONDS, Agent
from verifier_agent.claims import Claims
from verifier_agent.clocks import Clock
from verifier_agent.errors import KeyPending, SettingInvalid
from verifier_agent.file_logs import FileLogs
from verifier_agent.freshness import Freshness
from verifier_agent.hot_path import Verify
from verifier_agent.jwks import JwksFetcher
from verifier_agent.loop_thread import LoopThread
from verifier_agent.policy import Audience
from verifier_agent.report import AgentReport
from verifier_agent.settings import AgentSettings
from verifier_agent.verifier import Verifier

log = logging.getLogger(__name__)

STOP_SECONDS: Final = 15.0
"""Longest wait for the thread to end: more than a Kafka client may take to hang up."""
HOLD_SECONDS: Final = 2.0
"""Longest wait, before a fork, for the thread to come to rest."""
GRACE_SECONDS: Final = 1.0
"""How much longer than it was told a call waits for an answer of the loop."""

T = TypeVar("T")


class ThreadAgent:
    """An ``Agent`` on an event loop in a daemon thread of its own. All of it may be called from any thread.

    It lives through forks: a child process begins with what its parent knew, at its true age, and follows the log by
    itself, over connections of its own. See docs/embedding.md.

    Attributes:
        verifier: what is known, and the rules.
        verify: see ``Agent.verify``: from memory, without waiting for anything; it does not involve the loop.
    """

    def __init__(
        self,
        settings: AgentSettings,
        *,
        open_event_log: Callable[[], EventLog] | None = None,
        open_fallback_log: Callable[[], EventLog] | None = None,
        clock: Clock | None = None,
        jwks_fetcher: JwksFetcher | None = None,
    ) -> None:
        """Read the trust file; nothing is connected yet.

        Args:
            settings: see ``Agent``, as for the other arguments.
            open_event_log: see there; a log that it opens must bear a fork while it is open.
            open_fallback_log: see there, and here.
            clock: see there.
            jwks_fetcher: see there.

        Raises:
            SettingInvalid: see there.
        """
        self._settings = settings
        self._parts: dict[str, Any] = {"clock": clock, "jwks_fetcher": jwks_fetcher}
        self._given = {"open_event_log": open_event_log, "open_fallback_log": open_fallback_log}
        self._files = self._file_logs()
        self._agent = Agent(settings, **self._openers(), **self._parts)
        self.verifier = self._agent.verifier
        self.verify: Verify = self._agent.verify
        self._thread: LoopThread | None = None
        self._has_run = self._held = False
        self._lock = threading.Lock()  # nobody waits while holding it
        _FORKS.watch(self)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def follows_file(self) -> bool:
        """Whether a log is a file of this host."""
        return bool(self._files)

    def start(self) -> None:
        """Start following, and wait up to ``start_timeout`` until everything is known, as ``Agent`` does.

        When it runs already there is only the waiting. Without ``stop`` it ends with the program.

        Raises:
            RuntimeError: it is being stopped, or the system has no thread left.
        """
        with self._lock:
            running = self._thread
            mine = running is None or running.ended
            thread = self._thread = self._next_thread() if running is None or running.ended else running
        try:
            if mine:
                thread.start()
            thread.entered.result(self._settings.start_timeout + STOP_SECONDS)
            if thread.stopping:
                raise CancelledError
        except CancelledError:
            raise RuntimeError("the agent is being stopped") from None
        except BaseException:  # interrupted: nobody will call ``stop``
            if mine:
                self.stop()
            raise

    def stop(self) -> None:
        """Stop following and end the thread; ``verify`` goes on from what is known, until that is too old.

        Any number of times, from any thread, and in ``STOP_SECONDS`` at most: a loop that is blocked ends when it can.
        """
        thread = self._thread
        if thread is None:
            return
        if not thread.stop(STOP_SECONDS):
            log.warning("agent_not_stopped", extra={"seconds": STOP_SECONDS})

    def verify_or_wait(
        self,
        token: str,
        *,
        audience: Audience = UNSET,
        scope: str | None = None,
        caller: str | None = None,
        max_staleness: float | None = None,
        timeout: float = KEY_SECONDS,
    ) -> Claims:
        """See ``Agent.verify_or_wait``; where that waits, this blocks."""
        asked: Any = {"audience": audience, "scope": scope, "caller": caller, "max_staleness": max_staleness}
        try:
            return self.verify(token, **asked)
        except KeyPending:
            waiting = self._agent.verify_or_wait(token, **asked, timeout=timeout)
            try:
                return self._run(waiting, timeout)
            except (TimeoutError, CancelledError, RuntimeError):
                pass
            raise

    def freshness(self) -> float | None:
        """Seconds since everything was known; ``None`` when it never was."""
        return self._agent.freshness()

    def ready(self, timeout: float) -> bool:
        """Block until everything has been known once, at most ``timeout`` seconds; whether it has.

        Raises:
            RuntimeError: the agent is not running.
        """
        if not self._agent.is_ready:
            try:
                return self._run(self._agent.ready(timeout), timeout)
            except (TimeoutError, CancelledError):
                return False
        return True

    def status(self) -> AgentReport:
        """What is known, and how well."""
        agent = self._agent

        async def on_the_loop() -> AgentReport:  # where nothing changes meanwhile
            return agent.status()

        try:
            return self._run(on_the_loop(), 0)
        except (TimeoutError, CancelledError, RuntimeError):
            return agent.status()

    def _run(self, coroutine: Coroutine[Any, Any, T], timeout: float) -> T:
        thread = self._thread
        if thread is None:
            coroutine.close()
            raise RuntimeError("the agent is not running; use it as a context: with ThreadAgent(settings)")
        return thread.run(coroutine, timeout + GRACE_SECONDS)

    def _file_logs(self) -> dict[str, FileLogs]:
        """Those of the logs that are files, by what opens them."""
        urls = {"open_event_log": self._settings.log, "open_fallback_log": self._settings.fallback_log}
        found = {name: FileLogs.at(url) for name, url in urls.items() if url is not None and self._given[name] is None}
        return {name: files for name, files in found.items() if files is not None}

    def _openers(self) -> dict[str, Any]:
        return self._given | {name: files.open for name, files in self._files.items()}

    def _next_thread(self) -> LoopThread:
        if self._has_run:
            self._succeed(read_on=True)
        self._has_run = True
        return self._new_thread()

    def _new_thread(self) -> LoopThread:
        return LoopThread(self._agent, self._resting, "tocsin-agent")

    def _succeed(self, *, read_on: bool) -> None:
        """Put an agent in the place of one whose loop is gone."""
        self._files = self._file_logs()
        successor = _Successor(self._agent, self._settings, **self._openers(), **self._parts)
        if read_on:
            successor.read_on(self._agent)
        self._agent = successor

    @asynccontextmanager
    async def _resting(self) -> AsyncIterator[None]:
        """No file is open meanwhile."""
        async with AsyncExitStack() as stack:
            for files in self._files.values():
                await stack.enter_async_context(files.let_go())
            yield

    # -- while the process forks

    def hold(self) -> None:
        """Called by the thread that is about to fork, before it does."""
        self._held, thread = False, self._thread
        self._held = thread is not None and thread.hold(HOLD_SECONDS)

    def go_on(self) -> None:
        """Called in the process that has forked."""
        self._held = False
        if self._thread is not None:
            self._thread.release()

    def go_on_as_child(self) -> None:
        """Called in the child process, where the thread does not exist, and locks may be held by nobody."""
        self._lock = threading.Lock()
        self.verifier.verified._lock = threading.Lock()  # noqa: SLF001 - a thread that is not here may hold the old one
        held, self._held = self._held, False
        thread, self._thread = self._thread, None
        if thread is None or thread.ended:
            return
        thread.abandon()
        if not held:  # an event may have been halfway: nothing counts as complete until that has been heard again
            self.verifier.state.freshness = Freshness()
            log.warning("agent_forked_unprepared", extra={"issuer": self.verifier.state.issuer})
        try:
            self._succeed(read_on=held)
            if not thread.stopping:
                self._thread = self._new_thread()
                self._thread.start()
        except (SettingInvalid, OSError, RuntimeError):
            # Such as a trust file that is gone. What is known grows old, and ``start`` says why.
            log.exception("agent_not_started_in_child", extra={"issuer": self.verifier.state.issuer})
            self._thread = None


class _Successor(Agent):
    """An agent that goes on with the verifier of an earlier one, so that whoever has its ``verify`` hears on."""

    def __init__(self, earlier: Agent, settings: AgentSettings, **parts: Any) -> None:
        self._verifier = earlier.verifier
        super().__init__(settings, **parts)
        self.verify = earlier.verify

    @property
    def verifier(self) -> Verifier:
        """The earlier one's."""
        return self._verifier

    @verifier.setter
    def verifier(self, made: Verifier) -> None:
        """Of the one just made only the foreign keys matter: those this agent will refresh. They begin as known."""
        for issuer, keys in made.foreign.keys.items():
            known = self._verifier.foreign.keys[issuer]
            keys.keys, keys.skipped, keys.usable_until = known.keys, known.skipped, known.usable_until
        self._verifier.foreign = made.foreign

    def read_on(self, earlier: Agent) -> None:
        """Follow the log from where the earlier one was, instead of from its start."""
        self._logs.first.begin_at(earlier._logs.first.place)  # noqa: SLF001 - it belongs to what is known


class _Forks:
    """Tells every agent when the process forks or ends. There is one, as there is one process."""

    def __init__(self) -> None:
        self._agents: WeakSet[ThreadAgent] = WeakSet()
        self._lock = threading.RLock()
        self._watching = False

    def watch(self, agent: ThreadAgent) -> None:
        """Tell this one, as long as it exists."""
        with self._lock:
            self._agents.add(agent)
            if not self._watching:
                self._watching = True
                atexit.register(self._stop_all)
                # A file's log has a thread of an executor, and executors end before ``atexit``, with the main thread.
                getattr(threading, "_register_atexit", atexit.register)(self._stop_on_files)
                if hasattr(os, "register_at_fork"):
                    os.register_at_fork(
                        before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child
                    )

    def _before(self) -> None:
        self._lock.acquire()  # one fork at a time
        for agent in self._agents:
            agent.hold()

    def _in_parent(self) -> None:
        for agent in self._agents:
            agent.go_on()
        self._lock.release()

    def _in_child(self) -> None:
        self._lock = threading.RLock()
        for agent in self._agents:
            agent.go_on_as_child()

    def _stop_on_files(self) -> None:
        for agent in list(self._agents):
            if agent.follows_file:
                agent.stop()

    def _stop_all(self) -> None:
        for agent in list(self._agents):
            agent.stop()


_FORKS: Final = _Forks()
