"""Agents in one process that verify all the time; a child of ``tests.faults.system``.

Its argument is JSON, ``{name of an agent: its configuration file, …}``. What it is asked is ``{name: arguments}``, see
``Worker``.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from tests.faults.child_side import answer, say
from tests.faults.footprint import Footprint
from tests.faults.load import Load
from tests.faults.seen import WorkerSeen
from tocsin import logs
from tocsin.serving import run
from tocsin.settings import ALL_NAMES, LogSettings
from verifier_agent import Agent, AgentSettings, RejectionCode, Sources, TokenRejected, VerificationUnavailable
from verifier_agent.clocks import SystemClock
from verifier_agent.consul import ConsulSettings
from verifier_agent.hot import HotConfiguration
from verifier_agent.hot.configured import configured_agent
from verifier_agent.hot.following import following


class Worker:
    """Answers by the name of what is asked."""

    def __init__(self, agents: Mapping[str, Agent], load: Load) -> None:
        self._agents = agents
        self._load = load

    async def asked(self, message: dict[str, Any]) -> object:
        """The answer to one message."""
        ((name, arguments),) = message.items()
        return await getattr(self, f"_{name}")(**arguments)

    async def _begin(self, good: list[str], victims: dict[str, str]) -> None:
        """New tokens, and a new account."""
        self._load.begin(good, victims)

    async def _seen(self) -> WorkerSeen:
        """The account."""
        return self._load.seen

    async def _ages(self) -> dict[str, float | None]:
        """How old each agent's knowledge is, in seconds."""
        return {name: agent.freshness() for name, agent in self._agents.items()}

    async def _status(self) -> dict[str, Any]:
        """All that each agent says of itself."""
        return {name: msgspec.to_builtins(agent.status()) for name, agent in self._agents.items()}

    async def _footprint(self) -> Footprint:
        """What this process holds."""
        return Footprint.of_this_process()

    async def _newcomer(self, config: str, tokens: dict[str, str]) -> list[str]:
        """Which tokens an agent that starts now does not refuse as revoked."""
        async with Agent(Sources.find({}, Path(config)).read(AgentSettings)) as agent:
            return [name for name, token in tokens.items() if not _refuses(agent, token)]


def _refuses(agent: Agent, token: str) -> bool:
    try:
        agent.verify(token)
    except TokenRejected as rejected:
        return rejected.code is RejectionCode.REVOKED
    except VerificationUnavailable:
        return False
    return False


@asynccontextmanager
async def _running(agent: Agent, configuration: HotConfiguration) -> AsyncIterator[None]:
    """The agent, and its configuration followed, as ``tocsin agent`` does."""
    consul = configuration.sources.read(ConsulSettings)
    async with following(configuration, consul, "agent", SystemClock()), agent:
        yield


async def main(configs: dict[str, Path]) -> None:
    """Serve the parent until it closes the pipe."""
    logs.set_up(LogSettings(log_format="json"))
    configurations = {
        name: HotConfiguration([AgentSettings], Sources.find({}, config), ALL_NAMES) for name, config in configs.items()
    }
    agents = {name: configured_agent(each) for name, each in configurations.items()}
    load = Load(agents, {name: each.live(AgentSettings).now.max_staleness for name, each in configurations.items()})
    say({"agents": sorted(agents)})
    tasks = [
        asyncio.create_task(load.run()),
        asyncio.create_task(answer(Worker(agents, load).asked)),
    ]
    async with AsyncExitStack() as stack:
        running = [_running(agent, configurations[name]) for name, agent in agents.items()]
        await asyncio.gather(*(stack.enter_async_context(each) for each in running))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)


if __name__ == "__main__":
    given = msgspec.json.decode(sys.argv[1], type=dict[str, str])
    run(lambda: main({name: Path(config) for name, config in given.items()}))
