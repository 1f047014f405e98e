"""Agents in one process that report when they refuse a token; a child of ``tocsin.delivery``.

``{"watch": token}`` in, ``{"armed": n}`` out once every agent finds it good, ``{"refused": [monotonic seconds, …]}``
once every agent refuses it.
"""

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import click
import msgspec

from tocsin.serving import run
from verifier_agent import Agent, AgentSettings, RejectionCode, Sources, TokenRejected


async def main(config: Path, count: int) -> None:
    """Serve the parent until it closes the pipe."""
    settings = Sources.find({}, config).read(AgentSettings)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with AsyncExitStack() as stack:
        agents = [await stack.enter_async_context(Agent(settings)) for _ in range(count)]
        _say({"agents": count})
        while line := await commands.readline():
            token = msgspec.json.decode(line)["watch"]
            try:
                for agent in agents:
                    agent.verify(token)
            except TokenRejected as error:
                _say({"error": str(error)})
                continue
            refused = [asyncio.create_task(_refusal(agent, token)) for agent in agents]
            await asyncio.sleep(0)  # every task waits for its agent's next event now
            _say({"armed": count})
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
    run(lambda: main(Path(sys.argv[1]), int(sys.argv[2])))
