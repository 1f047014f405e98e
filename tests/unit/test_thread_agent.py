"""The agent in a thread of its own, on a log in memory. What forks is in ``tests/integration``."""

import asyncio
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from events import LogUnavailable, Selector, SignedEvent, Stream
from events.log import Entry
from tests.simulator import AUDIENCE, IssuerSimulator
from tests.unit.jwks.foreign_issuer import ISSUER, JWKS_URI, jwks, key
from verifier_agent import (
    Agent,
    AgentSettings,
    ForeignIssuer,
    KeyPending,
    RejectionCode,
    SettingInvalid,
    ThreadAgent,
    TokenRejected,
    UnavailableCode,
    VerificationUnavailable,
    thread_agent,
)
from verifier_agent.file_logs import FileLogs
from verifier_agent.jwks import Answer

SOON = 60.0
"""Seconds within which what is expected happens; none of it takes that long."""


class SharedLog:
    """A log that tests append to from their own thread.

    Attributes:
        blocks: reads block the whole loop until this is set.
        blocked: set when one does.
        opened: how many handles there have been.
        closed: how many of them were closed.
        faults: what the next reads raise.
    """

    def __init__(self) -> None:
        self.streams: dict[Stream, list[bytes]] = {stream: [] for stream in Stream}
        self.blocks: threading.Event | None = None
        self.blocked = threading.Event()
        self.opened = self.closed = 0
        self.faults: list[Exception] = []

    def say(self, *events: SignedEvent) -> None:
        for event in events:
            self.streams[event.stream].append(event.text)

    def block(self) -> None:
        """Block the loop of whoever reads."""
        self.blocks = threading.Event()
        assert self.blocked.wait(SOON)

    def unblock(self) -> None:
        """Let it go on."""
        assert self.blocks is not None
        self.blocks.set()

    def open(self) -> "SharedLog._Handle":
        self.opened += 1
        return self._Handle(self)

    class _Handle:
        def __init__(self, log: "SharedLog") -> None:
            self._log = log
            self._reading = False
            self._closed = False

        async def append(self, stream: Stream, events: Sequence[bytes]) -> None:
            raise NotImplementedError

        async def read(self, after: Mapping[Stream, int | None], *, wait: float, limit: int = 1000) -> list[Entry]:
            self._reading = True
            try:
                return await self._read(after, wait, limit)
            finally:
                self._reading = False

        async def _read(self, after: Mapping[Stream, int | None], wait: float, limit: int) -> list[Entry]:
            for _ in range(int(wait * 500)):
                if self._log.blocks is not None:
                    self._log.blocked.set()
                    self._log.blocks.wait(SOON)
                if self._closed:
                    raise LogUnavailable("this log has been closed")
                if self._log.faults:
                    raise self._log.faults.pop()
                if found := self._found(after, limit):
                    return found
                await asyncio.sleep(0.002)
            return []

        def _found(self, after: Mapping[Stream, int | None], limit: int) -> list[Entry]:
            return [
                Entry(stream, at, event)  # type: ignore[arg-type]
                for stream, position in after.items()
                for at, event in enumerate(self._log.streams[stream])
                if position is None or at > position
            ][:limit]

        async def head(self, stream: Stream) -> int | None:
            return len(self._log.streams[stream]) - 1 if self._log.streams[stream] else None

        async def check(self) -> list[str]:
            return []

        async def close(self) -> None:
            assert not self._reading  # SQLite's connection would crash
            self._log.closed += 1
            self._closed = True


class OneDocument:
    """A fetcher that brings a foreign issuer's keys, once it may."""

    def __init__(self) -> None:
        self.may = True
        self.kids = ["one"]

    async def fetch(self, url: str, *, limit: int, etag: str | None) -> Answer:  # noqa: ARG002 - the Protocol's
        """See ``JwksFetcher``."""
        while not self.may:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.002)
        return Answer(200, {}, jwks(*self.kids))


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.fixture
def event_log(issuer: IssuerSimulator) -> SharedLog:
    """A log that says everything so far."""
    log = SharedLog()
    log.say(*issuer.said, issuer.beat())
    return log


@pytest.fixture
def settings(issuer: IssuerSimulator, tmp_path: Path) -> AgentSettings:
    issuer.trust.save(tmp_path / "trust.json")
    return AgentSettings(log="memory:", trust=tmp_path / "trust.json", audience=AUDIENCE, start_timeout=SOON)


@pytest.fixture
def agent(issuer: IssuerSimulator, event_log: SharedLog, settings: AgentSettings) -> ThreadAgent:
    """One that has not been started."""
    return ThreadAgent(settings, open_event_log=event_log.open, clock=issuer.clock)


def until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.002)


