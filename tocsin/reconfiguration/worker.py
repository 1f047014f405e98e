"""``python -m tocsin.reconfiguration.worker CONFIG AGENTS``: agents in one process, each told by Consul for itself.

It says ``{"agents": n}`` once all are ready, and then answers each ``{"watch": token, "good": bool}`` with
``{"armed": n}`` once every agent judges the token the other way, and with ``{"changed": [monotonic seconds, …]}`` once
every agent judges it so.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from tocsin.serving import run
from tocsin.settings import ALL_NAMES
from verifier_agent import AgentSettings, Sources, TokenRejected
from verifier_agent.clocks import SystemClock
from verifier_agent.consul import ConsulSettings
from verifier_agent.hot import HotConfiguration
from verifier_agent.hot.configured import configured_agent
from verifier_agent.hot.following import following

FOLDER: Final = "agent"


class Configured:
    """An agent whose settings change while it runs, as ``tocsin agent`` has it."""

    def __init__(self, sources: Sources) -> None:
        self.configuration = HotConfiguration([AgentSettings], sources, ALL_NAMES)
        self.agent = configured_agent(self.configuration)
        self._changed = asyncio.Event()
        self.configuration.also_tell(lambda _: self._changed.set())

    def judges(self, token: str) -> bool:
        """Whether it finds the token good."""
        try:
            self.agent.verify(token)
        except TokenRejected:
            return False
        return True

    async def until(self, token: str, *, good: bool) -> float:
        """When it first judges the token so, on the monotonic clock."""
        while self.judges(token) is not good:
            self._changed.clear()
            await self._changed.wait()
        return time.monotonic()


async def main(config: Path, count: int) -> None:
    """Serve the parent until it closes the pipe."""
    sources = Sources.find({}, config)
    consul = sources.read(ConsulSettings)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with AsyncExitStack() as stack:
        agents = [Configured(sources) for _ in range(count)]
        for each in agents:
            await stack.enter_async_context(following(each.configuration, consul, FOLDER, SystemClock()))
            await stack.enter_async_context(each.agent)
        _say({"agents": sum(each.agent.is_ready for each in agents)})
        while line := await commands.readline():
            await _watch(agents, **msgspec.json.decode(line))


async def _watch(agents: Sequence[Configured], watch: str, *, good: bool) -> None:
    if any(each.judges(watch) is good for each in agents):
        _say({"error": "an agent judges the token so already"})
        return
    changed = [asyncio.create_task(each.until(watch, good=good)) for each in agents]
    await asyncio.sleep(0)
    _say({"armed": len(agents)})
    _say({"changed": list(await asyncio.gather(*changed))})


def _say(message: dict[str, Any]) -> None:
    click.echo(msgspec.json.encode(message))
    sys.stdout.flush()


if __name__ == "__main__":
    _config, _count = sys.argv[1:]
    run(lambda: main(Path(_config), int(_count)))
