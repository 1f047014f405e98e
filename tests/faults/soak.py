"""``python -m tests.faults.soak``: one installation, random faults one after the other, for as long as is asked for."""

import argparse
import asyncio
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from tests.faults import report
from tests.faults.cell_run import CellRun, NotWell
from tests.faults.fault import Fault
from tests.faults.footprint import Footprint
from tests.faults.leaks import Leaks
from tests.faults.matrix import cells
from tests.faults.system import System
from tests.faults.verdict import Result

BEFORE_SECONDS: Final = 3.0
SHORTEST: Final = 0.2
LONGEST: Final = 8.0
UNJUDGED: Final = ("p99", "fresh again", "leaked")
"""What the matrix judges, on faults of one length: here they come too quickly after each other for that.

Leaks are judged in the end.
"""
AT_REST_SECONDS: Final = 400.0
"""Within which agents read their first log alone again, however often it has failed them (``FailoverRule``)."""
GROWTH_GOAL: Final = 24.0
"""Megabytes from the third of the faults to the last: allocators keep some; what leaks goes on growing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Break things for so long; 1 when a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--seed", type=int, default=None, help="for the same faults in the same order")
    asked = parser.parse_args(arguments)
    seed = secrets.randbelow(1 << 32) if asked.seed is None else asked.seed
    report.write(f"{asked.seconds:g} s of random faults, seed {seed}\n{report.heading()}")
    return asyncio.run(_soak(asked.seconds, random.Random(seed)))  # noqa: S311 - chance, not a secret


async def _soak(seconds: float, chance: random.Random) -> int:
    faults = cells()
    results: list[Result] = []
    held: dict[str, Footprint] | None = None
    async with System() as system:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            fault, during = chance.choice(faults), chance.uniform(SHORTEST, LONGEST)
            try:
                result = await _one(system, fault, during)
            except NotWell as not_well:
                report.write(f"{fault.cell}: {not_well}, after {results[-1].cell if results else 'the start'}\n")
                return 1
            results.append(result)
            report.write(report.line(result, UNJUDGED))
            if held is None and await system.until(system.at_rest, AT_REST_SECONDS):
                held = await system.footprints()
        leaks = None if held is None else await Leaks.of(system, held, AT_REST_SECONDS)
        leaked = ["nobody knows: agents never were at rest"] if leaks is None else leaks.found
    return _judged(results, leaked)


async def _one(system: System, fault: Fault, during: float) -> Result:
    return await CellRun(system, fault, before=BEFORE_SECONDS, during=during, apart=False).run()


def _judged(results: Sequence[Result], leaked: Sequence[str]) -> int:
    """Say what all of it comes to."""
    missed = Counter(name for each in results for name in each.missed if name not in UNJUDGED)
    never = [each.cell for each in results if None in each.fresh_again.values()]
    grown = sum(each.grown for each in results[2:])
    report.write(
        f"{len(results)} faults, {sum(sum(each.decided) for each in results):,} revocations, "
        f"{sum(each.verified for each in results):,} good tokens accepted, "
        f"{sum(each.restarts for each in results)} restarts of the issuer by itself, "
        f"grown by {grown:.1f} MB (goal: at most {GROWTH_GOAL:g})\n"
        f"missed: {dict(missed) or 'nothing'}; never fresh again: {never or 'none'}; "
        f"leaked in the end: {leaked or 'nothing'}\n"
    )
    return 1 if missed or never or leaked or grown > GROWTH_GOAL else 0


if __name__ == "__main__":
    sys.exit(main())
