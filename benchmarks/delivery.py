"""How soon agents hear, how they start, what they cost at rest, and whether verifying feels an outage."""

import argparse
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.benchmark import Benchmark, Document, Table
from benchmarks.plots import bars
from tocsin.delivery.figures import FIGURES, Extent, Services, measure_figures
from tocsin.delivery.goals import AT_REST, LOGS
from tocsin.delivery.start import WAYS

STANDARD: Final = Extent()
EXTENT: Final = {
    "agents": "that must all refuse",
    "processes": "that they run in; those of one process share one reader of the log",
    "warm_up": "rounds not counted",
    "rounds": "revocations, one after the other",
    "rest_seconds": "that agents are left alone",
    "strain_seconds": "of each turn in which a service is silent for one of two agents",
    "digests": "revoked at the start of an agent",
    "selectors": "revoked beside them",
    "runs": "starts of each kind",
}


def measure(options: argparse.Namespace) -> Document:
    """As ``tocsin bench delivery --goal all`` does."""
    extent = Extent(**{name: getattr(options, name) for name in EXTENT})
    return measure_figures(FIGURES, Services(kafka=options.kafka, redis=options.redis), extent)


def tables(document: Document) -> Sequence[Table]:
    """Every figure."""
    extent = document["extent"]
    reach = [
        (LOGS[name], said, *(f"{result[what][each]:.1f}" for each in ("least", "p50", "p99", "most")))
        for name, result in document["reach"].items()
        for what, said in (
            ("answer", "asked → answered"),
            ("refusal", "answered → refused, every agent"),
            ("last", "answered → refused, the last"),
        )
    ]
    rest = [(AT_REST[name], f"{result['percent']:.2f}") for name, result in document["rest"].items()]
    strain = [
        (name, result["fault"], f"{result['healthy']:.0f}", f"{result['silent']:.0f}", f"{result['ratio']:.2f}")
        for name, result in document["strain"].items()
    ]
    start = [
        (WAYS[way], *(f"{ready:.2f}" for ready in sorted(run["ready"] for run in runs)))
        for way, runs in document["start"]["runs"].items()
    ]
    agents = f"{extent['agents']} agents in {extent['processes']} processes, {extent['rounds']} revocations, ms"
    runs = [f">RUN {number}" for number in range(1, extent["runs"] + 1)]
    return [
        Table(agents, ["THROUGH", "", ">LEAST", ">P50", ">P99", ">MOST"], reach),
        Table("CPU of a process with one agent when nothing happens", ["AGENT ON OR WITH", ">% OF A CORE"], rest),
        Table("First verification, p99 in µs", ["SILENT", "HOW", ">AS USUAL", ">SILENT", ">RATIO"], strain),
        Table(f"Start to ready with {extent['digests']:,} revoked tokens, seconds", ["", *runs], start),
    ]


def draw(figure: Any, document: Document) -> None:
    """The last of all agents, for each way to hear."""
    figure.set_size_inches(9, 2.2)
    times = {
        f"{LOGS[name]}, {each}": result["last"][each]
        for name, result in document["reach"].items()
        for each in ("p50", "p99")
    }
    bars(figure.subplots(), times, ours=list(times), unit="ms")


BENCHMARK: Final = Benchmark(
    name="delivery",
    what=__doc__ or "",
    measure=measure,
    tables=tables,
    draw=draw,
    arguments={
        **{name: (getattr(STANDARD, name), text) for name, text in EXTENT.items()},
        "kafka": (None, "URL of a broker, kafka://host:port; topics of our own are made there"),
        "redis": (None, "URL of a server, redis://host:port; what is put there is removed again"),
    },
)

if __name__ == "__main__":
    BENCHMARK.main()
