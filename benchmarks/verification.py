"""Verifications a second: the first time, again, and after a revocation, beside other libraries in the same run."""

import argparse
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from benchmarks.benchmark import Benchmark, Document, Table
from benchmarks.plots import bars
from tocsin.verification import (
    LoadResult,
    VerificationResult,
    load_table,
    measure_load,
    measure_verification,
    verification_table,
)

AGAIN: Final = ("warm-new", "warm-same", "warm-asked", "warm-moved", "bare-new", "bare-same")


def measure(options: argparse.Namespace) -> Document:
    """As ``tocsin bench verify`` does."""
    result = measure_verification(options.seconds)
    load = measure_load(5 * options.seconds, options.digests, options.cutoffs)
    return {"verification": msgspec.to_builtins(result), "load": msgspec.to_builtins(load)}


def tables(document: Document) -> Sequence[Table]:
    """Every figure; and what many revocations add."""
    result = msgspec.convert(document["verification"], VerificationResult)
    load = msgspec.convert(document["load"], LoadResult)
    absent = f"; not installed: {', '.join(result.absent)}" if result.absent else ""
    lengths = ", ".join(f"{alg} {length}" for alg, length in result.token_bytes.items())
    return [
        Table(f"Verifications on one core, tokens of {lengths} bytes{absent}", *verification_table(result)),
        Table("What many revocations add", *load_table(load)),
    ]


def draw(figure: Any, document: Document) -> None:
    """The first time for each algorithm, and again."""
    result = msgspec.convert(document["verification"], VerificationResult)
    algorithms = list(dict.fromkeys(rate.alg for rate in result.rates))
    figure.set_size_inches(9, 2.1 * (len(algorithms) + 1))
    all_axes = figure.subplots(len(algorithms) + 1, 1)
    for axes, alg in zip(all_axes, algorithms, strict=False):
        first = {rate.what: rate.microseconds for rate in result.rates if rate.alg == alg and rate.name not in AGAIN}
        bars(axes, first, ours=[name for name in first if name.startswith("Tocsin")], unit="µs for one")
        axes.set_title(f"{alg}, first time", loc="left")
    again = {rate.what: rate.microseconds for rate in result.rates if rate.alg == "ES256" and rate.name in AGAIN}
    bars(all_axes[-1], again, ours=[name for name in again if name.startswith("Tocsin")], unit="µs for one")
    all_axes[-1].set_title("ES256, again", loc="left")


BENCHMARK: Final = Benchmark(
    name="verification",
    what=__doc__ or "",
    measure=measure,
    tables=tables,
    draw=draw,
    arguments={
        "seconds": (1.2, "that each figure is timed for"),
        "digests": (1_000_000, "tokens revoked one by one"),
        "cutoffs": (100_000, "subjects revoked"),
    },
)

if __name__ == "__main__":
    BENCHMARK.main()
