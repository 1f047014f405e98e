"""The relay: publishes the outbox to the event log, in order and at least once.

One relay works at a time, by a fenced lease. Its mark moves only after the log's acknowledgement. Each time it takes
over, and each time the log has been away, it reads the log back: what is live and missing there it publishes again,
unchanged; a log that knows more than the store, or something else, makes it stop and say so, until a recovery has
opened another incarnation (docs/adr/0013-recovery.md).
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Final, Protocol

from sqlalchemy import ColumnElement, exists, func, select, update

from events import EventOpener, LogError, SignedEvent, Stream, unpack
from events.log import EventLog
from events.streams import SEQUENCED
from issuer.errors import IssuerError, StoreUnavailable
from issuer.outbox.heartbeats import Heartbeats
from issuer.outbox.lease import LEASE_SECONDS, RELAY, Lease
from issuer.outbox.offers import Offers
from issuer.outbox.outbox import Outbox, StoredEvent, published_mark
from issuer.outbox.read_back import LogAheadOfStore, ReadBack
from issuer.store.database import Database
from issuer.store.schema import leases, streams
from verifier_agent.clocks import Clock

log = logging.getLogger(__name__)

BEAT_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 1.0
"""Longest time between two looks into the store for what other replicas have decided; ``look`` asks for one at once."""
RETRY_SECONDS: Final = 0.5
FLOOR_EVERY: Final = 30
"""Heartbeats between two looks at what has expired."""
ENDS_EVERY: Final = 5
"""Heartbeats between two looks at whether the log still is what it was."""
BATCH: Final = 500
REMEDY: Final = "run: tocsin recover"


class RelayState(StrEnum):
    """What this process's relay is doing."""

    WAITING = "waiting"
    PUBLISHING = "publishing"
    LOG_UNAVAILABLE = "log_unavailable"
    HALTED = "halted"


class Hearer(Protocol):
    """Somebody beside the relay who passes events on."""

    def offer(self, event: SignedEvent) -> None:
        """This has just been committed by this process."""

    def look(self) -> None:
        """The store has something that another replica has decided."""


class LeaseLost(IssuerError):
    """Another process is the relay now."""


