"""What a benchmark is, and how it is run as a program."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import machine, plots
from tocsin.output import Output

Document = dict[str, Any]
"""Everything measured, as JSON values; tables and plots are made of it alone."""


@dataclass(frozen=True)
class Table:
    """Figures for people. Headings that start with ``>`` are aligned to the right."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Benchmark:
    """One program.

    Attributes:
        name: of the module, its results and its plot.
        what: is measured, in one line.
        measure: measures it, told what the command line said.
        tables: what was measured, for people.
        draw: the same on a matplotlib figure.
        arguments: options beside ``--json`` and ``--plot``, by name: the default, and what it says.
    """

    name: str
    what: str
    measure: Callable[[argparse.Namespace], Document]
    tables: Callable[[Document], Sequence[Table]]
    draw: plots.Draw
    arguments: "dict[str, tuple[Any, str]]"

    def main(self, arguments: Sequence[str] | None = None) -> None:
        """Measure, print, and keep what was asked to be kept."""
        options = self.parser().parse_args(arguments)
        measured = self.measure(options)
        document = {"machine": machine.describe(), **measured}
        output = Output(as_json=False)
        for table in self.tables(document):
            output.table(table.headings, table.rows, title=table.title)
            output.line("")
        if options.json is not None:
            options.json.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
        if options.plot is not None:
            plots.save(options.plot, self.draw, document)

    def parser(self) -> argparse.ArgumentParser:
        """What it reads its command line with."""
        parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{self.name}", description=self.what)
        for name, (default, text) in self.arguments.items():
            kind = str if default is None else type(default)
            option = f"--{name.replace('_', '-')}"
            parser.add_argument(option, default=default, type=kind, help=f"{text} (default: {default})")
        parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
        parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw it (needs matplotlib)")
        return parser
