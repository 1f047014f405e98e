"""``python -m tocsin.rotation.worker CONFIG AGENTS RATE SETTINGS``: agents in one process, enrolled, and under load.

Each verification checks a signature: nothing is remembered. It says ``{"agents": n}`` once all are ready and enrolled,
and then answers one line after the other:

- ``{"token": token}``: nothing; from now on this one is among those that are verified, and must be good.
- ``{"report": true}``: ``{"verified": n, "refused": {code: n}}`` since the last time; the tokens are forgotten.
- ``{"watch": token}``: ``{"armed": n}``; from now on it is looked for when each agent refuses this one.
- ``{"good": token}``: ``{"refused": [monotonic seconds, …], "good": [monotonic seconds, …]}`` once every agent has
  refused the one that is watched, and found this one good; neither waits for the other.
"""

import asyncio
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from tocsin.serving import run
from verifier_agent import Agent, AgentSettings, Sources, TokenRejected, VerificationUnavailable

TICK_SECONDS: Final = 0.01
ENROL_SECONDS: Final = 30.0
MOST_TOKENS: Final = 200
"""The newest, among which the verifications go round."""


class Load:
    """Verifies at a rate, one agent after the other; whatever is refused was good."""

    def __init__(self, verifies: Sequence[Callable[[str], object]], rate: float) -> None:
        self.tokens: deque[str] = deque(maxlen=MOST_TOKENS)
        self._verifies = cycle(verifies)
        self._rate = rate
        self._verified = 0
        self._refused: Counter[str] = Counter()
        self._next = 0

    async def run(self) -> None:
        """Until cancelled. What cannot be done in time is made up for, at most a second of it."""
        began, done = time.monotonic(), 0
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            if not self.tokens:
                began, done = now, 0
                continue
            due = int((now - began) * self._rate) - done
            if due > self._rate:
                began, done, due = now, 0, 0
            for _ in range(due):
                self._verify()
            done += due

    def report(self) -> dict[str, Any]:
        """What came of it since the last time; begins anew, without tokens."""
        told = {"verified": self._verified, "refused": dict(self._refused)}
        self._verified = 0
        self._refused.clear()
        self.tokens.clear()
        return told

    def _verify(self) -> None:
        self._next += 1
        try:
            next(self._verifies)(self.tokens[self._next % len(self.tokens)])
            self._verified += 1
        except TokenRejected as error:
            self._refused[error.code] += 1
        except VerificationUnavailable as error:
            self._refused[error.code] += 1


async def main(config: Path, count: int, rate: float, settings: dict[str, str]) -> None:
    """Serve the parent until it closes the pipe."""
    read = Sources.find(settings, config).read(AgentSettings)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with AsyncExitStack() as stack:
        agents = [await stack.enter_async_context(Agent(read)) for _ in range(count)]
        async with asyncio.timeout(ENROL_SECONDS):
            while not all(_enrolled(agent) for agent in agents):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
        load = Load([agent.verify for agent in agents], rate)
        loading = asyncio.create_task(load.run())
        try:
            _say({"agents": sum(agent.is_ready for agent in agents)})
            refused: list[asyncio.Task[float]] = []
            while line := await commands.readline():
                await _serve(msgspec.json.decode(line), agents, load, refused)
        finally:
            loading.cancel()
            await asyncio.wait([loading])


def _enrolled(agent: Agent) -> bool:
    report = agent.status().fleet
    return report is not None and report.enrolled


async def _serve(
    command: dict[str, Any], agents: Sequence[Agent], load: Load, refused: list[asyncio.Task[float]]
) -> None:
    if "token" in command:
        load.tokens.append(command["token"])
    elif "report" in command:
        _say(load.report())
    elif "watch" in command:
        refused[:] = [asyncio.create_task(_until(agent, command["watch"], good=False)) for agent in agents]
        await asyncio.sleep(0)
        _say({"armed": len(agents)})
    else:
        good = [asyncio.create_task(_until(agent, command["good"], good=True)) for agent in agents]
        _say({"good": list(await asyncio.gather(*good)), "refused": list(await asyncio.gather(*refused))})


async def _until(agent: Agent, token: str, *, good: bool) -> float:
    """When the agent first finds the token good, or refuses it, on the monotonic clock."""
    while True:
        try:
            agent.verify(token)
            is_good = True
        except TokenRejected:
            is_good = False
        if is_good is good:
            return time.monotonic()
        await agent.changed()


def _say(message: dict[str, Any]) -> None:
    click.echo(msgspec.json.encode(message))
    sys.stdout.flush()


if __name__ == "__main__":
    _config, _count, _rate, _settings = sys.argv[1:]
    run(lambda: main(Path(_config), int(_count), float(_rate), msgspec.json.decode(_settings)))
