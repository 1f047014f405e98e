"""Reading the log back: what is live and missing there is published again, unchanged.

A log that was made anew, or that lost its tail, is brought level with the store. A log that knows more than the store,
or something else, is left alone: then it is the store that has gone back in time, and ``tocsin recover`` the remedy.
What a recovery has abandoned is not looked at any more.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from events import EventOpener, EventRefused, Heartbeat, Stream, format_seq, unpack
from events.log import EventLog
from events.log.reading import READ_SECONDS, entries_of
from events.sequence import Intervals
from events.streams import SEQUENCED
from issuer.errors import IssuerError
from issuer.outbox.incarnations import abandoned_by, follows_of
from issuer.outbox.outbox import Outbox, StoredEvent, published_mark
from issuer.store.database import Database
from issuer.store.schema import outbox

log = logging.getLogger(__name__)

BATCH: Final = 500


class LogAheadOfStore(IssuerError):
    """The log holds events that the store does not know: the store has gone back in time.

    Attributes:
        incarnation: that the store is in; a recovery opens a higher one.
    """

    def __init__(self, message: str, head: int) -> None:
        super().__init__(message)
        self.incarnation = unpack(head)[0]


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
            abandoned = abandoned_by(await follows_of(connection, stream))
            kept = await self._all_after(connection, stream, min(head.floor, *logged, head.head) - 1)
            successions = await self._outbox.successions(connection) if stream is Stream.KEYS else []
        for seq, digests in logged.items():
            if seq in abandoned:
                continue
            if seq > head.head:
                end = format_seq(head.head)
                raise LogAheadOfStore(f"the log has {stream} {format_seq(seq)}; the store ends at {end}", head.head)
            if seq in kept and digests != {kept[seq].digest}:
                raise LogAheadOfStore(f"log and store have different events as {stream} {format_seq(seq)}", head.head)
        chain = [event for event in successions if event.seq < head.floor and event.seq <= mark]
        live = chain + _live(kept, head.floor, mark, abandoned)
        missing = [event for event in live if event.seq not in logged]
        for start in range(0, len(missing), BATCH):
            await self._log.append(stream, [event.text for event in missing[start : start + BATCH]])
        if missing:
            log.warning("events_published_again", extra={"stream": str(stream), "count": len(missing)})
        while mark + 1 in logged:  # acknowledged just before the last relay died
            mark += 1
        return mark

    async def _logged(self, stream: Stream) -> dict[int, set[str]]:
        """Digests by ``seq`` of all events of ours in the log; where there are two, it contradicts itself."""
        found: dict[int, set[str]] = {}
        opener = self._opener.copy()  # what it learns from the log is not to be known to who follows the store
        async for entry in entries_of(self._log, stream):
            with suppress(EventRefused):  # not ours: agents refuse it too
                event = opener.open(entry.data, stream)
                found.setdefault(event.seq, set()).add(event.digest)
            await asyncio.sleep(0)  # opening one takes long enough for others to have their turn
        return found

    async def _all_after(self, connection: AsyncConnection, stream: Stream, seq: int) -> dict[int, StoredEvent]:
        kept: dict[int, StoredEvent] = {}
        while events := await self._outbox.after(connection, stream, seq, limit=BATCH):
            kept.update((event.seq, event) for event in events)
            seq = events[-1].seq
        return kept

    async def resume_heartbeats(self) -> None:
        """Count on from the newest heartbeat in the log: a restored store would repeat numbers that agents refuse.

        Raises:
            LogAheadOfStore: it speaks of an event that the store does not have; the log may have lost that one too.
        """
        end = await self._log.head(Stream.HEARTBEATS)
        if end is None:
            return
        before = end - 1 if end else None
        for entry in await self._log.read({Stream.HEARTBEATS: before}, wait=READ_SECONDS):
            with suppress(EventRefused):
                event = self._opener.open(entry.data, Stream.HEARTBEATS)
                await self._outbox.skip_heartbeats(event.seq)
                if isinstance(event.record, Heartbeat):
                    await self._compare_heads(event.record)

    async def _compare_heads(self, told: Heartbeat) -> None:
        async with self._database.read() as connection:
            heads = (await self._outbox.heads(connection)).heads
            for stream in SEQUENCED:
                before, head = told.heads.get(stream), heads[stream].head
                if before is None or before.head in abandoned_by(await follows_of(connection, stream)):
                    continue
                query = select(outbox.c.digest).where(outbox.c.stream == stream, outbox.c.seq == before.head)
                found = (await connection.execute(query)).scalar_one_or_none()
                if found not in (None, before.digest) or before.head > head:
                    name = f"{stream} {format_seq(before.head)}"
                    raise LogAheadOfStore(f"a heartbeat in the log tells of another {name} than the store has", head)


def _live(kept: dict[int, StoredEvent], floor: int, mark: int, abandoned: Intervals) -> list[StoredEvent]:
    """What must be in the log: live, published before, and of the history that holds."""
    return [event for seq, event in kept.items() if floor <= seq <= mark and seq not in abandoned]
