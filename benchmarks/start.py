"""How long an agent takes to start with a million revocations: warm from its folder or Redis, and by replay."""

import argparse
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.benchmark import Benchmark, Document, Table
from benchmarks.plots import bars
from tocsin.delivery.start import WAYS, measure_start


def measure(options: argparse.Namespace) -> Document:
    """Each way in processes that have done nothing before."""
    return measure_start(
        digests=options.digests,
        selectors=options.selectors,
        runs=options.runs,
        kafka=options.kafka,
        redis=options.redis,
    )


def tables(document: Document) -> Sequence[Table]:
    """Times of each run, the fastest first."""
    title = f"Start with {document['digests']:,} digests and {document['selectors']:,} selectors, seconds"
    rows = []
    for way, runs in document["runs"].items():
        ready = sorted(run["ready"] for run in runs)
        known = min(run["recalled"] for run in runs) if runs[0]["from"] != "log" else None
        memory = f"{runs[0]['resident'] / 1e6:.0f}"
        cpu = f"{min(run['cpu'] for run in runs):.2f}"
        times = (f"{ready[0]:.2f}", f"{ready[len(ready) // 2]:.2f}", f"{ready[-1]:.2f}")
        rows.append((WAYS[way], "-" if known is None else f"{known:.2f}", *times, cpu, memory))
    making = document["making"]
    made = (f"{making['seconds']:.2f}", f"{1000 * making['longest_piece']:.1f}", f"{making['bytes'] / 1e6:.1f}")
    return [
        Table(title, ["", ">VERIFYING", ">READY, BEST", ">MEDIAN", ">WORST", ">CPU, BEST", ">RESIDENT, MB"], rows),
        Table("The issuer makes the snapshot (its CPU time)", [">SECONDS", ">LONGEST PIECE, ms", ">MB"], [made]),
    ]


def draw(figure: Any, document: Document) -> None:
    """The medians."""
    figure.set_size_inches(9, 2.2)
    medians = {
        WAYS[way]: sorted(run["ready"] for run in runs)[len(runs) // 2] for way, runs in document["runs"].items()
    }
    bars(figure.subplots(), medians, ours=[WAYS["disk"]], unit="s")


BENCHMARK: Final = Benchmark(
    name="start",
    what=__doc__ or "",
    measure=measure,
    tables=tables,
    draw=draw,
    arguments={
        "digests": (1_000_000, "in batches of 50,000"),
        "selectors": (100_000, "of one subject each"),
        "runs": (5, "of each way"),
        "kafka": (None, "URL of a broker, kafka://host:port; topics of our own are made there"),
        "redis": (None, "URL of a server, redis://host:port; what is put there is removed again"),
    },
)

if __name__ == "__main__":
    BENCHMARK.main()