def rejection(agent: ThreadAgent, token: str) -> RejectionCode | None:
    try:
        agent.verify(token)
    except TokenRejected as rejected:
        return rejected.code
    return None


def test_it_verifies_like_an_agent_without_await(agent: ThreadAgent, issuer: IssuerSimulator) -> None:
    with agent:
        assert agent.verify(issuer.token(), audience=AUDIENCE, scope="orders:read").sub == "alice"
        assert agent.freshness() == 0.0
        assert agent.ready(0)
        status = agent.status()

    assert status.ready
    assert status.keys == {issuer.key.kid: "active"}
    assert (status.holes, status.forks, status.refused, status.log_failures) == ({}, [], {}, 0)


def test_an_event_after_the_start_takes_effect(
    agent: ThreadAgent, issuer: IssuerSimulator, event_log: SharedLog
) -> None:
    token = issuer.token()
    with agent:
        assert rejection(agent, token) is None
        event_log.say(issuer.revoke(Selector.of(sub="alice")))
        until(lambda: rejection(agent, token) is RejectionCode.REVOKED)


def test_verifying_does_not_wait_for_the_loop(
    agent: ThreadAgent, issuer: IssuerSimulator, event_log: SharedLog
) -> None:
    with agent:
        event_log.block()
        assert agent.verify(issuer.token()).sub == "alice"
        assert agent.freshness() == 0.0
        event_log.unblock()


def test_a_status_is_told_though_the_loop_is_blocked(
    agent: ThreadAgent, event_log: SharedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_agent, "GRACE_SECONDS", 0.02)
    with agent:
        event_log.block()
        assert agent.status().ready
        event_log.unblock()


def test_without_a_context_it_is_started_and_stopped_by_hand(
    agent: ThreadAgent, issuer: IssuerSimulator, event_log: SharedLog
) -> None:
    agent.start()
    agent.start()
    assert rejection(agent, issuer.token()) is None
    agent.stop()
    agent.stop()

    assert event_log.opened == event_log.closed == 1
    assert rejection(agent, issuer.token()) is None  # what was known can still be asked for


def test_whoever_kept_verify_hears_on_after_a_second_start(
    agent: ThreadAgent, issuer: IssuerSimulator, event_log: SharedLog
) -> None:
    verify, token = agent.verify, issuer.token()
    with agent:
        assert verify(token).sub == "alice"
    event_log.say(issuer.revoke(Selector.of(sub="alice")), issuer.beat())
    with agent:
        until(lambda: agent.status().selectors == 1)
        with pytest.raises(TokenRejected, match="revoked"):
            verify(token)
        assert agent.verify is agent._agent.verify is verify

        event_log.say(issuer.lift(issuer.said[-1]), issuer.beat())
        until(lambda: agent.status().selectors == 0)
        assert verify(token).sub == "alice"


def test_a_second_start_reads_on_where_the_first_ended(
    agent: ThreadAgent, issuer: IssuerSimulator, event_log: SharedLog
) -> None:
    with agent:
        pass
    event_log.streams[Stream.KEYS][:] = [b"not read again"] * len(event_log.streams[Stream.KEYS])
    event_log.say(issuer.revoke(Selector.of(sub="alice")))
    with agent:
        until(lambda: agent.status().selectors == 1)
        assert agent.status().refused == {}


def test_settings_that_cannot_be_used_are_refused_where_the_agent_is_made(settings: AgentSettings) -> None:
    for change in ({"trust": Path("/no/such/trust.json")}, {"log": "redis://x"}, {"log": "sqlite://"}):
        with pytest.raises(SettingInvalid, match=r"setting '(trust|log)': "):
            ThreadAgent(msgspec.structs.replace(settings, **change))


@pytest.mark.parametrize("error", [SettingInvalid("no such file"), RuntimeError("a bug")])
def test_what_fails_at_start_is_raised_by_start(
    agent: ThreadAgent, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_agent: Agent) -> Agent:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(Agent, "__aenter__", fails)
        with pytest.raises(type(error), match=str(error)):
            agent.start()
    agent.start()  # the cause has been removed
    agent.stop()


def test_an_agent_that_does_not_get_ready_is_there_all_the_same(
    issuer: IssuerSimulator, settings: AgentSettings, caplog: pytest.LogCaptureFixture
) -> None:
    empty, hasty = SharedLog(), msgspec.structs.replace(settings, start_timeout=0.01)
    with ThreadAgent(hasty, open_event_log=empty.open, clock=issuer.clock) as agent:
        assert "agent_not_ready" in caplog.messages
        assert not agent.ready(0.01)
        with pytest.raises(VerificationUnavailable) as unavailable:
            agent.verify(issuer.token())
        assert unavailable.value.code is UnavailableCode.NO_KEYS

        empty.say(*issuer.said, issuer.beat())
        assert agent.ready(SOON)
        assert rejection(agent, issuer.token()) is None


