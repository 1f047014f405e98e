"""``python -m benchmarks.starting_agent FOLDER LOG [STATE]``: is an agent that starts, and says how long that took.

From the moment at which everything is imported until it is ready; ``recalled`` is when it first knew its keys.
"""

import asyncio
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.resident import resident

TRUST: Final = "trust.json"
READY_SECONDS: Final = 300.0


async def start(folder: Path, log: str, state: str | None) -> dict[str, float | str]:
    """The times in seconds, and the memory in bytes."""
    verifier_agent: Any = importlib.import_module("verifier_agent")
    for module in ("events.jose", "verifier_agent.saved.disk", f"events.log.{log.partition(':')[0]}"):
        importlib.import_module(module)
    began, used = time.perf_counter(), time.process_time()
    settings = verifier_agent.AgentSettings(
        log=log,
        trust=folder / TRUST,
        audience="orders",
        start_timeout=READY_SECONDS,
        state_dir=None if state is None else folder / state,
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
    given = sys.argv[1:]
    json.dump(asyncio.run(start(Path(given[0]), given[1], given[2] if len(given) > 2 else None)), sys.stdout)
