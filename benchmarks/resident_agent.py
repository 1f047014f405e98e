"""``python -m benchmarks.resident_agent WAY FOLDER``: is an agent of one kind, and says how much memory it has.

It imports what an agent's process imports, and nothing of what measures.
"""

import asyncio
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tocsin.resident import resident

EVENTS: Final = "events.db"
TRUST: Final = "trust.json"
TOKENS: Final = "tokens"


def _python(_folder: Path) -> int:
    return resident()


def _imported(_folder: Path) -> int:
    importlib.import_module("verifier_agent")
    return resident()


def _running(folder: Path) -> int:
    return asyncio.run(_run(folder, 1))


def _with_kafka(folder: Path) -> int:
    importlib.import_module("events.log.kafka")
    return asyncio.run(_run(folder, 1))


def _full(folder: Path) -> int:
    return asyncio.run(_run(folder, sys.maxsize))


async def _run(folder: Path, tokens: int) -> int:
    """An agent that follows the log and has verified so many tokens."""
    verifier_agent: Any = importlib.import_module("verifier_agent")
    settings = verifier_agent.AgentSettings(log=f"sqlite:///{folder / EVENTS}", trust=folder / TRUST, audience="orders")
    async with verifier_agent.Agent(settings) as agent:
        with (folder / TOKENS).open() as lines:
            for number, line in enumerate(lines):
                if number < tokens:
                    agent.verify(line.rstrip())
        return resident()


WAYS: Final[dict[str, Callable[[Path], int]]] = {
    "python": _python,
    "imported": _imported,
    "running": _running,
    "kafka": _with_kafka,
    "full": _full,
}

if __name__ == "__main__":
    json.dump(WAYS[sys.argv[1]](Path(sys.argv[2])), sys.stdout)