def test_waiting_for_an_agent_that_does_not_run_is_a_mistake(agent: ThreadAgent) -> None:
    with pytest.raises(RuntimeError, match="use it as a context"):
        agent.ready(SOON)
    assert not agent.status().ready
    assert agent.freshness() is None


def test_an_interrupted_start_leaves_no_thread(settings: AgentSettings, issuer: IssuerSimulator) -> None:
    empty = SharedLog()
    agent = ThreadAgent(settings, open_event_log=empty.open, clock=issuer.clock)
    usual = signal.signal(signal.SIGUSR1, signal.default_int_handler)

    def interrupt() -> None:
        until(lambda: empty.opened == 1)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    with ThreadPoolExecutor(1) as other:
        interrupting = other.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            agent.start()
        interrupting.result()
    signal.signal(signal.SIGUSR1, usual)

    assert empty.closed == 1
    assert "tocsin-agent" not in {thread.name for thread in threading.enumerate()}


def test_it_may_be_stopped_by_several_threads_at_once(agent: ThreadAgent, event_log: SharedLog) -> None:
    agent.start()
    with ThreadPoolExecutor(4) as others:
        list(others.map(lambda _: agent.stop(), range(8)))

    assert event_log.closed == 1
    assert "tocsin-agent" not in {thread.name for thread in threading.enumerate()}


def test_a_start_that_another_thread_stops_says_so(settings: AgentSettings, issuer: IssuerSimulator) -> None:
    empty = SharedLog()
    agent = ThreadAgent(settings, open_event_log=empty.open, clock=issuer.clock)
    with ThreadPoolExecutor(1) as other:
        starting = other.submit(agent.start)
        until(lambda: empty.opened == 1)
        agent.stop()
        with pytest.raises(RuntimeError, match="being stopped"):
            starting.result(SOON)


def test_who_waits_is_told_when_it_stops(settings: AgentSettings, issuer: IssuerSimulator) -> None:
    empty, hasty = SharedLog(), msgspec.structs.replace(settings, start_timeout=0.01)
    agent = ThreadAgent(hasty, open_event_log=empty.open, clock=issuer.clock)
    agent.start()
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(agent.ready, 10 * SOON)
        until(waiting.running)
        agent.stop()
        assert waiting.exception(SOON) is not None or waiting.result() is False


