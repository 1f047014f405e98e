"""Tokens for a second of the issuer's processor beside other issuers, and how long clients wait while it is busy."""

import argparse
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.benchmark import Benchmark, Document, Table
from benchmarks.peers.programs import NODE_SINCE, node_program
from benchmarks.plots import bars
from tocsin.issuing.figures import Extent, measure_figures
from tocsin.issuing.servers import OURS, WHAT, Server, Started, announced
from tocsin.issuing.tables import rates_table, waiting_table
from tocsin.processes import Program

NODE: Final = Path(__file__).parent / "node"
PROVIDER: Final = "oidc-provider"
STANDARD: Final = Extent()
EXTENT: Final = {
    "seconds": "of each turn",
    "rounds": "turns of each issuer, of which the first does not count",
    "logins": "at once",
    "burst": "requests at once by a client that has not been seen before",
}


def measure(options: argparse.Namespace) -> Document:
    """As ``tocsin bench issuer`` does, with oidc-provider where Node is."""
    extent = Extent(**{name: getattr(options, name) for name in EXTENT})
    with tempfile.TemporaryDirectory(prefix="tocsin-peers-") as folder:
        command = node_program(NODE, "server.mjs", Path(folder))
        others = {} if command is None else {f"{PROVIDER} {_version(Path(folder))}": _provider(command)}
        absent = [] if others else [f"{PROVIDER} (needs Node {NODE_SINCE} and npm)"]
        return {**measure_figures(extent, others), "absent": absent}


def _provider(command: list[str]) -> Started:
    @asynccontextmanager
    async def started(folder: Path, alg: str) -> AsyncIterator[Server]:
        async with Program(PROVIDER, [alg], folder, program=command) as program:
            yield announced(program, alg)

    return started


def _version(folder: Path) -> str:
    said = msgspec.json.decode((folder / "node_modules" / PROVIDER / "package.json").read_bytes())
    return str(said["version"])


def tables(document: Document) -> Sequence[Table]:
    """Every issuer, and how long clients wait."""
    absent = f"; not installed: {', '.join(document['absent'])}" if document["absent"] else ""
    return [
        Table(f"Client credentials by 32 connections, server and load on a core each{absent}", *rates_table(document)),
        Table("Paced clients with ES256, alone and beside others; times in ms", *waiting_table(document)),
    ]


def draw(figure: Any, document: Document) -> None:
    """Tokens for a second of processor, a picture for each algorithm."""
    figure.set_size_inches(9, 4)
    for axes, (alg, rates) in zip(figure.subplots(len(document["rates"]), 1), document["rates"].items(), strict=True):
        times = {WHAT.get(name, name): 1e6 / max(turn["per_cpu"] for turn in turns) for name, turns in rates.items()}
        bars(axes, times, ours=[WHAT[OURS]], unit="µs of processor for one token")
        axes.set_title(alg, loc="left")


BENCHMARK: Final = Benchmark(
    name="issuer",
    what=__doc__ or "",
    measure=measure,
    tables=tables,
    draw=draw,
    arguments={name: (getattr(STANDARD, name), text) for name, text in EXTENT.items()},
)

if __name__ == "__main__":
    BENCHMARK.main()
