"""Follows an event log and feeds a verifier, through every failure of the log."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from typing import Final

from events import LogError, PositionLost, RefusalCode, Stream
from events.log import Entry, EventLog
from events.streams import SEQUENCED
from events.succession import successor_named
from verifier_agent.clocks import Clock
from verifier_agent.issuer_state import Outcome
from verifier_agent.log_health import LogHealth
from verifier_agent.log_start import start_of
from verifier_agent.unopened import Unopened
from verifier_agent.verifier import Verifier

log = logging.getLogger(__name__)

READ_SECONDS: Final = 1.0
SILENCE_SECONDS: Final = 10.0
"""Without any entry for so long, though a heartbeat comes each second, the log is opened anew."""
HOLE_SECONDS: Final = 5.0
"""How long something may be missing before its stream is read from the start again; doubled each time in vain."""
LONGEST_HOLE_SECONDS: Final = 300.0
SLICE_SECONDS: Final = 0.002
"""Longest stretch of applying events before others get their turn on the event loop."""
MASS_BYTES: Final = 100_000
"""Beyond this an event takes a slice or several by itself: 6 ms for a mass revocation of 50,000."""
FIRST_BACKOFF: Final = 0.1
LAST_BACKOFF: Final = 1.0
"""Who comes back is heard again within two of these."""
TRIAL_SECONDS: Final = 20.0


class LogFollower:
    """Reads on from where it is, for ever. One task runs it and owns it.

    Attributes:
        name: of the setting that names the log.
        health: how the log is.
        failures: how often it could not be read.
        barrier: time of the first heartbeat that the log gave, seconds since the epoch; when its heads are covered, all
            that the log held at the start is known. ``None`` until then.
    """

    def __init__(
        self,
        verifier: Verifier,
        open_log: Callable[[], EventLog],
        clock: Clock,
        applied: Callable[[], None],
        heard: Callable[[Stream, bytes], None] | None = None,
        name: str = "log",
    ) -> None:
        """Set up.

        Args:
            verifier: whom to feed.
            open_log: makes a log; called again when one has fallen silent.
            clock: for the time of reception.
            applied: called after each batch of entries.
            heard: called with each event that took effect.
            name: of the setting that names the log, for what is written about it.
        """
        self.name = name
        self.health = LogHealth()
        self.failures = 0
        self.barrier: float | None = None
        self._heard = heard
        self._verifier = verifier
        self._open_log = open_log
        self._clock = clock
        self._applied = applied
        self._positions: dict[Stream, int | None] = {}
        self._astray = self._silent = False
        self._backoff = FIRST_BACKOFF
        self._unopened = Unopened(verifier.event_keys.generation)
        self._begun_anew = verifier.state.begun_anew
        self._incomplete_since: float | None = None
        self._hole_patience = HOLE_SECONDS

    def look_for_place(self) -> None:
        """When the log is opened next, begin behind what is known by then, not where we left it."""
        self._astray = True

    @property
    def place(self) -> dict[Stream, int | None]:
        """Where it is in the log; nothing when that is yet to be found."""
        return {} if self._astray else dict(self._positions)

    def begin_at(self, place: dict[Stream, int | None]) -> None:
        """Begin where another follower of the same log, who fed the same verifier, has come to."""
        self._positions = dict(place)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow_one()
            except LogError as error:
                self._note_error(error)
                await self._back_off()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                log.exception("event_log_failed", extra={"log": self.name, "retry_seconds": self._backoff})
                await self._back_off()  # a client library's own cancellation, let out by mistake
            except Exception as error:
                # A client library's fault must not end the agent, who would keep what it knows and never hear more.
                log.exception("event_log_failed", extra={"log": self.name, "retry_seconds": self._backoff})
                self.health.error = type(error).__name__
                await self._back_off()

    async def try_out(self) -> None:
        """See whether the log can be read at all, without reading it; to be called while nobody does."""
        try:
            async with asyncio.timeout(TRIAL_SECONDS):
                event_log = self._open_log()
                try:
                    await event_log.head(Stream.KEYS)
                finally:
                    await _closed(event_log)
        except (LogError, TimeoutError) as error:
            self._note_error(error)
        except Exception as error:
            # A client library's fault: as in ``run``.
            log.exception("event_log_failed", extra={"log": self.name})
            self.health.error = type(error).__name__
        else:
            self._note_success()

    def _note_error(self, error: Exception) -> None:
        """Say so once, until it can be read again."""
        level = logging.DEBUG if self.health.error else logging.WARNING
        words = self.health.error = str(error) or type(error).__name__
        log.log(level, "event_log_unreadable", extra={"log": self.name, "error": words, "retry_seconds": self._backoff})

    def _note_success(self) -> None:
        if self.health.error:
            self.health.error = None
            log.info("event_log_readable", extra={"log": self.name})

    async def _back_off(self) -> None:
        self.failures += 1
        pause, self._backoff = self._backoff, min(2 * self._backoff, LAST_BACKOFF)
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret

    async def _follow_one(self) -> None:
        """Open a log and read it until it fails or falls silent."""
        event_log = self._open_log()
        try:
            # A log that is opened again is read on: what its positions may hide is noticed as a hole.
            if self._astray or not self._positions:
                self._positions, self._astray = await start_of(event_log, self._verifier), False
            await self._follow(event_log)
        finally:
            await _closed(event_log)

    async def _follow(self, event_log: EventLog) -> None:
        """Read on until the log fails or falls silent."""
        heard = self._clock.boot()
        while self._clock.boot() - heard < SILENCE_SECONDS:
            await self._look_for_holes(event_log)
            try:
                entries = await event_log.read(self._positions, wait=READ_SECONDS)
            except PositionLost as lost:
                if self._positions[Stream(lost.stream)] is None:
                    raise  # it is at its start already
                log.warning("event_log_position_lost", extra={"stream": lost.stream, "position": lost.position})
                self._positions[Stream(lost.stream)] = None
                continue
            self._note_success()
            if entries:
                heard, self._backoff, self._silent = self._clock.boot(), FIRST_BACKOFF, False
                await self._apply(entries)
        level = logging.DEBUG if self._silent else logging.WARNING
        log.log(level, "event_log_silent", extra={"log": self.name, "seconds": SILENCE_SECONDS})
        self._silent = True

    async def _look_for_holes(self, event_log: EventLog) -> None:
        """Read a stream from its start again when something of it has been missing for a while.

        What is missing may be in the log all the same: behind us, when the log lost its tail and grew again.
        """
        holes, now = self._verifier.state.holes(), self._clock.boot()
        if not holes:
            self._incomplete_since, self._hole_patience = None, HOLE_SECONDS
        elif self._incomplete_since is None:
            self._incomplete_since = now
        elif now - self._incomplete_since > self._hole_patience:
            self._incomplete_since = now
            read = [stream for stream in holes if self._positions[stream] == await event_log.head(stream)]
            if read:  # of the others something is still before us
                log.warning("event_log_read_again", extra={"streams": sorted(map(str, read))})
                self._positions |= dict.fromkeys(read)
                self._hole_patience = min(2 * self._hole_patience, LONGEST_HOLE_SECONDS)

    async def _apply(self, entries: list[Entry]) -> None:
        slice_end, revocations = self._clock.boot() + SLICE_SECONDS, self._verifier.state.revocations
        waiting: deque[tuple[Stream, int | None, bytes]] = deque(entries)
        while waiting:
            stream, position, data = waiting.popleft()
            is_mass = len(data) > MASS_BYTES
            if is_mass:  # others first: it will be long before they are asked again
                await asyncio.sleep(0)
                slice_end = self._clock.boot() + SLICE_SECONDS
            outcome = self._verifier.apply(stream, data, received=self._clock.boot())
            if position is not None:
                self._positions[stream] = position
            if outcome is RefusalCode.UNKNOWN_KEY:
                self._unopened.keep(stream, data)
            opened = self._unopened.take(self._verifier.event_keys.generation)
            waiting.extendleft((each, None, text) for each, text in reversed(opened))
            self.health.took(stream, data, outcome)
            if self._heard is not None and (outcome is Outcome.APPLIED or _is_kept(stream, data, outcome)):
                self._heard(stream, data)
            if self.barrier is None and stream is Stream.HEARTBEATS:
                self._set_barrier(outcome)
            while self._clock.boot() > slice_end or (is_mass and revocations.is_crowded and revocations.settle()):
                await asyncio.sleep(0)
                slice_end = self._clock.boot() + SLICE_SECONDS
        if self._verifier.state.begun_anew != self._begun_anew:
            self._begun_anew = self._verifier.state.begun_anew
            self._positions |= dict.fromkeys(SEQUENCED)  # an event key was in other hands: all is heard again
        newest = self._verifier.state.freshness.newest
        self.health.note(self._clock.boot(), 0.0 if newest is None else newest.time)
        self._applied()

    def _set_barrier(self, outcome: Outcome | RefusalCode) -> None:
        newest = self._verifier.state.freshness.newest
        if outcome is RefusalCode.ROLLED_BACK:  # we have started from something newer than all that the log knows
            self.barrier = 0.0
        elif isinstance(outcome, Outcome) and newest is not None:
            self.barrier = newest.time
        self._applied()  # what has been restored may have some settling left to do, and nobody need wait for that


def _is_kept(stream: Stream, data: bytes, outcome: Outcome | RefusalCode) -> bool:
    """Whether it is to be saved though it took no effect: a succession below the floor, without which who starts from
    there opens nothing."""
    return stream is Stream.KEYS and outcome is Outcome.KNOWN and successor_named(data) is not None


async def _closed(event_log: EventLog) -> None:
    """Close it, whatever it says: an error of its own would take the place of why we leave, such as a cancellation."""
    try:
        await event_log.close()
    except Exception:
        log.exception("event_log_not_closed")
