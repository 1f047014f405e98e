"""A log in this process's memory, for tests."""

import asyncio
from collections.abc import Mapping, Sequence

from events.errors import LogUnavailable, PositionLost
from events.log.protocol import Entry
from events.signing import UnverifiedEvent
from events.streams import Stream


class MemoryLog:
    """Lists, and an event that is set when one grows."""

    def __init__(self) -> None:
        self._streams: dict[Stream, list[bytes]] = {stream: [] for stream in Stream}
        self._grown = asyncio.Event()
        self._closed = False

    async def append(self, stream: Stream, events: Sequence[bytes]) -> None:
        """See ``EventLog.append``."""
        self._check_open()
        self._streams[stream].extend(events)
        self._grown.set()
        self._grown = asyncio.Event()

    async def read(self, after: Mapping[Stream, int | None], *, wait: float, limit: int = 1000) -> list[Entry]:
        """See ``EventLog.read``."""
        self._check_open()
        grown = self._grown
        found = self._entries(after, limit)
        if found or wait <= 0:
            return found
        try:
            async with asyncio.timeout(wait):
                while not found:
                    await grown.wait()
                    self._check_open()
                    grown = self._grown
                    found = self._entries(after, limit)
        except TimeoutError:
            return []
        return found

    async def head(self, stream: Stream) -> int | None:
        """See ``EventLog.head``."""
        self._check_open()
        return len(self._streams[stream]) - 1 if self._streams[stream] else None

    async def check(self) -> list[str]:
        """See ``EventLog.check``: memory keeps everything while the process lives."""
        self._check_open()
        return []

    async def close(self) -> None:
        """See ``EventLog.close``."""
        self._closed = True
        self._grown.set()

    def _entries(self, after: Mapping[Stream, int | None], limit: int) -> list[Entry]:
        found: list[Entry] = []
        for stream, position in after.items():
            events = self._streams[stream]
            if position is not None and position >= len(events):
                raise PositionLost(stream, position)
            start = 0 if position is None else position + 1
            stop = start + limit - len(found)
            found.extend(Entry(stream, at, UnverifiedEvent(data)) for at, data in enumerate(events[start:stop], start))
        return found

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("this log has been closed")
