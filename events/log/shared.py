"""One reader of an event log for all who follow it in one process.

Each has positions of its own. Whoever is not where the others are reads by a log of its own until it is level with
them; from then on one read brings what is new to all. Whoever is too slow is left behind, and catches up by itself:
nobody waits for anybody else (``docs/adr/0014-shared-log.md``).
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from events.errors import LogUnavailable
from events.log.protocol import Entry, EventLog
from events.opened_once import OpenedOnce
from events.signing import EventOpener
from events.streams import Stream
from events.trust import IssuerTrust

MOST_WAITING: Final = 4096
MOST_BYTES: Final = 16 * 1024 * 1024
"""What one may have been given and not have taken yet; the entries themselves are there once for all."""
SILENCE_SECONDS: Final = 5.0
"""Whoever opens the log when nothing has been heard for so long is not given a connection that may be dead."""

Positions = Mapping[Stream, int | None]


class SharedLog:
    """What opens a log, and the events in it, for several in one event loop.

    shared = SharedLog(lambda: open_log(url))
    agents = [Agent(settings, shared=shared) for settings in several]
    """

    def __init__(self, open_log: Callable[[], EventLog]) -> None:
        """Set up.

        Args:
            open_log: opens the same log each time; nothing is opened yet.
        """
        self._open_log = open_log
        self._tail: _Tail | None = None
        self._openers: dict[bytes, EventOpener] = {}

    def opener(self, trust: IssuerTrust) -> EventOpener:
        """What opens the events for all who pin these keys, each event once.

        Raises:
            ValueError: as ``EventOpener``.
        """
        pinned = msgspec.json.encode(trust)
        if pinned not in self._openers:
            self._openers[pinned] = OpenedOnce(trust)
        return self._openers[pinned]

    def open(self) -> EventLog:
        """One more of those who share; the connection ends with the last of them."""
        if self._tail is None or not self._tail.sharers or self._tail.is_silent():
            self._tail = _Tail(self._open_log())
        return _Sharer(self._tail, self._open_log)


class _Place:
    """What one sharer has been given since it began to listen, and has not taken.

    Attributes:
        since: where the tail was then.
        brought_to: where a log of its own has brought it since then.
        at: up to where it has taken everything; ``None`` until it is level.
    """

    def __init__(self, since: Positions) -> None:
        self.since = dict(since)
        self.brought_to: Positions | None = None
        self.at: dict[Stream, int | None] | None = None
        self._known: Positions = {}
        self._given: deque[Entry] = deque()
        self._bytes = 0

    def give(self, entries: Sequence[Entry]) -> bool:
        """Whether there was room; whoever has taken all has room for anything."""
        if self._given and (len(self._given) > MOST_WAITING or self._bytes > MOST_BYTES):
            return False
        new = [entry for entry in entries if not _has_reached(self._known.get(entry.stream), entry.position)]
        self._given += new
        self._bytes += sum(len(entry.data) for entry in new)
        return True

    def join(self, at: Positions) -> None:
        """Go on from ``at``, which lies nowhere before ``since``; what was given up to there is known."""
        self.at, self._known = dict(at), dict(at)
        given, self._given, self._bytes = self._given, deque(), 0
        self.give(given)

    def has_more(self) -> bool:
        return bool(self._given)

    def take(self, limit: int) -> list[Entry]:
        taken = [self._given.popleft() for _ in range(min(limit, len(self._given)))]
        self._bytes -= sum(len(entry.data) for entry in taken)
        if self.at is not None:
            self.at.update((entry.stream, entry.position) for entry in taken)
        return taken


class _Tail:
    """Reads on where the log ends, for all who are level.

    Attributes:
        log: what is read.
        sharers: who has it open.
        places: of those who listen.
    """

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.sharers: set[_Sharer] = set()
        self.places: dict[_Sharer, _Place] = {}
        self._at: dict[Stream, int | None] = {}
        self._is_reading = False
        self._read_ended = asyncio.Event()
        self._heard_at = time.monotonic()

    def is_silent(self) -> bool:
        return time.monotonic() - self._heard_at > SILENCE_SECONDS

    def place(self, sharer: "_Sharer", after: Positions) -> _Place:
        """The place of a sharer who is at ``after``; it is level if the tail can go on from there for it."""
        place = self.places.get(sharer)
        if place is not None and place.at not in (None, after):  # it has gone elsewhere
            del self.places[sharer]
            place = None
        if all(other.at is None for other in self.places.values()):
            self._at, self.places = dict(after), {}
            place = self.places[sharer] = _Place(after)
            place.join(after)
        elif place is None:
            place = self.places[sharer] = _Place(self._at)
        elif place.at is None and place.brought_to == after and _have_reached(after, place.since):
            place.join(after)
        return place

    async def read(self, place: _Place, wait: float, limit: int) -> list[Entry]:
        """What is new to this one; whoever has nothing left reads for all if nobody does."""
        end = time.monotonic() + wait
        try:
            async with asyncio.timeout(wait):
                while self._is_reading and not place.has_more():
                    await self._read_ended.wait()
        except TimeoutError:
            return place.take(limit)
        if not place.has_more():
            self._is_reading = True
            try:
                await self._hear(max(end - time.monotonic(), 0.0), limit)
            finally:
                self._is_reading = False
                self._read_ended.set()  # all at once: each has what it waits for, or is the next to read
                self._read_ended = asyncio.Event()
        return place.take(limit)

    async def _hear(self, wait: float, limit: int) -> None:
        at = self._at
        entries = await self.log.read(at, wait=wait, limit=limit)
        if not entries or at is not self._at:  # who read has left meanwhile, and the tail is elsewhere
            return
        self._heard_at = time.monotonic()
        at.update((entry.stream, entry.position) for entry in entries)
        self.places = {sharer: place for sharer, place in self.places.items() if place.give(entries)}


class _Sharer:
    """The log as one of those who share it sees it."""

    def __init__(self, tail: _Tail, open_log: Callable[[], EventLog]) -> None:
        self._tail = tail
        self._open_log = open_log
        self._own: EventLog | None = None
        self._reading = asyncio.Lock()
        self._waiting: set[asyncio.Timeout] = set()
        self._closed = False
        tail.sharers.add(self)

    async def append(self, stream: Stream, events: Sequence[bytes]) -> None:
        """See ``EventLog.append``."""
        self._check_open()
        await self._tail.log.append(stream, events)

    async def read(self, after: Positions, *, wait: float, limit: int = 1000) -> list[Entry]:
        """See ``EventLog.read``. Reads of one log object follow each other."""
        async with self._until_closed(), self._reading:
            place = self._tail.place(self, after)
            if place.at is not None:
                await self._drop_own()
                return await self._tail.read(place, wait, limit)
            entries = await self._opened().read(after, wait=wait, limit=limit)
            place.brought_to = {**after, **{entry.stream: entry.position for entry in entries}}
            return entries

    async def head(self, stream: Stream) -> int | None:
        """See ``EventLog.head``."""
        async with self._until_closed():
            return await self._opened().head(stream)  # the others' is busy waiting for what comes next

    async def check(self) -> list[str]:
        """See ``EventLog.check``."""
        self._check_open()
        return await self._tail.log.check()

    async def close(self) -> None:
        """See ``EventLog.close``. The others go on."""
        if self._closed:
            return
        self._closed = True
        for waiting in self._waiting:
            waiting.reschedule(0.0)
        self._tail.places.pop(self, None)
        self._tail.sharers.discard(self)
        try:
            await self._drop_own()
        finally:
            if not self._tail.sharers:
                await self._tail.log.close()

    def _opened(self) -> EventLog:
        self._own = self._own or self._open_log()
        return self._own

    async def _drop_own(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            await own.close()

    @asynccontextmanager
    async def _until_closed(self) -> AsyncIterator[None]:
        self._check_open()
        try:
            async with asyncio.timeout(None) as waiting:
                self._waiting.add(waiting)
                try:
                    yield
                finally:
                    self._waiting.discard(waiting)
        except TimeoutError:
            self._check_open()
            raise

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("this log has been closed")


def _have_reached(after: Positions, since: Positions) -> bool:
    return after.keys() == since.keys() and all(_has_reached(after[stream], since[stream]) for stream in since)


def _has_reached(position: int | None, since: int | None) -> bool:
    return since is None or (position is not None and position >= since)
