"""Three rounds, in each of which every language has its turn; the best of each figure counts."""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.benchmark import Benchmark, Document, Table
from benchmarks.machine import describe
from benchmarks.peers import programs
from benchmarks.plots import bars
from tocsin.verification import measure_verification
from tocsin.verification.issuer import ALGORITHMS, MeasuredIssuer

ROUNDS: Final = 3
AGAIN: Final = {
    "warm-new": "new str",
    "warm-new-identity": "new str, identity cache key",
    "warm-same": "same str",
    "warm-same-identity": "same str, identity cache key",
}
"""Figures for a token seen before. As it is shipped, fast-jwt's cache hashes the whole token with SHA-2 for its key."""


def measure(options: argparse.Namespace) -> Document:
    """The best time of each figure over the rounds, and the peers that are not installed."""
    issuers = [MeasuredIssuer(alg) for alg in ALGORITHMS]
    best: dict[tuple[str, ...], dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="tocsin-peers-") as folder:
        order = Path(folder) / "order.json"
        programs.write_order(order, issuers, options.seconds)
        commands, absent = _set_up(Path(folder))
        for _ in range(ROUNDS):
            for rate in _round(issuers, commands, order, options.seconds):
                key = rate["peer"], rate["alg"], rate["name"]
                if key not in best or rate["microseconds"] < best[key]["microseconds"]:
                    best[key] = rate
    return {"rates": list(best.values()), "absent": absent}


def _set_up(folder: Path) -> tuple[list[list[str]], list[str]]:
    commands, absent = [], []
    for number, program in enumerate(programs.PROGRAMS):
        place = folder / str(number)
        place.mkdir()
        command = program.set_up(place)
        if command is None:
            absent.append(f"{', '.join(program.peers)} (needs {program.needs})")
        else:
            commands.append(command)
    return commands, absent


def _round(
    issuers: list[MeasuredIssuer], commands: list[list[str]], order: Path, seconds: float
) -> Iterator[dict[str, Any]]:
    result = measure_verification(seconds, issuers)
    python = describe()["python"]
    for rate in result.rates:
        library = rate.name in result.peers
        peer = rate.name if library else "cryptography" if rate.name == "signature" else "Tocsin"
        peer = "a bare dict" if rate.name.startswith("bare") else peer
        yield {
            "runtime": python,
            "peer": peer,
            "version": result.peers.get(peer, ""),
            "alg": rate.alg,
            "name": "cold" if library else rate.name.replace("bare", "warm"),
            "microseconds": rate.microseconds,
        }
    for command in commands:
        answer = programs.run(command, order)
        for found in answer["rates"]:
            yield {"runtime": answer["runtime"], **found}


def tables(document: Document) -> Sequence[Table]:
    """The first time, and again."""
    first = _rows(document, {"cold": "first time", "signature": "the signature alone"})
    again = _rows(document, AGAIN)
    absent = f"; not installed: {', '.join(document['absent'])}" if document["absent"] else ""
    headings = ["PEER", "RUNTIME", "WHAT", *(f">{alg}" for alg in ALGORITHMS)]
    return [Table(f"µs for one token, first time{absent}", headings, first), Table("µs, seen before", headings, again)]


def _rows(document: Document, names: dict[str, str]) -> list[list[str]]:
    """One row a peer and figure, with a column an algorithm, the quickest first."""
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for rate in document["rates"]:
        if rate["name"] in names:
            peer = f"{rate['peer']} {rate['version']}".strip()
            found.setdefault((peer, rate["runtime"], rate["name"]), {})[rate["alg"]] = rate["microseconds"]
    ordered = sorted(found.items(), key=lambda row: sum(row[1].values()))
    return [
        [peer, runtime, names[name], *(f"{times[alg]:.2f}" if alg in times else "" for alg in ALGORITHMS)]
        for (peer, runtime, name), times in ordered
    ]


def draw(figure: Any, document: Document) -> None:
    """The first time, a picture for each algorithm."""
    figure.set_size_inches(9, 7)
    for axes, alg in zip(figure.subplots(len(ALGORITHMS), 1), ALGORITHMS, strict=True):
        times = {
            _labelled(rate): rate["microseconds"]
            for rate in document["rates"]
            if rate["alg"] == alg and rate["name"] in ("cold", "signature")
        }
        bars(axes, times, ours=[name for name in times if name.startswith("Tocsin")], unit="µs for one")
        axes.set_title(f"{alg}, first time", loc="left")


def _labelled(rate: dict[str, Any]) -> str:
    what = "the signature alone" if rate["name"] == "signature" else rate["runtime"].partition(" ")[0]
    return f"{rate['peer']} ({what})"


BENCHMARK: Final = Benchmark(
    name="peers",
    what=__doc__ or "",
    measure=measure,
    tables=tables,
    draw=draw,
    arguments={"seconds": (0.3, "that each figure is timed for in each of three rounds")},
)

if __name__ == "__main__":
    BENCHMARK.main()
