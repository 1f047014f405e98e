"""Event logs in files of this host, which are let go of while the process forks.

SQLite keeps in the process what it has locked. A child that inherits this believes in locks that only its parent has,
for new connections to the same file too (https://sqlite.org/howtocorrupt.html, section 2.6). So there must be no
connection at that moment.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

from events import Stream
from events.errors import LogMisconfigured
from events.log import Entry, EventLog, open_log

T = TypeVar("T")


class FileLogs:
    """Opens logs, and closes for a while those that are open. For one event loop."""

    def __init__(self, open_file: Callable[[], EventLog]) -> None:
        self._open_file = open_file
        self._open: set[_FileLog] = set()
        self._may_open = asyncio.Event()
        self._may_open.set()

    @classmethod
    def at(cls, url: str) -> "FileLogs | None":
        """Those at ``url``; ``None`` when it names no file, or nothing that can be opened."""
        try:
            open_log(url)
        except LogMisconfigured:
            return None
        return cls(lambda: open_log(url)) if urlsplit(url).scheme == "sqlite" else None

    def open(self) -> EventLog:
        """A log that comes back by itself after it has been let go of."""
        opened = _FileLog(self._open_file, self._may_open, self._open.discard)
        self._open.add(opened)
        return opened

    @asynccontextmanager
    async def let_go(self) -> AsyncIterator[None]:
        """Have no file open inside the context; who reads waits for its end."""
        self._may_open.clear()
        try:
            for log in list(self._open):  # one may be closed meanwhile
                await log.let_go()
            yield
        finally:
            self._may_open.set()


class _FileLog:
    """One reader's log."""

    def __init__(
        self, open_file: Callable[[], EventLog], may_open: asyncio.Event, closed: Callable[["_FileLog"], None]
    ) -> None:
        self._open_file = open_file
        self._may_open = may_open
        self._closed = closed
        self._log: EventLog | None = None
        self._asking: set[asyncio.Task[Any]] = set()

    async def append(self, stream: Stream, events: Sequence[bytes]) -> None:
        """See ``EventLog.append``; what was cut off may have been added, as for any log."""
        await self._ask(lambda log: log.append(stream, events))

    async def read(self, after: Mapping[Stream, int | None], *, wait: float, limit: int = 1000) -> list[Entry]:
        """See ``EventLog.read``."""
        return await self._ask(lambda log: log.read(after, wait=wait, limit=limit))

    async def head(self, stream: Stream) -> int | None:
        """See ``EventLog.head``."""
        return await self._ask(lambda log: log.head(stream))

    async def check(self) -> list[str]:
        """See ``EventLog.check``."""
        return await self._ask(lambda log: log.check())

    async def close(self) -> None:
        """See ``EventLog.close``."""
        self._closed(self)
        await self.let_go()

    async def let_go(self) -> None:
        """Close the file; the next call opens it again, and so does one that is under way."""
        log, self._log = self._log, None
        asking = list(self._asking)
        for task in asking:
            task.cancel()
        if asking:
            await asyncio.wait(asking)  # SQLite does not bear either to be closed while it is asked
        if log is not None:
            await log.close()

    async def _ask(self, ask: Callable[[EventLog], Coroutine[Any, Any, T]]) -> T:
        while True:
            await self._may_open.wait()
            if self._log is None:
                self._log = self._open_file()
            log = self._log
            asking = asyncio.create_task(ask(log))
            self._asking.add(asking)
            try:
                return await asking
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if log is self._log or task is None or task.cancelling():
                    raise  # otherwise the file has been let go of
            finally:
                self._asking.discard(asking)
