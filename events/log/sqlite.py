"""A log in an SQLite file, shared by the processes of one host. The embedded default.

The file is in WAL mode: readers never wait for the writer. Whoever appends rings the readers' bells; a reader then asks
``PRAGMA data_version``, a look at shared memory that touches no disk, whether there is something new.
"""

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self, TypeVar
from urllib.parse import unquote

from events.errors import LogMisconfigured, LogUnavailable, PositionLost
from events.log.bell import Bell, ring
from events.log.protocol import Entry
from events.log.retention import Retention
from events.signing import UnverifiedEvent
from events.streams import Stream
from events.succession import successor_named

BUSY_SECONDS: Final = 5.0
PRUNE_EVERY: Final = 100
"""Appends between two removals of what retention no longer asks for."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    stream TEXT NOT NULL, position INTEGER NOT NULL, appended_at REAL NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (stream, position)
) WITHOUT ROWID
"""

T = TypeVar("T")


class SqliteLog:
    """One table, one thread for all that may touch the disk, and a connection of its own to watch for commits."""

    def __init__(self, path: Path, retention: Retention) -> None:
        self._path = path
        self._retention = retention
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-log")
        self._connection: sqlite3.Connection | None = None
        self._watch: sqlite3.Connection | None = None
        self._bells = path.with_name(f"{path.name}-bells")
        self._bell = Bell(self._bells)
        self._nothing_after: tuple[int, dict[Stream, int | None]] | None = None
        self._appends = 0
        self._closed = False

    @classmethod
    def at(cls, url: str, retention: Retention) -> Self:
        """The log at ``sqlite:///relative`` or ``sqlite:////absolute``.

        Raises:
            LogMisconfigured: the URL names no file.
        """
        prefix = "sqlite:///"
        path = unquote(url.removeprefix(prefix))
        if not url.startswith(prefix) or not path:
            raise LogMisconfigured(f"{url!r} names no file; write sqlite:///relative.db or sqlite:////absolute.db")
        return cls(Path(path), retention)

    async def append(self, stream: Stream, events: Sequence[bytes]) -> None:
        """See ``EventLog.append``."""
        await self._run(lambda connection: self._append(connection, stream, events))

    async def read(self, after: Mapping[Stream, int | None], *, wait: float, limit: int = 1000) -> list[Entry]:
        """See ``EventLog.read``."""
        deadline = time.monotonic() + wait
        while True:
            watch = await self._watching()
            rung = self._bell.listen()
            seen = (self._data_version(watch), dict(after))
            if seen != self._nothing_after:
                found = await self._run(lambda connection: _entries(connection, after, limit))
                if found:
                    return found
                self._nothing_after = seen
            left = deadline - time.monotonic()
            if left <= 0:
                return []
            await self._bell.wait(rung, left)

    async def head(self, stream: Stream) -> int | None:
        """See ``EventLog.head``."""
        return await self._run(lambda connection: _head(connection, stream))

    async def check(self) -> list[str]:
        """See ``EventLog.check``: the file prunes itself by the retention it is opened with."""
        await self.head(Stream.KEYS)
        return []

    async def close(self) -> None:
        """See ``EventLog.close``."""
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown(wait=False)
        self._bell.close()
        if self._watch is not None:
            self._watch.close()  # where it is used: two threads at once in one connection would crash the process

    async def _watching(self) -> sqlite3.Connection:
        watch = self._watch
        if watch is None or self._closed:
            watch = await self._run(lambda _: self._begin_to_watch())
        if self._closed:
            raise LogUnavailable("this log has been closed")
        return watch

    def _data_version(self, watch: sqlite3.Connection) -> int:
        """A number that changes with every commit. Asked on this thread: it only looks at shared memory."""
        try:
            version: int = watch.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error as error:
            raise LogUnavailable(f"{self._path}: {error}") from error
        return version

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise LogUnavailable("this log has been closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(self._connected()))
        except sqlite3.Error as error:
            raise LogUnavailable(f"{self._path}: {error}") from error

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LogUnavailable(f"{self._path}: {error}") from error
            self._connection = _prepared(self._path)
        return self._connection

    def _begin_to_watch(self) -> sqlite3.Connection:
        if self._watch is None:
            self._bell.hang_up()
            self._watch = _connect(self._path)
        return self._watch

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _append(self, connection: sqlite3.Connection, stream: Stream, events: Sequence[bytes]) -> None:
        now = time.time()
        connection.execute("BEGIN IMMEDIATE")
        try:
            head = _head(connection, stream)
            start = 0 if head is None else head + 1
            connection.executemany(
                "INSERT INTO entries VALUES (?, ?, ?, ?)",
                [(stream.value, position, now, data) for position, data in enumerate(events, start)],
            )
            self._appends += 1
            if self._appends % PRUNE_EVERY == 0:
                self._prune(connection, now)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        ring(self._bells)

    def _prune(self, connection: sqlite3.Connection, now: float) -> None:
        """Remove what is past retention; the newest entry of a stream stays, so positions go on from it.

        So does every succession of event keys, for who has slept through some.
        """
        for stream in Stream:
            head, seconds = _head(connection, stream), self._retention.of(stream)
            if head is None:
                continue
            past = (stream.value, head, now if seconds is None else now - seconds)
            if stream is not Stream.KEYS:
                connection.execute("DELETE FROM entries WHERE stream = ? AND position < ? AND appended_at < ?", past)
                continue
            rows = connection.execute(
                "SELECT position, data FROM entries WHERE stream = ? AND position < ? AND appended_at < ?", past
            ).fetchall()
            connection.executemany(
                "DELETE FROM entries WHERE stream = ? AND position = ?",
                [(stream.value, position) for position, data in rows if successor_named(data) is None],
            )


def _connect(path: Path) -> sqlite3.Connection:
    # Opened on the log's thread and, the one that watches, used on the loop's; SQLite itself is serialized.
    return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _prepared(path: Path) -> sqlite3.Connection:
    """A connection to a file with our table, in WAL mode.

    Of several processes that make the file at once, SQLite tells all but one that it is locked, without waiting as it
    does otherwise; so we do.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        connection = _connect(path)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            # The store's outbox is the truth and is what the relay publishes again from: no fsync an append.
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(_SCHEMA)
        except sqlite3.OperationalError:
            connection.close()
            if time.monotonic() >= deadline:
                raise
            time.sleep(random.uniform(0.01, 0.05))  # noqa: S311 - so that they do not meet again; not a secret
        except BaseException:
            connection.close()
            raise
        else:
            return connection


def _head(connection: sqlite3.Connection, stream: Stream) -> int | None:
    row = connection.execute("SELECT max(position) FROM entries WHERE stream = ?", (stream.value,)).fetchone()
    head: int | None = row[0]
    return head


def _entries(connection: sqlite3.Connection, after: Mapping[Stream, int | None], limit: int) -> list[Entry]:
    found: list[Entry] = []
    for stream, position in after.items():
        if position is not None:
            head = _head(connection, stream)
            if head is None or head < position:
                raise PositionLost(stream, position)
        rows = connection.execute(
            "SELECT position, data FROM entries WHERE stream = ? AND position > ? ORDER BY position LIMIT ?",
            (stream.value, -1 if position is None else position, limit - len(found)),
        )
        found.extend(Entry(stream, at, UnverifiedEvent(data)) for at, data in rows)
    return found
