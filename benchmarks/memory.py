"""Memory of an agent with nothing revoked: the whole process as the system counts it, each in a fresh one."""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.benchmark import Benchmark, Document, Table
from benchmarks.plots import bars
from benchmarks.resident_agent import EVENTS, TOKENS, TRUST
from events.log import open_log
from tocsin.resident import in_fresh_process, resident_of
from tocsin.verification.issuer import AUDIENCE, CACHE_SIZE, MeasuredIssuer

WHAT: Final = {
    "python": "Python alone",
    "imported": "verifier_agent imported",
    "running": "agent on an SQLite log, one token verified",
    "kafka": "the same, with the Kafka client loaded",
    "sidecar": "the sidecar program, tocsin agent",
    "full": f"agent on an SQLite log, {CACHE_SIZE:,} tokens verified and remembered",
}
CONFIGURATION: Final = "agent.toml"
STOP_SECONDS: Final = 10.0
MEGABYTE: Final = 1_000_000


def measure(_options: argparse.Namespace) -> Document:
    """One process after the other; what they need is written by this one, which is not measured."""
    with tempfile.TemporaryDirectory(prefix="tocsin-memory-") as folder:
        asyncio.run(_write(Path(folder)))
        return {"resident": {way: _measure(way, Path(folder)) for way in WHAT}}


async def _write(folder: Path) -> None:
    issuer = MeasuredIssuer("ES256", CACHE_SIZE)
    issuer.trust.save(folder / TRUST)
    (folder / TOKENS).write_text("".join(f"{token}\n" for token in issuer.tokens))
    url = f"sqlite:///{folder / EVENTS}"
    log = open_log(url)
    for event in issuer.opening:
        await log.append(event.stream, [event.text])
    await log.close()
    settings = {"log": url, "trust": str(folder / TRUST), "audience": AUDIENCE}
    (folder / CONFIGURATION).write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))


def _measure(way: str, folder: Path) -> int:
    if way == "sidecar":
        return _sidecar(folder)
    size: int = in_fresh_process("benchmarks.resident_agent", way, str(folder))
    return size


def _sidecar(folder: Path) -> int:
    """The program as people run it, when it listens."""
    arguments = ["--config", str(folder / CONFIGURATION), "agent", "--port", "0", "--json"]
    command = [sys.executable, "-m", "tocsin", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as sidecar:
        try:
            if sidecar.stdout is None or not sidecar.stdout.readline():
                raise RuntimeError("the sidecar did not start")
            return resident_of(sidecar.pid)
        finally:
            sidecar.terminate()
            sidecar.wait(STOP_SECONDS)


def tables(document: Document) -> Sequence[Table]:
    """One row a kind of process."""
    rows = [(WHAT[way], f"{size / MEGABYTE:.1f}") for way, size in document["resident"].items()]
    return [Table("Resident memory of the process, MB", ["", ">MB"], rows)]


def draw(figure: Any, document: Document) -> None:
    """One bar a kind of process."""
    figure.set_size_inches(9, 2.2)
    sizes = {WHAT[way]: size / MEGABYTE for way, size in document["resident"].items()}
    bars(figure.subplots(), sizes, ours=[what for way, what in WHAT.items() if way != "python"], unit="MB")


BENCHMARK: Final = Benchmark(name="memory", what=__doc__ or "", measure=measure, tables=tables, draw=draw, arguments={})

if __name__ == "__main__":
    BENCHMARK.main()
