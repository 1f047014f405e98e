"""A connection to an SQLite file for which each statement is one trip to its thread.

aiosqlite makes four of it for SQLAlchemy: a cursor, the statement, its rows, and the cursor's end. Each wakes a thread
that wants the interpreter, and together they are most of what a short statement costs: SQLite itself takes some
microseconds.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

import aiosqlite


class _Outcome(NamedTuple):
    description: Any = None
    rows: Sequence[Any] = ()
    rowcount: int = -1
    lastrowid: int | None = None


class OneTripCursor:
    """What SQLAlchemy asks of a cursor: statements whose rows are wanted whole. None is open between two calls.

    So a statement whose caller is cancelled leaves no cursor behind either, which would keep the file locked.
    """

    arraysize = 1

    def __init__(self, connection: "OneTripConnection") -> None:
        self._connection = connection
        self._outcome = _Outcome()

    async def __aenter__(self) -> Self:
        return self

    @property
    def description(self) -> Any:
        """See PEP 249."""
        return self._outcome.description

    @property
    def rowcount(self) -> int:
        """See PEP 249."""
        return self._outcome.rowcount

    @property
    def lastrowid(self) -> int | None:
        """See PEP 249."""
        return self._outcome.lastrowid

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> Self:
        """See PEP 249."""
        self._outcome = await self._connection.run(sqlite3.Cursor.execute, sql, parameters)
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> Self:
        """See PEP 249."""
        self._outcome = await self._connection.run(sqlite3.Cursor.executemany, sql, parameters)
        return self

    async def fetchall(self) -> Sequence[Any]:
        """The rows of the statement, once."""
        rows, self._outcome = self._outcome.rows, self._outcome._replace(rows=())
        return rows

    async def close(self) -> None:
        """Nothing is left to close."""


class OneTripConnection(aiosqlite.Connection):
    """As aiosqlite's, but for its cursors."""

    @classmethod
    def to(cls, file: str) -> Self:
        """Not opened yet; transactions are begun by whoever uses it."""
        return cls(partial(sqlite3.connect, file, isolation_level=None), iter_chunk_size=64)

    def cursor(self) -> Any:
        """A ``OneTripCursor``, which SQLAlchemy takes as well as aiosqlite's; it costs nothing yet."""
        return OneTripCursor(self)

    async def run(self, what: Any, sql: str, parameters: Any) -> _Outcome:
        """Execute a statement in the thread, all of it."""
        in_thread: Any = self._execute  # aiosqlite gives it no types
        outcome: _Outcome = await in_thread(self._whole, what, sql, parameters)
        return outcome

    def _whole(self, what: Any, sql: str, parameters: Any) -> _Outcome:
        cursor = self._conn.cursor()
        try:
            what(cursor, sql, parameters)
            rows = cursor.fetchall() if cursor.description else ()
            return _Outcome(cursor.description, rows, cursor.rowcount, cursor.lastrowid)
        finally:
            cursor.close()
