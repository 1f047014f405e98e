"""The store: SQLite for one host, PostgreSQL for many replicas."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import aiosqlite
from sqlalchemy import URL, Float, cast, event, func, literal_column, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.sql.elements import ColumnElement

from issuer.errors import StoreUnavailable
from issuer.store.sqlite_connection import OneTripConnection
from issuer.store.turns import Turns
from verifier_agent import SettingInvalid

log = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 10.0
"""Longest that one transaction may take, waiting for a connection included."""
BUSY_SECONDS: Final = 5.0
"""Longest wait for another process that writes to the same SQLite file."""
CONNECTIONS: Final = 10
"""To PostgreSQL, of one process."""
WRITERS: Final = 8
"""Of these, at most so many write at once: reading must go on beside them."""
_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}

_STATEMENT_AT_FAULT: Final = {"0A", "21", "22", "23", "42", "44"}
"""Classes of SQLSTATE (PostgreSQL, appendix A): unsupported, cardinality, data, integrity, syntax or access, check."""


class Database:
    """Transactions, and the store's clock.

    On SQLite, transactions that write take the write lock when they begin, one at a time; on PostgreSQL they lock the
    rows that they change. Both commit durably before they return. Of the transactions of this process that wait to
    write, the urgent ones go first.

    Attributes:
        turns: who writes, and who waits for it.
    """

    def __init__(self, url: str) -> None:
        """Prepare engines for ``url``; nothing is connected yet.

        Raises:
            SettingInvalid: it is no URL of a store; the message holds no password.
        """
        self._in_use = 0
        self._unused = asyncio.Event()
        self._unused.set()
        self._closed = False
        parsed = _parsed(url)
        self.kind = parsed.drivername
        self.url = parsed.set(drivername=_DRIVERS[self.kind])
        if self.kind == "sqlite":
            self._reader = _sqlite_engine(self.url, begin="BEGIN", connections=4)
            self._writer = _sqlite_engine(self.url, begin="BEGIN IMMEDIATE", connections=1)
            self.turns = Turns(1)
        else:
            self.turns = Turns(WRITERS)
            self._reader = self._writer = create_async_engine(
                self.url,
                pool_size=CONNECTIONS,
                max_overflow=0,
                pool_timeout=ANSWER_SECONDS,
                pool_pre_ping=True,
                connect_args={
                    "timeout": 5,
                    "command_timeout": ANSWER_SECONDS,
                    "server_settings": {
                        # What is answered must survive a crash, whatever the server's default.
                        "synchronous_commit": "on",
                        # Who is stopped in the middle of a transaction must not keep its locks from all others.
                        "idle_in_transaction_session_timeout": f"{ANSWER_SECONDS * 1000:.0f}",
                    },
                },
                hide_parameters=True,  # errors are logged, and parameters name people
            )

    @property
    def writer(self) -> AsyncEngine:
        """The engine whose transactions may write, for migrations."""
        return self._writer

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        async with _bounded(), self._connected(self._reader) as connection:
            yield connection

    @asynccontextmanager
    async def write(self, seconds: float = ANSWER_SECONDS, *, urgent: bool = False) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed, durably, when the block ends without an error.

        Args:
            seconds: longest that it may take, its wait for a turn included.
            urgent: whether it goes before those that are not: decisions of operators, and what carries them on.

        Raises:
            StoreUnavailable: the store does not answer; the transaction may or may not have happened.
        """
        async with (
            _bounded(seconds),
            self.turns.turn(urgent=urgent),
            self._connected(self._writer) as connection,
            connection.begin(),
        ):
            if seconds > ANSWER_SECONDS and self.kind == "postgresql":
                idle = text(f"SET LOCAL idle_in_transaction_session_timeout = {seconds * 1000:.0f}")
                await connection.execute(idle)
            yield connection

    def time(self) -> ColumnElement[float]:
        """The store's clock when a row is written, as an SQL expression."""
        if self.kind == "sqlite":
            return literal_column("((julianday('now') - 2440587.5) * 86400.0)", Float)
        return cast(func.extract("epoch", func.clock_timestamp()), Float)

    def time_before_reading(self) -> ColumnElement[float]:
        """The store's clock no later than when the statement began to look at rows."""
        if self.kind == "sqlite":
            return self.time()
        return cast(func.extract("epoch", func.statement_timestamp()), Float)

    async def close(self) -> None:
        """Close all connections when those who have one are done; there is none afterwards.

        One that came back later would be closed by nobody.
        """
        self._closed = True
        await _to_its_end(self._dispose())

    async def _dispose(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._unused.wait()
        await self._writer.dispose()
        await self._reader.dispose()

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """A connection out of the pool, had and given back whole.

        Cancelled while one is opened or given back, SQLAlchemy would forget it unclosed.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed: this process stops")
        connection = engine.connect()
        self._in_use += 1
        self._unused.clear()
        try:
            await _to_its_end(connection.start())
            yield connection
        finally:
            try:
                if connection.sync_connection is not None:
                    await _to_its_end(connection.close())
            finally:
                self._in_use -= 1
                if not self._in_use:
                    self._unused.set()


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # without its words: they may hold the password
        raise SettingInvalid("setting 'store' is no URL; use sqlite:///file or postgresql://…") from None
    if parsed.drivername not in _DRIVERS:
        raise SettingInvalid(
            f"setting 'store': {parsed.drivername!r} is no kind of store; use sqlite:///file or postgresql://…"
        )
    if parsed.drivername == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise SettingInvalid("setting 'store' names no file: sqlite:///relative.db or sqlite:////absolute.db")
    if parsed.drivername == "postgresql":
        # libpq's name for it is what people write; asyncpg calls the same thing ssl.
        query = {"ssl" if name == "sslmode" else name: value for name, value in parsed.query.items()}
        if unknown := sorted(set(query) - {"ssl"}):
            raise SettingInvalid(f"setting 'store' has an option {unknown[0]!r}; postgresql:// knows sslmode alone")
        parsed = parsed.set(query=query)
    return parsed


@asynccontextmanager
async def _bounded(seconds: float = ANSWER_SECONDS) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except (TimeoutError, PoolTimeout) as error:
        raise StoreUnavailable(f"the store did not answer within {seconds:.0f} s") from error
    except DBAPIError as error:
        if error.connection_invalidated or _is_unavailable(error):
            raise StoreUnavailable(f"the store is out of reach: {error.orig}") from error
        raise
    except SQLAlchemyError:
        raise
    except OSError as error:  # asyncpg lets a refused connection through as it is
        raise StoreUnavailable(f"the store is out of reach: {error}") from error


async def _to_its_end(work: Coroutine[Any, Any, Any]) -> None:
    """Who is cancelled meanwhile, however often, leaves when it is done; the work has time-outs of its own."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):  # the first one is handed on
                await asyncio.wait([task])
        if not task.cancelled() and task.exception() is not None:  # the connection is gone, which was to be
            log.debug("store_connection_lost", extra={"error": type(task.exception()).__name__})
        raise


def _is_unavailable(error: DBAPIError) -> bool:
    """Whether the database, and not the statement, is at fault.

    A server that shuts down, starts, is full or has become a standby says so by SQLSTATE alone.
    """
    state = getattr(error.orig, "sqlstate", None)
    if state:
        return state[:2] not in _STATEMENT_AT_FAULT
    return type(error).__name__ in {"OperationalError", "InterfaceError", "InternalError"}


def _sqlite_engine(url: URL, *, begin: str, connections: int) -> AsyncEngine:
    engine = create_async_engine(
        url,
        async_creator=lambda: _opened(str(url.database)),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=ANSWER_SECONDS,
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "begin")
    def _begun(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


async def _opened(file: str) -> aiosqlite.Connection:
    connection = OneTripConnection.to(file)  # we begin transactions ourselves
    connection._thread.daemon = True  # noqa: SLF001 - as SQLAlchemy does: it must not keep a program from ending
    try:
        await connection
    except BaseException:
        # Its thread has been told to end, and answers to this loop when it does, which may be closed by then.
        await asyncio.to_thread(connection._thread.join)  # noqa: SLF001 - there is no public way to wait for it
        raise
    try:
        await _write_ahead(connection)
        for pragma in (f"busy_timeout={BUSY_SECONDS * 1000:.0f}", "synchronous=FULL", "foreign_keys=ON"):
            await connection.execute_fetchall(f"PRAGMA {pragma}")
    except BaseException:
        await connection.close()
        raise
    return connection


async def _write_ahead(connection: aiosqlite.Connection) -> None:
    """Have the file written ahead. While others do the same to a new file SQLite says busy, and does not wait."""
    async with asyncio.timeout(BUSY_SECONDS):
        while True:
            try:
                await connection.execute_fetchall("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                await asyncio.sleep(BUSY_SECONDS / 500)
            else:
                return
