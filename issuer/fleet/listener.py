"""Hears the agents stream of the log, in the replica whose relay leads.

It begins a little before the log's end and remembers no position: each status holds all that matters, and one that was
heard before is refused as such.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from events import LogError, PositionLost, Stream
from events.log import EventLog
from issuer.errors import StoreUnavailable
from issuer.fleet.fleet import Fleet
from issuer.fleet.statuses import StatusInvalid

log = logging.getLogger(__name__)

READ_SECONDS: Final = 1.0
LEAD_LOOK_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 2.0
BEHIND: Final = 1000
"""How many entries before the end it begins: what came while nobody led."""


class AgentsListener:
    """Reads while it leads. One task runs it and owns it.

    Attributes:
        failures: how often the log could not be read.
    """

    def __init__(self, fleet: Fleet, open_log: Callable[[], EventLog], leads: Callable[[], bool]) -> None:
        """Set up; nothing is opened yet.

        Args:
            fleet: whom to tell.
            open_log: opens the event log.
            leads: whether this replica is the one that is to hear.
        """
        self.failures = 0
        self._fleet = fleet
        self._open_log = open_log
        self._leads = leads
        self._heard_of_fault = False

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            if not self._leads():
                await asyncio.sleep(LEAD_LOOK_SECONDS)
                continue
            try:
                await self._listen()
            except (LogError, StoreUnavailable) as error:
                self._note(error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        event_log = self._open_log()
        try:
            position = await _start(event_log)
            while self._leads():
                try:
                    entries = await event_log.read({Stream.AGENTS: position}, wait=READ_SECONDS)
                except PositionLost:
                    position = await event_log.head(Stream.AGENTS)
                    continue
                self._heard_of_fault = False
                for entry in entries:
                    await self._take(entry.data)
                    position = entry.position
        finally:
            await event_log.close()

    async def _take(self, raw: bytes) -> None:
        try:
            await self._fleet.take(raw)
        except StatusInvalid:
            await asyncio.sleep(0)  # counted there; whoever floods the stream must not keep others from their turn

    def _note(self, error: Exception) -> None:
        self.failures += 1
        level = logging.DEBUG if self._heard_of_fault else logging.WARNING
        log.log(level, "agents_stream_unreadable", extra={"error": str(error)})
        self._heard_of_fault = True


async def _start(event_log: EventLog) -> int | None:
    head = await event_log.head(Stream.AGENTS)
    return None if head is None or head < BEHIND else head - BEHIND
