"""What a command says: tables and lines for people, or one JSON document for programs."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text


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
        """Text for people, as it is: to be pasted, so never wrapped; brackets in it are brackets."""
        self._print(Text(text))

    def held(self, text: str) -> None:
        """Something that was checked, and holds."""
        self._print(Text.assemble(("✓", "green"), " ", text))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
        """A table for people; columns whose heading starts with ``>`` are aligned to the right."""
        heading = None if title is None else Text(title)
        table = Table(title=heading, title_justify="left", box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(Text(column.removeprefix(">")), justify="right" if column.startswith(">") else "left")
        for row in rows:
            table.add_row(*map(Text, row))
        self.console.print(table)

    def _print(self, text: Text) -> None:
        self.console.print(text, soft_wrap=True)

    def answer(self, document: Any) -> None:
        """The whole answer, for programs."""
        if self.as_json:
            click.echo(msgspec.json.encode(document, enc_hook=str))
