"""Where the tokens stand in a file: one a line, in a column of a CSV file, or in a member of JSON lines."""

import csv
from collections.abc import Iterator
from typing import Any, Final, Protocol

import msgspec

from tocsin.errors import WRONG_USE, CommandFailed
from tocsin.mass.lines import Complain, NumberedLines

KINDS: Final = ("token", "jti", "digest")
"""What a value may be, and the names that it may stand under."""
FORMATS: Final = ("text", "csv", "jsonl")
_BY_EXTENSION: Final = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}

Value = tuple[int, str, bytes]
"""Line number, kind, and the value itself."""


class Format(Protocol):
    """Finds the values in lines."""

    def values(self, lines: NumberedLines, complain: Complain) -> Iterator[Value]:
        """Every value there is; each line that should have one and has not is complained of."""


def format_of(name: str | None, file: str, kind: str | None, column: str | None) -> Format:
    """The format that is asked for, or else the one that the file's name says.

    Args:
        name: one of ``FORMATS``.
        file: the name of the file.
        kind: one of ``KINDS``; found by the column's name when absent.
        column: under which name the values stand, where it is not their kind's.
    """
    extension = next((known for known in _BY_EXTENSION if file.lower().endswith(known)), "")
    name = name or _BY_EXTENSION.get(extension, "text")
    if column is not None:
        kind = kind or (column if column in KINDS else "token")
    if name == "csv":
        return Csv(kind, column or kind)
    if name == "jsonl":
        return JsonLines(kind, column or kind)
    if column is not None:
        raise CommandFailed("--column is for CSV and JSON lines", code="wrong_use", exit_code=WRONG_USE)
    return PlainText(kind or "token")


class PlainText:
    """One value a line; blank lines are passed over."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def values(self, lines: NumberedLines, complain: Complain) -> Iterator[Value]:  # noqa: ARG002 - see Format
        """See ``Format.values``."""
        for line in lines:
            if value := line.strip():
                yield lines.number, self._kind, value


class Csv:
    """Comma-separated values (RFC 4180) under a header line."""

    def __init__(self, kind: str | None, column: str | None) -> None:
        self._kind = kind
        self._column = column

    def values(self, lines: NumberedLines, complain: Complain) -> Iterator[Value]:
        """See ``Format.values``.

        Raises:
            CommandFailed: the header does not say where the values stand.
        """
        # Every octet is a character of Latin-1: nothing is lost on the way to the value.
        rows = csv.reader((line.decode("latin-1") + "\n" for line in lines), strict=True)
        at: int | None = None
        kind = ""
        while True:
            try:
                row = next(rows, None)
            except csv.Error as error:
                complain(lines.number, f"it is no CSV: {error}")
                continue
            if row is None:
                return
            if not row:
                continue
            if at is None:
                kind, at = self._place([name.encode("latin-1").decode(errors="replace").strip() for name in row])
            elif len(row) <= at or not (value := row[at].strip()):
                complain(lines.number, f"it has no {self._column or kind}")
            else:
                yield lines.number, kind, value.encode("latin-1")

    def _place(self, header: list[str]) -> tuple[str, int]:
        wanted = [self._column] if self._column is not None else [name for name in KINDS if name in header]
        if len(wanted) != 1 or header.count(wanted[0]) != 1:
            raise CommandFailed(
                f"the header must name exactly one column {' or '.join(map(repr, wanted or KINDS))}; "
                "say which with --by, or its name with --column",
                code="wrong_use",
                exit_code=WRONG_USE,
            )
        return self._kind or wanted[0], header.index(wanted[0])


class JsonLines:
    """One JSON object a line, with the value as a member; blank lines are passed over."""

    def __init__(self, kind: str | None, column: str | None) -> None:
        names = {kind or "token": column} if column is not None else {name: name for name in KINDS}
        self._names = tuple(names)
        row: Any = msgspec.defstruct("Row", [(name, str | None, None) for name in names], rename=names)
        self._decode = msgspec.json.Decoder(row).decode

    def values(self, lines: NumberedLines, complain: Complain) -> Iterator[Value]:
        """See ``Format.values``."""
        for line in lines:
            if not line.strip():
                continue
            try:
                row = self._decode(line)
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                complain(lines.number, f"it is not what a line should be: {error}")
                continue
            found = [(name, value) for name in self._names if (value := getattr(row, name))]
            if len(found) == 1:
                kind, value = found[0]
                yield lines.number, kind, value.encode("utf-8", "surrogatepass")
            else:
                complain(lines.number, f"it must have exactly one of {', '.join(self._names)}; it has {len(found)}")
