"""``python -m tocsin.mass.worker CONFIG AGENTS sharing|alone``: agents in one process that report when they enforce a
mass revocation; a child of ``tocsin.mass.measurement``.

``{"digests": n, "tokens": [token, …]}`` in, ``{"armed": n}`` out once every agent finds the tokens good, then
``{"enforced": [monotonic seconds, …], "cpu": seconds}`` once every agent has so many digests in force and refuses the
tokens.
"""

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from events.log import SharedLog, open_log
from tocsin.serving import run
from verifier_agent import Agent, AgentSettings, RejectionCode, Sources, TokenRejected

LOOK_SECONDS: Final = 0.005


async def main(config: Path, count: int, *, sharing: bool) -> None:
    """Serve the parent until it closes the pipe."""
    settings = Sources.find({}, config).read(AgentSettings)
    commands = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with AsyncExitStack() as stack:
        shared = SharedLog(lambda: open_log(settings.log)) if sharing else None
        agents = [await stack.enter_async_context(Agent(settings, shared=shared)) for _ in range(count)]
        _say({"agents": count})
        while line := await commands.readline():
            expected = msgspec.json.decode(line)
            for agent in agents:
                for token in expected["tokens"]:
                    agent.verify(token)
            _say({"armed": count})
            cpu = time.process_time()
            enforced = await _enforced(agents, **expected)
            _say({"enforced": enforced, "cpu": time.process_time() - cpu})


async def _enforced(agents: list[Agent], digests: int, tokens: list[str]) -> list[float]:
    """When each agent has all of it in force, on the monotonic clock.

    Looked at every few milliseconds, for what has been applied is in force before the agent has told of it.
    """
    times: list[float] = []
    waiting = list(agents)
    while waiting:
        await asyncio.sleep(LOOK_SECONDS)
        still = []
        for agent in waiting:
            if agent.verifier.state.revocations.digests >= digests and all(_refuses(agent, token) for token in tokens):
                times.append(time.monotonic())
            else:
                still.append(agent)
        waiting = still
    return times


def _refuses(agent: Agent, token: str) -> bool:
    try:
        agent.verify(token)
    except TokenRejected as error:
        return error.code is RejectionCode.REVOKED
    return False


def _say(message: dict[str, Any]) -> None:
    click.echo(msgspec.json.encode(message))
    sys.stdout.flush()


if __name__ == "__main__":
    run(lambda: main(Path(sys.argv[1]), int(sys.argv[2]), sharing=sys.argv[3] == "sharing"))
