"""``python -m tests.faults``: breaks everything in turn and writes ``docs/outages.md``."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from tests.faults import report
from tests.faults.cell_run import CellRun, NotWell
from tests.faults.fault import Fault
from tests.faults.matrix import cells, cells_on_sqlite
from tests.faults.system import System
from tests.faults.verdict import Result

BEFORE_SECONDS: Final = 5.0
SECONDS: Final = 6.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 1 when a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", metavar="SUBJECT", help="cells whose name has this in it, such as kafka")
    parser.add_argument("--cells", metavar="NAME,NAME", help='cells of these names, such as "kafka killed"')
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long each fault lasts")
    parser.add_argument("--list", action="store_true", help="name the cells, and run none")
    parser.add_argument("--dry", action="store_true", help="write no page")
    asked = parser.parse_args(arguments)
    on_postgresql = _chosen(cells(), asked.only, asked.cells)
    on_sqlite = _chosen(cells_on_sqlite(), asked.only, asked.cells)
    if asked.list:
        report.write("".join(f"{each.cell}\n" for each in [*on_postgresql, *on_sqlite]))
        return 0
    report.write(report.heading())
    results: list[Result] = []
    try:
        for sqlite, faults in ((False, on_postgresql), (True, on_sqlite)):
            if faults:
                asyncio.run(_run(faults, asked.seconds, results.append, sqlite=sqlite))
    finally:  # what has been measured is kept, whatever ends the rest
        if results and not asked.dry:
            report.keep(results, seconds=asked.seconds)
    return 1 if any(each.missed for each in results) else 0


def _chosen(faults: Sequence[Fault], part: str | None, names: str | None) -> list[Fault]:
    wanted = None if names is None else {name.strip() for name in names.split(",")}
    return [
        each
        for each in faults
        if (part is None or part in each.cell) and (wanted is None or each.cell.replace(",", "") in wanted)
    ]


async def _run(faults: Sequence[Fault], seconds: float, tell: Callable[[Result], None], *, sqlite: bool) -> None:
    done = 0
    while done < len(faults):
        async with System(sqlite=sqlite) as system:
            async for result in _as_long_as_well(system, faults[done:], seconds):
                done += 1
                tell(result)
                report.write(report.line(result))


async def _as_long_as_well(system: System, faults: Sequence[Fault], seconds: float) -> AsyncIterator[Result]:
    """One result after the other, until what one has left behind is too much for the next."""
    for number, fault in enumerate(faults):
        try:
            yield await CellRun(system, fault, before=BEFORE_SECONDS, during=seconds).run()
        except NotWell as not_well:
            if number == 0:
                raise
            report.write(f"everything is started anew: {not_well}\n")
            return


if __name__ == "__main__":
    sys.exit(main())
