"""``python -m tocsin.delivery.starting_agent FOLDER LOG [STATE [REDIS PREFIX]]``: is an agent that starts.

It says how long that took from the moment at which everything is imported; ``recalled`` is when it first knew its keys.
"""

import asyncio
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from tocsin.resident import resident

TRUST: Final = "trust.json"
READY_SECONDS: Final = 300.0


async def start(
    folder: Path, log: str, state: str = "", redis: str | None = None, prefix: str = ""
) -> dict[str, float | str]:
    """The times in seconds, and the memory in bytes."""
    verifier_agent: Any = importlib.import_module("verifier_agent")
    needed = ["events.jose", "verifier_agent.saved.disk", f"events.log.{log.partition(':')[0]}"]
    for module in [*needed, "verifier_agent.redis"] if redis else needed:
        importlib.import_module(module)
    began, used = time.perf_counter(), time.process_time()
    settings = verifier_agent.AgentSettings(
        log=log,
        trust=folder / TRUST,
        audience="orders",
        start_timeout=READY_SECONDS,
        state_dir=folder / state if state else None,
        **({"redis": redis, "redis_prefix": prefix, "redis_deny_list": False} if redis else {}),
    )
    agent = verifier_agent.Agent(settings)
    recalled = asyncio.create_task(_until_keys(agent, began))
    async with agent:
        ready, used = time.perf_counter() - began, time.process_time() - used
        status = agent.status()
        if not status.ready:
            raise RuntimeError("the agent has not become ready")
        return {
            "ready": ready,
            "cpu": used,
            "recalled": await recalled,
            "from": status.started_from,
            "selectors": status.selectors,
            "digests": status.digests,
            "resident": resident(),
        }


async def _until_keys(agent: Any, began: float) -> float:
    while not agent.verifier.state.keys.seq:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.005)
    return time.perf_counter() - began


if __name__ == "__main__":
    json.dump(asyncio.run(start(Path(sys.argv[1]), *sys.argv[2:])), sys.stdout)