class Relay:
    """Publishes while it holds the lease.

    Attributes:
        state: what it is doing.
        halted: why it has stopped until somebody recovers the store, in words, or ``None``.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        event_log: EventLog,
        opener: EventOpener,
        holder: str,
        clock: Clock,
        also: Sequence[Hearer] = (),
    ) -> None:
        """Set up.

        Args:
            database: where the outbox is.
            outbox: what to publish.
            event_log: where to publish it.
            opener: of what the log holds.
            holder: name of this process in the lease; no other has it.
            clock: of this machine.
            also: who else is told what is offered here, whether or not this process publishes.
        """
        self.state = RelayState.WAITING
        self.halted: str | None = None
        self._halted_in = 0  # incarnation
        self._database = database
        self._outbox = outbox
        self._log = event_log
        self._lease = Lease(database, RELAY, holder)
        self._read_back = ReadBack(database, outbox, event_log, opener)
        self._offers = Offers()
        self._heartbeats = Heartbeats(database, outbox, clock)
        self._also = list(also)
        self._look = True
        self._decided = asyncio.Event()
        self._fence = 0
        self._marks: dict[Stream, int] = {}
        self._in_doubt = True  # whether the log may not hold what it must
        self._heard_last = asyncio.Event()  # the log's newest heartbeat has been looked at

    @property
    def is_publishing(self) -> bool:
        """Whether it has found the log level with what was published before, and goes on."""
        return self.state is RelayState.PUBLISHING

    @property
    def leads(self) -> bool:
        """Whether this process holds the lease, whether or not the log answers."""
        return self.state in (RelayState.PUBLISHING, RelayState.LOG_UNAVAILABLE)

    def also_tell(self, hearer: Hearer) -> None:
        """Have somebody else told what is offered here."""
        self._also.append(hearer)

    def offer(self, event: SignedEvent) -> None:
        """Say what has just been committed by this process."""
        for hearer in self._also:
            hearer.offer(event)
        self._offers.put(event)
        self._decided.set()

    def look(self) -> None:
        """Say that the store has something that another replica has decided."""
        for hearer in self._also:
            hearer.look()
        self._look = True
        self._decided.set()

    async def run(self) -> None:
        """Publish whenever the lease is ours, until cancelled; nothing while halted."""
        try:
            while True:
                try:
                    if self.halted is None or await self._is_recovered():
                        await self._lead_if_ours()
                except* LogAheadOfStore as group:
                    await self._halt(group)
                except* (LeaseLost, StoreUnavailable) as group:
                    log.warning("relay_interrupted", extra={"error": str(group.exceptions[0])})
                self.state = RelayState.WAITING if self.halted is None else RelayState.HALTED
                await asyncio.sleep(BEAT_SECONDS)
        finally:
            await self._release()

    async def published(self, stream: Stream) -> int:
        """Highest ``seq`` of ``stream`` that the log has acknowledged, whoever published it.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        async with self._database.read() as connection:
            return await published_mark(connection, stream)

    async def _lead_if_ours(self) -> None:
        fence = await self._lease.acquire()
        if fence is None:
            return
        self._fence = fence
        # In a task of its own: a task group that is failing swallows the cancellation of whoever waits for its end
        # (https://github.com/python/cpython/issues/116720), and the relay would lead again, for ever.
        leading = asyncio.create_task(self._lead(), name="relay-leading")
        try:
            await asyncio.wait([leading])
        except asyncio.CancelledError:
            leading.cancel()
            await asyncio.gather(leading, return_exceptions=True)
            raise
        await leading

    async def _lead(self) -> None:
        log.info("relay_leading", extra={"fence": self._fence})
        self._heard_last.clear()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renew(), name="lease")
            tasks.create_task(self._beat(), name="heartbeats")
            tasks.create_task(self._publish(), name="publishing")

    async def _halt(self, group: BaseExceptionGroup[LogAheadOfStore]) -> None:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, LogAheadOfStore):
            self._halted_in = error.incarnation
        self.halted = f"{error}; {REMEDY}"
        log.critical("relay_halted", extra={"error": str(error), "remedy": REMEDY})
        await self._release()  # whoever recovers needs it

    async def _is_recovered(self) -> bool:
        """Whether a recovery has opened another incarnation since this relay halted; then it goes on."""
        query = select(func.max(streams.c.head)).where(streams.c.stream.in_([stream.value for stream in SEQUENCED]))
        async with self._database.read() as connection:
            head = (await connection.execute(query)).scalar_one()
        if unpack(head)[0] <= self._halted_in:
            return False
        self.halted = None
        log.warning("relay_goes_on", extra={"incarnation": unpack(head)[0]})
        return True

    async def _release(self) -> None:
        with suppress(StoreUnavailable):  # then it runs out by itself
            await self._lease.release()

    async def _renew(self) -> None:
        """Keep the lease, by a task of its own: a log that hangs must not cost it."""
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            if await self._lease.acquire() != self._fence:
                raise LeaseLost("the lease has gone to another process")

    # -- heartbeats

    async def _beat(self) -> None:
        beats = 0
        ends: dict[Stream, int] = {}
        await self._heard_last.wait()  # one of ours would hide what it tells of
        while True:
            try:
                await self._send_heartbeat()
                if self.state is RelayState.LOG_UNAVAILABLE:  # with nothing to publish, nobody else would notice
                    self._doubt()
                if beats and beats % ENDS_EVERY == 0:
                    ends = await self._ends(ends)
            except LogError as error:
                self._log_is_away(error)
            if beats % FLOOR_EVERY == 0 and self._heartbeats.clock_trusted:
                await self._outbox.advance_floor()
            beats += 1
            await asyncio.sleep(BEAT_SECONDS)

    async def _ends(self, before: dict[Stream, int]) -> dict[Stream, int]:
        """Where the log ends; one that is empty or ends earlier than before may have lost something."""
        ends = {}
        for stream in SEQUENCED:
            end = await self._log.head(stream)
            if end is None or end < before.get(stream, 0):
                self._doubt()
            ends[stream] = end or 0
        return ends

    def _doubt(self) -> None:
        """Have the log read back: it may not hold what it must."""
        self._in_doubt = True
        self._decided.set()

    async def _send_heartbeat(self) -> None:
        event = await self._heartbeats.next()
        if event is not None:
            await self._log.append(Stream.HEARTBEATS, [event.text])

    # -- events

    async def _publish(self) -> None:
        self._in_doubt = True
        looked = 0.0
        while True:
            self._decided.clear()
            now = asyncio.get_running_loop().time()
            try:
                if self._in_doubt:
                    self._in_doubt, self._look = False, True
                    await self._read_back.resume_heartbeats()  # first: it may tell that the store has gone back
                    self._heard_last.set()
                    for stream in SEQUENCED:
                        await self._take_up(stream, await self._read_back.level(stream))
                    self.state = RelayState.PUBLISHING
                look, self._look = self._look or now >= looked + LOOK_SECONDS, False
                # One batch of each stream in turn: none may keep the others waiting.
                more = [await self._publish_new(stream, look=look) for stream in SEQUENCED]
            except LogError as error:
                self._log_is_away(error)
                self._in_doubt = True
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if look:
                looked = now
            if any(more):
                self._look |= look
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._decided.wait()

    def _log_is_away(self, error: LogError) -> None:
        if self.state is not RelayState.LOG_UNAVAILABLE:
            log.warning("event_log_unavailable", extra={"error": str(error)})
        self.state = RelayState.LOG_UNAVAILABLE

    async def _publish_new(self, stream: Stream, *, look: bool) -> bool:
        """Publish some of what lies above the mark, then move the mark; whether there may be more."""
        events: Sequence[StoredEvent] = self._offers.take(stream, self._marks[stream])
        if not events and (look or self._offers.gap(stream)):
            async with self._database.read() as connection:
                if await published_mark(connection, stream) != self._marks[stream]:
                    raise LeaseLost(f"the mark of {stream} is not where this relay has left it")
                events = await self._outbox.after(connection, stream, self._marks[stream], limit=BATCH)
        if not events:
            return False
        await self._log.append(stream, [event.text for event in events])
        await self._move_mark(stream, events[-1].seq)
        return True

    async def _take_up(self, stream: Stream, seq: int) -> None:
        """Begin at ``seq``, which the log has been found to hold."""
        await self._note(stream, seq, streams.c.published <= seq)

    async def _move_mark(self, stream: Stream, seq: int) -> None:
        """Note what the log has acknowledged. A mark that has moved by itself is that of a store that has gone back."""
        await self._note(stream, seq, streams.c.published == self._marks[stream])

    async def _note(self, stream: Stream, seq: int, condition: ColumnElement[bool]) -> None:
        """Move the mark, unless the lease has gone to another.

        Raises:
            LeaseLost: it has, or the mark is not where it should be.
        """
        ours = exists().where(leases.c.name == RELAY, leases.c.fence == self._fence)
        async with self._database.write(urgent=True) as connection:
            moved = await connection.execute(
                update(streams)
                .where(streams.c.stream == stream, condition, ours)
                .values(published=seq)
                .returning(streams.c.head)
            )
            if moved.scalar_one_or_none() is None:
                raise LeaseLost("the lease has gone to another process, or the store has gone back")
        self._marks[stream] = seq
