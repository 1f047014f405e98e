"""Writes the tables and plots of ``docs/performance.md`` from what was measured; with ``--measure``, measures first."""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks import cores, delivery, digests, goals, growth, limits, memory, plots, verification
from benchmarks.benchmark import Table
from benchmarks.issuer import __main__ as issuer
from benchmarks.peers import __main__ as peers

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = ROOT / "docs" / "performance.md"
FIGURES: Final = ROOT / "docs" / "figures"
RESULTS: Final = Path(__file__).parent / "results"
MARKED: Final = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)
BENCHMARKS: Final = {
    module.BENCHMARK.name: module.BENCHMARK
    for module in (verification, limits, digests, growth, cores, memory, peers, delivery, issuer)
}

SERVICES: Final = {"digests": {"redis": "{redis}"}, "delivery": {"kafka": "kafka://{kafka}", "redis": "{redis}"}}
"""What a benchmark is given, by the name of the option."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for, and write the page anew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    names = ", ".join(BENCHMARKS)
    parser.add_argument(
        "--measure", nargs="*", choices=list(BENCHMARKS), metavar="NAME", help=f"all, or some of {names}"
    )
    asked = parser.parse_args(arguments).measure
    for name in BENCHMARKS if asked == [] else asked or ():
        _measure(name)
    results = kept_results()
    for name, document in results.items():
        if not plots.save(FIGURES / f"{name}.svg", BENCHMARKS[name].draw, document):
            break
    PAGE.write_text(written(PAGE.read_text(), results))


def kept_results() -> goals.Results:
    """What was measured last, by name."""
    return {name: msgspec.json.decode(_result(name).read_bytes()) for name in BENCHMARKS if _result(name).exists()}


def written(page: str, results: goals.Results) -> str:
    """The page with new tables between its marks. What has not been measured stays as it is.

    Raises:
        ValueError: it has a mark of an unknown name.
    """

    def fill(mark: re.Match[str]) -> str:
        name = mark[2]
        if name not in {"goals", "delivery_goals", "issuer_goals", "machine", *BENCHMARKS}:
            raise ValueError(f"docs/performance.md marks a place for {name!r}, which nothing measures")
        if name.removesuffix("_goals") in BENCHMARKS.keys() - results.keys():
            return mark[0]
        return f"{mark[1]}\n{''.join(_part(name, results))}{mark[3]}"

    return MARKED.sub(fill, page)


def _part(name: str, results: goals.Results) -> Iterator[str]:
    if name == "goals":
        yield markdown(goals.table(results))
    elif name == "delivery_goals":
        yield markdown(goals.delivery_table(results))
    elif name == "issuer_goals":
        yield markdown(goals.issuer_table(results))
    elif name == "machine":
        yield _machines(results)
    else:
        for table in BENCHMARKS[name].tables(results[name]):
            yield f"**{table.title}**\n\n{markdown(table)}"


def _machines(results: goals.Results) -> str:
    """When and on what each benchmark ran; those that agree together."""
    found: dict[str, list[str]] = {}
    for name, document in results.items():
        about = document["machine"]
        processors = f"{about['processors']} processors of kind {about['processor']}"
        said = (
            f"{about['date']}, {processors}, {about['python']}, {about['system']}, load {about.get('load', 'unknown')}"
        )
        found.setdefault(said, []).append(name)
    return "".join(f"- {', '.join(names)}: {said}\n" for said, names in found.items()) + "\n"


def markdown(table: Table) -> str:
    """A table as Markdown has it, and an empty line."""
    headings = [heading.removeprefix(">").lower() for heading in table.headings]
    rules = ["--:" if heading.startswith(">") else "---" for heading in table.headings]
    rows = [headings, rules, *table.rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows) + "\n"


def _result(name: str) -> Path:
    return RESULTS / f"{name}.json"


def _measure(name: str) -> None:
    """In a fresh process; those that need Redis or Kafka are given servers of their own."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(_result(name))]
    if needed := SERVICES.get(name):
        given = [text for service, url in needed.items() for text in (f"--{service}", url)]
        command = [sys.executable, "-m", "tests.services", "with", *needed, "--", *command, *given]
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
