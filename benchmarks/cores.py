"""Verifications a second by one process, two, and so on up to one for each processor: each has an agent of its own."""

import argparse
import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from typing import Any, Final

from benchmarks.benchmark import Benchmark, Document, Table
from benchmarks.machine import processors
from benchmarks.plots import PALETTE
from tocsin.verification.issuer import MeasuredIssuer
from tocsin.verification.measurement import anew, chunked, knowing_agent
from tocsin.verification.stopwatch import each

ALG: Final = "ES256"
WAYS: Final = {"cold": "first time, cache off", "warm": "again, new str"}
STRETCHES: Final = 3
PATIENCE: Final = 60.0


def measure(options: argparse.Namespace) -> Document:
    """The best of three stretches for each number of processes; the numbers take turns."""
    numbers = sorted({1, 2, *(2**power for power in range(2, 8) if 2**power <= processors()), processors()})
    rates: dict[str, dict[str, float]] = {way: dict.fromkeys(map(str, numbers), 0.0) for way in WAYS}
    for _ in range(STRETCHES):
        for number in numbers:
            for way in WAYS:
                rate = _together(number, way, options.seconds / STRETCHES)
                rates[way][str(number)] = max(rates[way][str(number)], rate)
    return {"rates": rates, "alg": ALG}


def _together(number: int, way: str, seconds: float) -> float:
    """Verifications a second by so many processes that start at once."""
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(number), context.SimpleQueue()
    workers = [context.Process(target=_work, args=(way, seconds, barrier, answers)) for _ in range(number)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE)
        if worker.exitcode != 0:
            raise RuntimeError(f"a process ended with {worker.exitcode}")
    rates: list[float] = [answers.get() for _ in workers]
    return sum(rates)


def _work(way: str, seconds: float, barrier: Barrier, answers: Any) -> None:
    issuer = MeasuredIssuer(ALG)
    agent = knowing_agent(issuer) if way == "warm" else issuer.agent(cache_size=0)
    chunks, calls, spent = chunked(issuer.tokens), 0, 0.0
    barrier.wait(PATIENCE)
    while spent < seconds:
        tokens = next(chunks) if way == "cold" else anew(next(chunks))
        start = time.perf_counter()
        each(agent.verify, tokens)
        spent += time.perf_counter() - start
        calls += len(tokens)
    answers.put(calls / spent)


def tables(document: Document) -> Sequence[Table]:
    """A column a number of processes."""
    numbers = list(document["rates"]["cold"])
    rows = [(what, *(f"{document['rates'][way][number]:,.0f}" for number in numbers)) for way, what in WAYS.items()]
    return [
        Table(
            f"{document['alg']} verifications a second, by processes",
            ["", *(f">{number}" for number in numbers)],
            rows,
        )
    ]


def draw(figure: Any, document: Document) -> None:
    """How many times as many as by one process."""
    figure.set_size_inches(5, 3)
    axes = figure.subplots()
    for colour, (way, what) in zip(PALETTE, WAYS.items(), strict=False):
        rates = document["rates"][way]
        numbers = list(map(int, rates))
        axes.plot(numbers, [rate / rates["1"] for rate in rates.values()], marker="o", color=colour, label=what)
    axes.plot(numbers, numbers, color="#dddddd", zorder=0)
    axes.set_xticks(numbers)
    axes.set_xlabel("processes")
    axes.set_ylabel("times as many as by one")
    axes.legend(frameon=False)


BENCHMARK: Final = Benchmark(
    name="cores",
    what=__doc__ or "",
    measure=measure,
    tables=tables,
    draw=draw,
    arguments={"seconds": (3.0, "that each figure is timed for")},
)

if __name__ == "__main__":
    BENCHMARK.main()
