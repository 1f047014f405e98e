"""Reading the log back: what is live and missing there is published again, unchanged.

A log that was made anew, or that lost its tail, is brought level with the store. A log that knows more than the store,
or something else, is left alone: then it is the store that has gone back in time.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from events import EventOpener, EventRefused, LogUnavailable, Stream, format_seq
from events.log import EventLog
from issuer.errors import IssuerError
from issuer.outbox.outbox import Outbox, StoredEvent, published_mark
from issuer.store.database import Database

log = logging.getLogger(__name__)

BATCH: Final = 500
READ_BACK_SECONDS: Final = 2.0


class LogAheadOfStore(IssuerError):
    """The log holds events that the store does not know: the store has gone back in time."""


class ReadBack:
    """Compares the log with the store."""

    def __init__(self, database: Database, outbox: Outbox, event_log: EventLog, opener: EventOpener) -> None:
        self._database = database
        self._outbox = outbox
        self._log = event_log
        self._opener = opener

    async def level(self, stream: Stream) -> int:
        """Publish again what is live and missing, up to the mark; where the mark belongs.

        Raises:
            LogAheadOfStore: the log holds an event that the store does not, or another one under its ``seq``.
        """
        logged = await self._logged(stream)
        async with self._database.read() as connection:
            head = (await self._outbox.heads(connection)).heads[stream]
            mark = await published_mark(connection, stream)
            kept = await self._all_after(connection, stream, min(head.floor, *logged, head.head) - 1)
        for seq, digest in logged.items():
            if seq > head.head:
                end = format_seq(head.head)
                raise LogAheadOfStore(f"the log has {stream} {format_seq(seq)}; the store ends at {end}")
            if seq in kept and kept[seq].digest != digest:
                raise LogAheadOfStore(f"log and store have different events as {stream} {format_seq(seq)}")
        missing = [event for seq, event in kept.items() if head.floor <= seq <= mark and seq not in logged]
        for start in range(0, len(missing), BATCH):
            await self._log.append(stream, [event.text for event in missing[start : start + BATCH]])
        if missing:
            log.warning("events_published_again", extra={"stream": str(stream), "count": len(missing)})
        while mark + 1 in logged:  # acknowledged just before the last relay died
            mark += 1
        return mark

    async def _logged(self, stream: Stream) -> dict[int, str]:
        """Digest by ``seq`` of all events of ours in the log."""
        found: dict[int, str] = {}
        position, end = None, await self._log.head(stream)
        while end is not None and (position is None or position < end):
            entries = await self._log.read({stream: position}, wait=READ_BACK_SECONDS)
            for entry in entries:
                position = entry.position
                with suppress(EventRefused):  # not ours: agents refuse it too
                    event = self._opener.open(entry.data, stream)
                    found.setdefault(event.seq, event.digest)
                await asyncio.sleep(0)  # opening one takes long enough for others to have their turn
            if not entries:
                raise LogUnavailable(f"the log of {stream} ends at {end} but cannot be read beyond {position}")
        return found

    async def _all_after(self, connection: AsyncConnection, stream: Stream, seq: int) -> dict[int, StoredEvent]:
        kept: dict[int, StoredEvent] = {}
        while events := await self._outbox.after(connection, stream, seq, limit=BATCH):
            kept.update((event.seq, event) for event in events)
            seq = events[-1].seq
        return kept

    async def resume_heartbeats(self) -> None:
        """Count on from the newest heartbeat in the log: a restored store would repeat numbers that agents refuse."""
        end = await self._log.head(Stream.HEARTBEATS)
        if end is None:
            return
        before = end - 1 if end else None
        for entry in await self._log.read({Stream.HEARTBEATS: before}, wait=READ_BACK_SECONDS):
            with suppress(EventRefused):
                event = self._opener.open(entry.data, Stream.HEARTBEATS)
                await self._outbox.skip_heartbeats(event.seq)
