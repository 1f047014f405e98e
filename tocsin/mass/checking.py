"""Reading and checking the whole of a file before anything is sent."""

from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final, TextIO

import msgspec

from tocsin.mass.digesting import BadValue, Digester
from tocsin.mass.formats import Format
from tocsin.mass.lines import NumberedLines
from tocsin.mass.progress import Progress
from tocsin.mass.sorted_digests import SortedDigests

MOST_SHOWN: Final = 20
"""Bad lines that are told one by one; ``--errors`` has all of them."""
PIECE: Final = 8192
"""Digests that are handed on together."""


class BadLine(msgspec.Struct, frozen=True):
    """One line that cannot be revoked by.

    Attributes:
        line: its number, from 1 on.
        error: what is wrong, without its text.
    """

    line: int
    error: str


class BadLines:
    """Counts them, keeps the first, and writes all of them to a file where one is given."""

    def __init__(self, file: TextIO | None = None) -> None:
        self.count = 0
        self.first: list[BadLine] = []
        self._file = file

    def complain(self, line: int, error: str) -> None:
        """Note one."""
        self.count += 1
        if len(self.first) < MOST_SHOWN:
            self.first.append(BadLine(line, error))
        if self._file is not None:
            self._file.write(f"{line}: {error}\n")

    def told(self) -> list[str]:
        """Lines for people: the first, and how many more there are."""
        lines = [f"line {bad.line}: {bad.error}" for bad in self.first]
        more = self.count - len(self.first)
        return [*lines, f"and {more} more bad lines"] if more else lines


class Checked(msgspec.Struct, frozen=True):
    """What a file holds.

    Attributes:
        lines: read, blank ones and a header included.
        bad: those that cannot be revoked by.
        digests: of the others, sorted.
    """

    lines: int
    bad: BadLines
    digests: SortedDigests


def check(file: BinaryIO, form: Format, digests: SortedDigests, *, errors: Path | None, progress: Progress) -> Checked:
    """Read the file to its end; every bad line is noted, every other one's digest kept.

    Raises:
        CommandFailed: nothing of it can be read.
        OSError: the file of errors cannot be written.
    """
    with ExitStack() as stack:
        bad = BadLines(None if errors is None else stack.enter_context(errors.open("w", encoding="utf-8")))
        lines, digest_of = NumberedLines(file, bad.complain), Digester().of
        packed = bytearray()
        for number, kind, value in form.values(lines, bad.complain):
            try:
                packed += digest_of[kind](value)
            except BadValue as error:
                bad.complain(number, str(error))
            if len(packed) >= PIECE * 8:
                digests.add(packed)
                packed = bytearray()
                progress.at(number)
        digests.add(packed)
    digests.sort()
    return Checked(lines.number, bad, digests)
