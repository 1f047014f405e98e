"""A CSV file of users: what its columns mean, and what is wrong with a row."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from issuer.users import standard_claims
from tocsin.errors import WRONG_USE, CommandFailed

_OWN: Final = ("username", "password", "password_hash", "sub", "disabled")
_TRUTH: Final = {"true": True, "1": True, "false": False, "0": False, "": False}


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """A row. Its ``repr`` tells the name alone.

    Attributes:
        username: by which they log in.
        password: ``None`` when there is none, or its hash.
        password_hash: by Argon2id.
        sub: their identifier elsewhere, to be kept.
        disabled: whether they may do nothing.
        claims: from all other columns.
    """

    username: str
    password: str | None = None
    password_hash: str | None = None
    sub: str | None = None
    disabled: bool = False
    claims: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"NewUser(username={self.username!r})"


class Fault(msgspec.Struct, frozen=True):
    """A row that cannot be used; the words show no password."""

    line: int
    fault: str


def rows_of(file: Path) -> Iterator[tuple[int, NewUser | Fault]]:
    """The rows with the number of the line that each ends at; blank lines are passed over.

    Raises:
        CommandFailed: the file is no CSV in UTF-8 with the column ``username`` and no column twice.
    """
    with file.open(newline="", encoding="utf-8-sig") as lines:  # spreadsheets put a mark in front
        reader = csv.reader(lines, strict=True)
        try:
            columns = next(reader, [])
            _check(file, columns)
            for values in reader:
                if values:
                    yield reader.line_num, _row(reader.line_num, columns, values)
        except (UnicodeDecodeError, csv.Error) as error:
            raise CommandFailed(
                f"{file} cannot be read as CSV in UTF-8 after line {reader.line_num}: {error}", exit_code=WRONG_USE
            ) from error


def _check(file: Path, columns: list[str]) -> None:
    if "username" not in columns:
        raise CommandFailed(f"{file} has no column 'username'", exit_code=WRONG_USE)
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise CommandFailed(f"{file} has column {twice!r} twice", exit_code=WRONG_USE)
    if "" in columns:
        raise CommandFailed(f"{file} has a column without a name", exit_code=WRONG_USE)


def _row(line: int, columns: list[str], values: list[str]) -> NewUser | Fault:
    if len(values) != len(columns):
        return Fault(line, f"it has {len(values)} values in {len(columns)} columns")
    row = dict(zip(columns, values, strict=True))
    disabled = _TRUTH.get(row.get("disabled", "").strip().lower())
    if disabled is None:
        return Fault(line, "column 'disabled' must be true or false")
    return NewUser(
        username=row["username"],
        password=row.get("password") or None,
        password_hash=row.get("password_hash") or None,
        sub=row.get("sub") or None,
        disabled=disabled,
        claims={name: standard_claims.parsed(name, text) for name, text in row.items() if name not in _OWN and text},
    )
