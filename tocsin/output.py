"""What a command says: tables and lines for people, or one JSON document for programs."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table


class Output:
    """Writes to standard output.

    Attributes:
        as_json: whether the answer is for a program.
        console: for people; silent when the answer is for a program.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        # A pipe has no width; tables must not be squeezed into eighty columns for it.
        self.console = Console(quiet=as_json, highlight=False, width=None if sys.stdout.isatty() else 160)

    def line(self, text: str) -> None:
        """One line for people."""
        self.console.print(text)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
        """A table for people; columns whose heading starts with ``>`` are aligned to the right."""
        table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
        for row in rows:
            table.add_row(*row)
        self.console.print(table)

    def answer(self, document: Any) -> None:
        """The whole answer, for programs."""
        if self.as_json:
            click.echo(msgspec.json.encode(document, enc_hook=str))
