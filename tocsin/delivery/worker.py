"""``python -m tocsin.delivery.worker CONFIG AGENTS sharing|alone SETTINGS``: agents in one process that report.

It says ``{"agents": n}`` once all are ready, and then answers one line after the other:

- ``{"watch": token}``: ``{"armed": n}`` once every agent finds it good, ``{"refused": [monotonic seconds, …]}`` once
  every agent refuses it.
- ``{"rest": seconds}``: ``{"cpu": seconds}`` that this process has used while it was asked nothing.
- ``{"recover": seconds}``: ``{"fresh": seconds}`` once the first agent is.
- ``{"verify": [token, …], "seconds": …, "port": …, "fault": …}``: ``{"times": …}``, of ``tocsin.delivery.strain``.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import click
import msgspec

from events.log import SharedLog, open_log
from tocsin.delivery.silence import Silence
from tocsin.delivery.strain import recover, time_verifications
from tocsin.serving import run
from verifier_agent import Agent, AgentSettings, RejectionCode, Sources, TokenRejected


async def main(config: Path, count: int, *, sharing: bool, settings: dict[str, str]) -> None:
    """Serve the parent until it closes the pipe."""
    silence = Silence(asyncio.get_running_loop())
    read = Sources.find(settings, config).read(AgentSettings)
    shared = SharedLog(lambda: open_log(read.log)) if sharing and count > 1 else None
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with AsyncExitStack() as stack:
        began = time.perf_counter()
        agents = [await stack.enter_async_context(Agent(read, shared=shared)) for _ in range(count)]
        _say({"agents": sum(agent.is_ready for agent in agents), "seconds": time.perf_counter() - began})
        while line := await commands.readline():
            command = msgspec.json.decode(line)
            if "watch" in command:
                await _watch(agents, command["watch"])
            elif "rest" in command:
                used = time.process_time()
                await asyncio.sleep(command["rest"])
                _say({"cpu": time.process_time() - used})
            elif "recover" in command:
                await recover(agents[0], command["recover"])
                _say({"fresh": agents[0].freshness()})
            else:
                with silence.of(command["port"], command["fault"]):
                    _say({"times": await time_verifications(agents[0], command["verify"], command["seconds"])})


async def _watch(agents: Sequence[Agent], token: str) -> None:
    try:
        for agent in agents:
            agent.verify(token)
    except TokenRejected as error:
        _say({"error": str(error)})
        return
    refused = [asyncio.create_task(_refusal(agent, token)) for agent in agents]
    await asyncio.sleep(0)  # every task waits for its agent's next event now
    _say({"armed": len(agents)})
    _say({"refused": list(await asyncio.gather(*refused))})


async def _refusal(agent: Agent, token: str) -> float:
    """When the agent first refuses the token, on the monotonic clock."""
    while True:
        await agent.changed()
        try:
            agent.verify(token)
        except TokenRejected as error:
            if error.code is not RejectionCode.REVOKED:
                raise
            return time.monotonic()


def _say(message: dict[str, Any]) -> None:
    click.echo(msgspec.json.encode(message))
    sys.stdout.flush()


if __name__ == "__main__":
    _config, _count, _reading, _settings = sys.argv[1:]
    run(
        lambda: main(Path(_config), int(_count), sharing=_reading == "sharing", settings=msgspec.json.decode(_settings))
    )