def test_a_blocked_loop_keeps_nobody_from_stopping_and_ends_when_it_is_free(
    agent: ThreadAgent, event_log: SharedLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(thread_agent, "STOP_SECONDS", 0.05)
    agent.start()
    event_log.block()
    agent.stop()
    assert "agent_not_stopped" in caplog.messages
    with pytest.raises(RuntimeError, match="being stopped"):
        agent.start()  # two would apply events to one state

    event_log.unblock()
    until(lambda: event_log.closed == 1)
    until(lambda: "tocsin-agent" not in {thread.name for thread in threading.enumerate()})
    agent.start()
    agent.stop()


# -- while the process forks


def test_before_a_fork_the_loop_comes_to_rest_and_goes_on_afterwards(
    agent: ThreadAgent, issuer: IssuerSimulator, event_log: SharedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_agent, "GRACE_SECONDS", 0.02)
    token = issuer.token()
    with agent:
        agent.hold()
        event_log.say(issuer.revoke(Selector.of(sub="alice")))
        assert rejection(agent, token) is None
        assert agent.status().selectors == 0
        agent.go_on()
        until(lambda: rejection(agent, token) is RejectionCode.REVOKED)


def test_an_agent_that_does_not_run_holds_up_no_fork(agent: ThreadAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_agent, "HOLD_SECONDS", 1000.0)
    agent.hold()
    agent.go_on()
    with agent:
        pass
    agent.hold()
    agent.go_on()
    agent.start()
    agent.stop()


def test_in_a_child_process_locks_that_others_held_keep_nobody_waiting(
    agent: ThreadAgent, issuer: IssuerSimulator, event_log: SharedLog
) -> None:
    with agent:
        pass
    agent.hold()
    agent._lock.acquire()
    agent.verifier.verified._lock.acquire()
    agent.go_on_as_child()
    event_log.say(issuer.revoke(Selector.of(sub="bob")))
    with agent:
        until(lambda: agent.status().selectors == 1)
        assert rejection(agent, issuer.token()) is None


# -- foreign issuers


def foreign_token(issuer: IssuerSimulator, kid: str) -> str:
    now = int(issuer.clock.now())
    claims = {"iss": ISSUER, "sub": "carol", "aud": AUDIENCE, "iat": now, "exp": now + 300}
    return key(kid).jws({"alg": "ES256", "kid": kid, "typ": "at+jwt"}, json.dumps(claims).encode())


@pytest.fixture
def fetcher() -> OneDocument:
    return OneDocument()


@pytest.fixture
def trusting(
    issuer: IssuerSimulator, event_log: SharedLog, settings: AgentSettings, fetcher: OneDocument
) -> ThreadAgent:
    """One that takes a foreign issuer's tokens."""
    foreign = ForeignIssuer(issuer=ISSUER, jwks_uri=JWKS_URI, algorithms=("ES256",))
    settings = msgspec.structs.replace(settings, foreign_issuers=(foreign,))
    return ThreadAgent(settings, open_event_log=event_log.open, clock=issuer.clock, jwks_fetcher=fetcher)


def test_a_foreign_key_that_may_be_new_is_waited_for(
    trusting: ThreadAgent, issuer: IssuerSimulator, fetcher: OneDocument
) -> None:
    fetcher.may, token = False, foreign_token(issuer, "one")
    with trusting, ThreadPoolExecutor(1) as other:
        with pytest.raises(KeyPending):
            trusting.verify_or_wait(token, timeout=0.01)
        waiting = other.submit(trusting.verify_or_wait, token, timeout=SOON)
        until(waiting.running)
        fetcher.may = True
        assert waiting.result(SOON).sub == "carol"
        assert trusting.verify_or_wait(issuer.token()).sub == "alice"


def test_foreign_keys_are_known_from_the_beginning_of_a_second_start(
    trusting: ThreadAgent, issuer: IssuerSimulator, fetcher: OneDocument
) -> None:
    token = foreign_token(issuer, "one")
    with trusting:
        assert trusting.verify_or_wait(token, timeout=SOON).sub == "carol"
    fetcher.may = False
    with trusting:
        assert trusting.verify(token).sub == "carol"
        assert trusting.verify(foreign_token(issuer, "one")).sub == "carol"
        fetcher.may, fetcher.kids = True, ["two"]
        until(lambda: trusting.status().foreign[ISSUER].keys == ["two"])
        with pytest.raises(TokenRejected):
            trusting.verify(token)


def test_a_foreign_key_is_not_waited_for_when_nobody_can_bring_it(
    trusting: ThreadAgent, issuer: IssuerSimulator
) -> None:
    with trusting:
        pass
    trusting.verifier.foreign.keys[ISSUER].usable_until = 0
    with pytest.raises(KeyPending):
        trusting.verify_or_wait(foreign_token(issuer, "two"), timeout=SOON)


# -- logs in files


async def test_a_log_that_is_let_go_of_is_closed_and_read_on_afterwards(
    issuer: IssuerSimulator, event_log: SharedLog
) -> None:
    logs = FileLogs(event_log.open)
    log = logs.open()
    begin: dict[Stream, int | None] = {Stream.KEYS: None}
    read = await log.read(begin, wait=1)
    reading = asyncio.create_task(log.read({Stream.KEYS: read[-1].position}, wait=SOON))
    await asyncio.sleep(0.01)
    async with logs.let_go():
        assert event_log.opened == event_log.closed == 1
        await asyncio.sleep(0.01)
        assert event_log.opened == 1
    event_log.say(issuer.publish_keys())

    assert [entry.data for entry in await reading] == [issuer.said[-1].text]
    assert await log.head(Stream.KEYS) == read[-1].position + 1
    await log.close()
    assert event_log.opened == event_log.closed == 2


async def test_a_log_may_be_closed_while_all_are_let_go_of(event_log: SharedLog) -> None:
    logs = FileLogs(event_log.open)
    two = [logs.open(), logs.open()]
    reading = [asyncio.create_task(log.read({Stream.AGENTS: None}, wait=SOON)) for log in two]
    await asyncio.sleep(0.01)

    async def let_go() -> None:
        async with logs.let_go():
            for task in reading:
                task.cancel()
            await asyncio.wait(reading)

    await asyncio.gather(let_go(), *(log.close() for log in two))
    assert event_log.closed == event_log.opened == 2


async def test_a_log_that_fails_of_itself_says_so(event_log: SharedLog) -> None:
    log = FileLogs(event_log.open).open()
    event_log.faults = [LogUnavailable("away")]
    with pytest.raises(LogUnavailable, match="away"):
        await log.read({Stream.KEYS: None}, wait=1)
    await log.close()


def test_only_logs_in_files_are_let_go_of() -> None:
    assert FileLogs.at("sqlite:///events.db") is not None
    for url in ("memory:", "kafka://broker:9092", "sqlite://", "redis://x"):
        assert FileLogs.at(url) is None
