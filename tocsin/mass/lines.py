"""Lines of a file of any size, one at a time: however long a line is, memory stays bounded."""

from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from tocsin.errors import WRONG_USE, CommandFailed

MAX_LINE: Final = 64 * 1024
"""Octets; a longer line holds no token."""
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")

Complain = Callable[[int, str], None]
"""Told of a bad line: its number, from 1 on, and what is wrong; never its text, which may be a good token."""


class NumberedLines:
    """Reads lines without their ends, and counts them.

    Attributes:
        number: of the line that was read last.
    """

    def __init__(self, file: BinaryIO, complain: Complain) -> None:
        self.number = 0
        self._file = file
        self._complain = complain

    def __iter__(self) -> Iterator[bytes]:
        """Every line that is not too long.

        Raises:
            CommandFailed: it is text in UTF-16.
        """
        readline = self._file.readline
        while line := readline(MAX_LINE + 2):
            self.number += 1
            if self.number == 1:
                line = _unmarked(line)
            if len(line) > MAX_LINE and not line.endswith(b"\n"):
                self._complain(self.number, f"it is longer than {MAX_LINE} octets")
                while line and not line.endswith(b"\n"):
                    line = readline(MAX_LINE)
                continue
            yield line.rstrip(b"\r\n")


def _unmarked(line: bytes) -> bytes:
    if line.startswith(_UTF16_MARKS):
        raise CommandFailed("the file is in UTF-16; save it as UTF-8", code="wrong_use", exit_code=WRONG_USE)
    return line.removeprefix(_UTF8_MARK)
