"""The feed: follows the store, holds the newest events once, and tells each reader what follows where it is.

A reader holds nothing of its own but its positions, so a slow one costs no memory and holds nobody up. While it catches
up it is told from the store, a batch at a time; once it is level, from the windows, and when it drops out of them it is
cut off.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

from events import PositionLost, SignedEvent, Stream
from events.streams import FOLLOWED
from issuer.errors import IssuerError, StoreUnavailable
from issuer.feed.reader import Reader
from issuer.feed.source import Ends, EventSource
from issuer.feed.window import Window
from issuer.outbox.outbox import StoredEvent

log = logging.getLogger(__name__)

BEAT_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 1.0
"""Longest time between two looks into the store; ``look`` asks for one at once."""
RETRY_SECONDS: Final = 0.5
QUIET_SECONDS: Final = 5.0
"""After so long without an event a reader is told that we are there."""
MOST_HEARTBEATS: Final = 8
"""Only the newest counts; a reader that misses so many is too slow."""
CHUNK_BYTES: Final = 256 * 1024
READS_AT_ONCE: Final = 2
"""Readers that catch up share so many connections to the store: requests need the others."""

PRELUDE: Final = b"retry: 1000\n\n"
COMMENT: Final = b": still here\n\n"


class FeedFull(IssuerError):
    """There are as many readers as there may be, or the feed is ending."""

    retryable = True


class FellBehind(IssuerError):
    """A reader was too slow; it may come again with its position."""

    retryable = True


class Feed:
    """What all readers share.

    Attributes:
        readers: connections at this moment.
        told: events sent, by stream.
        cut_off: readers whom we have left, by reason.
    """

    def __init__(self, source: EventSource, most_readers: int) -> None:
        self.readers = 0
        self.told: Counter[Stream] = Counter()
        self.cut_off: Counter[str] = Counter()
        self._source = source
        self._most_readers = most_readers
        self._windows = {stream: _window(stream, 0) for stream in FOLLOWED}
        self._grown = asyncio.Event()
        self._wake = asyncio.Event()
        self._look = True
        self._looked_at = self._beat_at = float("-inf")
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._ended = False

    # -- what is decided

    async def start(self) -> None:
        """Take up where the store is now.

        Raises:
            StoreUnavailable: it does not answer.
        """
        for stream, ends in (await self._source.ends()).items():
            self._windows[stream] = _window(stream, ends.head)

    def offer(self, event: SignedEvent) -> None:
        """Pass on at once what this process has just committed."""
        window = self._windows[event.stream]
        if event.seq == window.head + 1:
            self._push(StoredEvent(event.stream, event.seq, event.digest, event.text))
        elif event.seq > window.head:
            self.look()  # another replica has decided in between

    def look(self) -> None:
        """Say that the store has something new."""
        self._look = True
        self._wake.set()

    async def run(self) -> None:
        """Follow the store, until cancelled."""
        reachable = True
        while True:
            self._wake.clear()
            try:
                await self._follow()
                reachable = True
            except StoreUnavailable as error:
                if reachable:
                    log.warning("feed_source_unavailable", extra={"error": str(error)})
                reachable = False
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause() if reachable else RETRY_SECONDS):
                    await self._wake.wait()

    def end(self) -> None:
        """Let every reader go; they find another replica."""
        self._ended = True
        self._grew()

    async def _follow(self) -> None:
        now = asyncio.get_running_loop().time()
        if self.readers and now >= self._beat_at + BEAT_SECONDS:
            self._beat_at, self._look = now, True
            await self._source.beat()
        if self._look or now >= self._looked_at + LOOK_SECONDS:
            self._look, self._looked_at = False, now
            for stream in FOLLOWED:  # heartbeats last: after what they tell of
                while events := await self._source.after(stream, self._windows[stream].head):
                    self._push(*events)

    def _pause(self) -> float:
        due = self._looked_at + LOOK_SECONDS
        if self.readers:
            due = min(due, self._beat_at + BEAT_SECONDS)
        return max(due - asyncio.get_running_loop().time(), 0.0)

    def _push(self, *events: StoredEvent) -> None:
        for event in events:
            self._windows[event.stream].push(event)
        self._grew()

    def _grew(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    # -- who is told

    @contextmanager
    def place(self) -> Iterator[None]:
        """A reader's place.

        Raises:
            FeedFull: there is none.
        """
        if self._ended or self.readers >= self._most_readers:
            raise FeedFull("every place at the feed is taken")
        self.readers += 1
        self._wake.set()  # the first is not to wait for its heartbeat
        try:
            yield
        finally:
            self.readers -= 1

    async def heads(self) -> dict[Stream, int]:
        """The highest ``seq`` of each stream that has one.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        return {stream: ends.head for stream, ends in (await self._ends()).items() if ends.head}

    async def reader(self, asked: Mapping[Stream, int | None]) -> Reader:
        """A reader at these positions; ``None`` is the start of what is live.

        Before anything else it is told of the successions of event keys that it lacks: without them it might not be
        able to open what follows.

        Raises:
            PositionLost: one cannot go on from there.
            StoreUnavailable: the store does not answer.
        """
        ends = await self._ends()
        resumed = {stream: seq for stream, seq in asked.items() if seq is not None}
        for stream, seq in resumed.items():
            if not self._windows[stream].holds(seq) and not await self._holds(stream, seq):
                raise PositionLost(stream, seq)
        start = {stream: max(resumed.get(stream, 0), ends[stream].floor - 1) for stream in asked}
        chain: list[StoredEvent] = []
        if Stream.KEYS in asked and resumed.get(Stream.KEYS, 0) < start[Stream.KEYS]:
            async with self._reads:
                known = await self._source.successions()
            chain = [event for event in known if resumed.get(Stream.KEYS, 0) < event.seq <= start[Stream.KEYS]]
        return Reader(start, resumed, chain)

    async def chunks(self, reader: Reader) -> AsyncGenerator[bytes, None]:
        """What to send, until the feed ends.

        Raises:
            FellBehind: the reader was too slow.
            StoreUnavailable: the store does not answer while the reader catches up.
        """
        chunk = PRELUDE + reader.chain()
        while not self._ended:
            if chunk:
                yield chunk
                comment_at = asyncio.get_running_loop().time() + QUIET_SECONDS
            grown = self._grown
            chunk = await self._next(reader)
            if not chunk:  # the feed may grow by what this reader does not follow
                try:
                    async with asyncio.timeout_at(comment_at):
                        await grown.wait()
                except TimeoutError:
                    chunk = COMMENT

    async def _next(self, reader: Reader) -> bytes:
        """What follows, each stream in turn; nothing when there is nothing."""
        frames: list[bytes] = []
        for stream, seq in list(reader.at.items()):
            window = self._windows[stream]
            if seq >= window.behind:
                events = window.after(seq, CHUNK_BYTES)
            elif reader.level:
                raise FellBehind(f"{stream} goes on from {window.behind}")
            else:
                async with self._reads:
                    events = await self._source.after(stream, seq)
                if not events:
                    reader.skip(stream, window.behind)
            frames += [reader.frame(event) for event in events]
            self.told[stream] += len(events)
        if not reader.level and all(seq >= self._windows[stream].head for stream, seq in reader.at.items()):
            frames.append(reader.note_level())
        return b"".join(frames)

    async def _ends(self) -> Mapping[Stream, Ends]:
        async with self._reads:
            return await self._source.ends()

    async def _holds(self, stream: Stream, seq: int) -> bool:
        async with self._reads:
            return await self._source.holds(stream, seq)


def _window(stream: Stream, head: int) -> Window:
    return Window(head, most_events=MOST_HEARTBEATS) if stream is Stream.HEARTBEATS else Window(head)
