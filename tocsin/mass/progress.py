"""How far it is, on standard error: a bar on a terminal, elsewhere a line every few seconds."""

import sys
import time
from types import TracebackType
from typing import Final, Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

LINE_SECONDS: Final = 5.0


class Progress:
    """Of one phase after the other.

    Attributes:
        quiet: whether to say nothing where there is no terminal.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._bar: Bar | None = None
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
        self._name = self._unit = ""
        self._total: int | None = None
        self._told = 0.0

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def phase(self, name: str, unit: str, total: int | None = None) -> None:
        """What is done from now on, and how much of it there is, where that is known."""
        self._name, self._unit, self._total, self._told = name, unit, total, time.monotonic()
        if self._bar is not None:
            for task in self._bar.task_ids:
                self._bar.remove_task(task)
            self._bar.add_task(name, total=total)

    def at(self, done: int) -> None:
        """How much of it has been done."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done)
        elif not self.quiet and time.monotonic() >= self._told + LINE_SECONDS:
            self._told = time.monotonic()
            self._line(f"{self._name}: {done}{'' if self._total is None else f' of {self._total}'} {self._unit}")

    def note(self, text: str) -> None:
        """Something that happened on the way."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        elif not self.quiet:
            self._line(text)

    def _line(self, text: str) -> None:
        click.echo(text, err=True)
