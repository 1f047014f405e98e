"""Follows an event log and feeds a verifier, through every failure of the log."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

from events import LogError, PositionLost, Stream
from events.log import Entry, EventLog
from events.streams import FOLLOWED
from verifier_agent.clocks import Clock
from verifier_agent.verifier import Verifier

log = logging.getLogger(__name__)

READ_SECONDS: Final = 1.0
SILENCE_SECONDS: Final = 10.0
"""Without any entry for so long, though a heartbeat comes each second, the log is opened anew."""
SLICE_SECONDS: Final = 0.005
"""Longest stretch of applying events before others get their turn on the event loop."""
FIRST_BACKOFF: Final = 0.1
LAST_BACKOFF: Final = 2.0


class LogFollower:
    """Reads on from where it is, for ever. One task runs it and owns it.

    Attributes:
        failures: how often the log could not be read.
    """

    def __init__(
        self, verifier: Verifier, open_log: Callable[[], EventLog], clock: Clock, applied: Callable[[], None]
    ) -> None:
        """Set up.

        Args:
            verifier: whom to feed.
            open_log: makes a log; called again when one has fallen silent.
            clock: for the time of reception.
            applied: called after each batch of entries.
        """
        self.failures = 0
        self._verifier = verifier
        self._open_log = open_log
        self._clock = clock
        self._applied = applied
        self._positions: dict[Stream, int | None] = {}
        self._backoff = FIRST_BACKOFF

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow_one()
            except LogError as error:
                log.warning("event_log_unreadable", extra={"error": str(error), "retry_seconds": self._backoff})
                await self._back_off()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                log.exception("event_log_failed", extra={"retry_seconds": self._backoff})
                await self._back_off()  # a client library's own cancellation, let out by mistake
            except Exception:
                # A client library's fault must not end the agent, who would keep what it knows and never hear more.
                log.exception("event_log_failed", extra={"retry_seconds": self._backoff})
                await self._back_off()

    async def _back_off(self) -> None:
        self.failures += 1
        pause, self._backoff = self._backoff, min(2 * self._backoff, LAST_BACKOFF)
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret

    async def _follow_one(self) -> None:
        """Open a log and read it until it fails or falls silent."""
        event_log = self._open_log()
        try:
            self._positions = await _start_of(event_log)
            await self._follow(event_log)
        finally:
            await event_log.close()

    async def _follow(self, event_log: EventLog) -> None:
        """Read on until the log fails or falls silent."""
        heard = self._clock.boot()
        while self._clock.boot() - heard < SILENCE_SECONDS:
            try:
                entries = await event_log.read(self._positions, wait=READ_SECONDS)
            except PositionLost as lost:
                if self._positions[Stream(lost.stream)] is None:
                    raise  # it is at its start already
                log.warning("event_log_position_lost", extra={"stream": lost.stream, "position": lost.position})
                self._positions[Stream(lost.stream)] = None
                continue
            if entries:
                heard, self._backoff = self._clock.boot(), FIRST_BACKOFF
                await self._apply(entries)
        log.warning("event_log_silent", extra={"seconds": SILENCE_SECONDS})

    async def _apply(self, entries: list[Entry]) -> None:
        slice_end = self._clock.boot() + SLICE_SECONDS
        for stream, position, data in entries:
            self._verifier.apply(stream, data, received=self._clock.boot())
            self._positions[stream] = position
            if self._clock.boot() > slice_end:
                await asyncio.sleep(0)
                slice_end = self._clock.boot() + SLICE_SECONDS
        self._applied()


async def _start_of(event_log: EventLog) -> dict[Stream, int | None]:
    """Where to begin: everything, but of the heartbeats only the newest."""
    positions: dict[Stream, int | None] = dict.fromkeys(FOLLOWED)
    head = await event_log.head(Stream.HEARTBEATS)
    positions[Stream.HEARTBEATS] = head - 1 if head else None
    return positions
