"""Shows results as they come, keeps them, and writes the tables of ``docs/outages.md``."""

import math
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.machine import describe
from tests.faults.verdict import FRESH_AGAIN_GOAL, MEMORY_GOAL, RATIO_GOAL, Result

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "outages.md"
RESULTS: Final = Path(__file__).parent / "results.json"
MARKED: Final = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end of results -->)", re.DOTALL)
ALONE: Final = "plain"
"""The agent that has no second log."""
HEADINGS: Final = (
    "fault",
    ">verified",
    ">refused",
    ">accepted",
    ">decided",
    ">lost",
    ">heard after",
    ">p99",
    ">stalest",
    ">fresh again",
    ">errors",
    ">leaked",
    "",
)
WIDTHS: Final = (34, 8, 7, 8, 8, 4, 13, 11, 13, 13, 6, 10, 0)


class Kept(msgspec.Struct, kw_only=True):
    """One result, and what it was measured on.

    Attributes:
        result: of a cell.
        seconds: that the fault lasted.
        measured: when and on what.
    """

    result: Result
    seconds: float
    measured: str


def write(text: str) -> None:
    """Show something at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def heading() -> str:
    """Of the table that is shown as it goes."""
    return _aligned([heading.removeprefix(">") for heading in HEADINGS])


def line(result: Result, unjudged: Collection[str] = ()) -> str:
    """One row of it, and what went wrong in words; goals of these names are not held against it."""
    troubles = [*result.lost, *result.errors[:5], *result.leaked]
    return _aligned(_row(result, unjudged)) + "".join(f"    {trouble}\n" for trouble in troubles)


def keep(results: Sequence[Result], *, seconds: float) -> None:
    """Take results up among those kept before, and write the page anew."""
    kept = kept_results()
    measured = _machine()
    for result in results:
        kept[result.cell] = Kept(result=result, seconds=seconds, measured=measured)
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")
    PAGE.write_text(written(PAGE.read_text(), kept))


def kept_results() -> dict[str, Kept]:
    """What was measured last, by cell."""
    return msgspec.json.decode(RESULTS.read_bytes(), type=dict[str, Kept]) if RESULTS.exists() else {}


def written(page: str, kept: Mapping[str, Kept]) -> str:
    """The page with new tables between its marks.

    Raises:
        ValueError: it has a mark of an unknown name.
    """
    parts = {"cells": _cells, "missed": _missed, "machine": _machines}

    def fill(mark: re.Match[str]) -> str:
        if mark[2] not in parts:
            raise ValueError(f"docs/outages.md marks a place for {mark[2]!r}, which nobody measures")
        return f"{mark[1]}\n{parts[mark[2]](kept)}\n{mark[3]}"

    return MARKED.sub(fill, page)


def _cells(kept: Mapping[str, Kept]) -> str:
    rules = ["--:" if heading.startswith(">") else "---" for heading in HEADINGS]
    rows = [[heading.removeprefix(">") for heading in HEADINGS], rules, *(_row(each.result) for each in kept.values())]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _missed(kept: Mapping[str, Kept]) -> str:
    results = [each.result for each in kept.values()]
    goals = {
        "good tokens refused beyond policy": ("refused", "0"),
        "revoked tokens accepted after the agent said it knew better": ("accepted", "0"),
        "revocations lost": ("lost", "0"),
        "verify p99 during the fault to before": ("p99", f"≤ {RATIO_GOAL:g}, or within noise"),
        "time to fresh again": ("fresh again", f"≤ {FRESH_AGAIN_GOAL:g} s"),
        "unhandled errors in logs": ("errors", "0"),
        "leaks": ("leaked", f"no task, no descriptor, ≤ {MEMORY_GOAL:g} MB"),
    }
    lines = ["| what | goal | cells that meet it | that miss it |\n", "| --- | --- | --: | --- |\n"]
    for what, (name, goal) in goals.items():
        missing = [each.cell for each in results if name in each.missed]
        lines.append(f"| {what} | {goal} | {len(results) - len(missing)} of {len(results)} | {', '.join(missing)} |\n")
    return "".join(lines)


def _machines(kept: Mapping[str, Kept]) -> str:
    found: dict[str, int] = {}
    for each in kept.values():
        said = f"{each.measured}; each fault lasted {each.seconds:g} s"
        found[said] = found.get(said, 0) + 1
    return "".join(f"- {count} cells: {said}\n" for said, count in found.items())


def _machine() -> str:
    about = describe()
    processors = f"{about['processors']} processors of kind {about['processor']}"
    return f"{about['date']}, {processors}, {about['python']}, load {about['load']}"


def _row(result: Result, unjudged: Collection[str] = ()) -> list[str]:
    missed = [name for name in result.missed if name not in unjudged]
    leaked = f"{len(result.leaked)}, {result.grown:+.1f} MB"
    return [
        result.cell,
        f"{result.verified:,}",
        str(result.refused),
        str(result.accepted),
        "+".join(map(str, result.decided)),
        str(len(result.lost)),
        _both(result.heard),
        "-" if math.isnan(result.p99_before) else f"{result.p99_ratio:.2f} ({result.p99_noise:.2f})",
        _both(result.stalest),
        _both(result.fresh_again),
        str(len(result.errors)),
        leaked,
        f"**missed: {', '.join(missed)}**" if missed else "met",
    ]


def _both(seconds: Mapping[str, float | None]) -> str:
    """The worst of the agents with two logs, and that of the agent with one."""
    others = [each for name, each in seconds.items() if name != ALONE]
    return f"{_worst(others)} / {_worst([seconds[ALONE]])}" if others and ALONE in seconds else "-"


def _worst(seconds: Sequence[float | None]) -> str:
    known = [each for each in seconds if each is not None]
    return "never" if len(known) < len(seconds) else f"{max(known):.1f} s"


def _aligned(row: Sequence[str]) -> str:
    name, *cells = row
    shown = [cell.rjust(width) for cell, width in zip(cells, WIDTHS[1:], strict=True)]
    return "  ".join([name.ljust(WIDTHS[0]), *shown]).rstrip() + "\n"
