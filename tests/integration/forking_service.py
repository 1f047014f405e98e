"""A synchronous program that forks under load: ``python -m tests.integration.forking_service HOW URL TRUST TOKENS``.

HOW is ``under_load``, or ``while_blocked``: while the agent's loop cannot come to rest.
URL may be two, with a blank between them: that of the log and that of the fallback.
TOKENS is a JSON file with ``good`` tokens and ``doomed`` ones. For each doomed token a child process is forked, that
sees what its parent saw, says so, and waits until this token is revoked too. What happens is told by lines of JSON.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from tests.simulator import AUDIENCE
from verifier_agent import AgentSettings, RejectionCode, ThreadAgent, TokenRejected, thread_agent

SOON: Final = 60.0
OPEN_FILES: Final = Path("/proc/self/fd")


def say(**what: Any) -> None:
    """One line, in one piece."""
    os.write(1, json.dumps(what).encode() + b"\n")


def sockets() -> set[str]:
    """What sockets this process has open, by inode; those of parent and child may be the same."""
    found = set()
    for descriptor in OPEN_FILES.iterdir() if OPEN_FILES.exists() else ():
        try:
            found.add(str(descriptor.readlink()))
        except OSError:
            continue  # that of the listing itself
    return {name for name in found if name.startswith("socket:")}


class Load:
    """Threads that verify good tokens all the time."""

    def __init__(self, agent: ThreadAgent, tokens: list[str]) -> None:
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(agent, tokens)) for _ in range(3)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, agent: ThreadAgent, tokens: list[str]) -> None:
        while not self._stop.is_set():
            for token in tokens:
                try:
                    agent.verify(token)
                except Exception as error:  # noqa: BLE001 - told to the test
                    self.failures.append(repr(error))
            self._stop.wait(0.005)


class Service:
    """The agent with its tokens."""

    def __init__(self, url: str, trust: str, tokens: str) -> None:
        given = json.loads(Path(tokens).read_text())
        log, _, fallback = url.partition(" ")
        self.good: list[str] = given["good"]
        self.doomed: list[str] = given["doomed"]
        # Few tokens are remembered: most are verified anew, so locks are taken all the time.
        self.agent = ThreadAgent(
            AgentSettings(
                log=log,
                fallback_log=fallback or None,
                trust=Path(trust),
                audience=AUDIENCE,
                start_timeout=SOON,
                cache_size=8,
            )
        )
        self.verify = self.agent.verify  # kept, as a program may

    def revoked(self, token: str) -> bool:
        """Whether the token is refused for that reason."""
        try:
            self.verify(token)
        except TokenRejected as rejected:
            if rejected.code is RejectionCode.REVOKED:
                return True
            raise
        return False

    def wait(self, reached: Callable[[], bool]) -> None:
        """Until it is so."""
        end = time.monotonic() + SOON
        while not reached():
            assert time.monotonic() < end, self.agent.status()
            time.sleep(0.001)

    def see_the_same(self, number: int) -> None:
        """What a new process knows before it has heard anything itself."""
        freshness = self.agent.freshness()
        assert freshness is not None
        assert 0 <= freshness < SOON
        assert not any(map(self.revoked, self.good))
        assert all(map(self.revoked, self.doomed[:number]))

    def live_as_child(self, number: int, inherited: set[str], generations: int) -> None:
        """Know the same, hear what is new, and end as any program does."""
        self.see_the_same(number)
        if generations:
            assert self.fork(number, generations - 1) == 0
        say(forked=number, shared=sorted(sockets() & inherited))
        self.wait(lambda: self.revoked(self.doomed[number]))
        assert not any(map(self.revoked, self.good))

    def fork(self, number: int, generations: int = 0) -> int:
        """How a child process exited that lived like this."""
        inherited = sockets()
        child = os.fork()
        if child == 0:
            self.live_as_child(number, inherited, generations)
            sys.exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def while_blocked(self) -> None:
        """One child, which has to hear that it misses nothing."""
        self.wait(lambda: all(map(self.revoked, self.doomed)))
        thread_agent.HOLD_SECONDS = 0.05  # type: ignore[misc]
        loop = self.agent._thread._loop  # type: ignore[union-attr]
        blocked = threading.Event()
        loop.call_soon_threadsafe(blocked.set)
        loop.call_soon_threadsafe(time.sleep, 1)
        blocked.wait(SOON)
        child = os.fork()
        if child == 0:
            knew = self.agent.freshness()
            assert self.agent.ready(SOON)
            self.see_the_same(len(self.doomed))
            say(knew=knew)
            sys.exit(0)
        say(exited=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        self.see_the_same(len(self.doomed))

    def under_load(self) -> None:
        """One child after the other."""
        with Load(self.agent, self.good) as load:
            for number, token in enumerate(self.doomed):
                exited = self.fork(number, generations=int(number == 0))
                self.wait(lambda token=token: self.revoked(token))  # type: ignore[misc]
                say(exited=exited)
        say(
            failures=load.failures[:5],
            log_failures=self.agent.status().log_failures,
            refused=self.agent.status().refused,
        )


def main() -> None:
    """Start without a context, as a module of a server does; the end of the program stops the agent."""
    logging.basicConfig(level=logging.WARNING, format="%(process)d %(message)s")
    how, *given = sys.argv[1:]
    service = Service(*given)
    service.agent.start()
    {"under_load": service.under_load, "while_blocked": service.while_blocked}[how]()


if __name__ == "__main__":
    main()
