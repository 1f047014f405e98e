"""Keeps a store level with what an agent hears, and starts the agent from it. No verifying waits for it."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from events import Snapshot, Stream
from events.succession import successor_named
from verifier_agent.clocks import Clock
from verifier_agent.errors import SnapshotInvalid, StoreUnavailable
from verifier_agent.saved.live_events import live
from verifier_agent.saved.protocol import SavedEvent, SavedState, SealedSnapshot, SnapshotSource, StateStore
from verifier_agent.saved.report import StoreReport
from verifier_agent.saved.warm_start import recall
from verifier_agent.verifier import Verifier

log = logging.getLogger(__name__)

SAVE_SECONDS: Final = 2.0
BEAT_SECONDS: Final = 5.0
"""Between two heartbeats that are saved when there is nothing else."""
SNAPSHOT_SECONDS: Final = 3600.0
"""Between two snapshots, give or take a quarter: agents that started together do not ask together for ever."""
SPREAD_SECONDS: Final = 5.0
"""Within which agents ask that have all heard as much at once."""
RETRY_SECONDS: Final = 30.0
"""Between two attempts to have a snapshot."""
MANY_EVENTS: Final = 2000
MANY_BYTES: Final = 8 << 20
"""Saved since the newest snapshot, or since it was last looked at what is still needed; then it is time for that."""
MAX_PENDING: Final = 8 << 20
"""Bytes that wait for a store that is away. What is let go beyond them is a hole to who starts there."""
IN_USE: Final = "in_use"
IN_USE_SECONDS: Final = 10.0
"""Between two looks whether another agent still saves to the store; until then what we hear is as well with it."""
LOAD_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 2.0
FIRST_BACKOFF: Final = 1.0
LAST_BACKOFF: Final = 60.0


class Keeper:
    """Of one agent and one store.

    Attributes:
        name: of the store.
    """

    def __init__(
        self,
        name: str,
        store: StateStore,
        verifier: Verifier,
        clock: Clock,
        *,
        source: SnapshotSource | None = None,
        max_age: float,
    ) -> None:
        """Set up; nothing is opened yet.

        Args:
            name: for reports and logs.
            store: where to save.
            verifier: whose knowledge it is.
            clock: of this machine.
            source: of new snapshots; without one the events alone are kept.
            max_age: seconds that a snapshot may be old.
        """
        self.name = name
        self._store = store
        self._verifier = verifier
        self._clock = clock
        self._source = source
        self._max_age = max_age
        self._failures: Counter[str] = Counter()
        self._away = self._read_only = False
        self._backoff = 0.0
        self._pending: list[SavedEvent] = []
        self._pending_bytes = self._dropped = 0
        self._beat: SavedEvent | None = None
        self._beat_due = 0.0
        self._offered: SealedSnapshot | None = None
        self._snapshot_time: float | None = None
        self._snapshot_due = self._retry_at = 0.0  # by the boot-time clock
        self._events = self._bytes = 0  # saved
        self._needed = 0, 0  # of these, when it was last looked at what is needed

    async def recall(self) -> SavedState | None:
        """Start from the store, before anything else is heard; ``None`` when there is nothing to start from."""
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                saved = await self._store.load()
        except (StoreUnavailable, TimeoutError) as error:
            self._failed(error)
            return None
        self._note_saved(saved.events)
        recalled = await recall(saved, self._verifier, self._clock, self._max_age)
        if recalled.refusal is not None:
            self._failures[f"snapshot_{recalled.refusal.code}"] += 1
        if recalled.snapshot_time is not None:
            self._note_snapshot(recalled.snapshot_time)
        return saved if recalled.snapshot_time is not None or saved.events else None

    def hear(self, stream: Stream, raw: bytes) -> None:
        """Take note of an event that took effect."""
        if stream is Stream.HEARTBEATS:
            self._beat = SavedEvent(stream, raw)
            return
        if stream is Stream.KEYS and successor_named(raw) is not None:
            self._ask_soon()  # the snapshot that is saved is sealed by a key that has ended
        self._pending.append(SavedEvent(stream, raw))
        self._pending_bytes += len(raw)
        if self._pending_bytes > MAX_PENDING:
            self._drop_oldest()

    def offer(self, snapshot: SealedSnapshot) -> None:
        """A snapshot that somebody has fetched already, to be saved in place of one that we would ask for."""
        self._offered = snapshot

    def _drop_oldest(self) -> None:
        """Let go of half of what waits; who saves in our place has it."""
        half = len(self._pending) // 2 + 1
        self._pending = self._pending[half:]
        self._pending_bytes = _size(self._pending)
        if not self._read_only:
            log.warning("events_not_saved", extra={"store": self.name, "events": half})
            self._dropped += half
            self._ask_soon()

    async def run(self) -> None:
        """Save, until cancelled."""
        while True:
            await asyncio.sleep(max(SAVE_SECONDS, self._backoff) * random.uniform(0.75, 1.0))  # noqa: S311 - jitter
            await self.try_to_save()

    async def try_to_save(self) -> bool:
        """Bring the store level with what has been heard; whether it is. What could not be saved waits."""
        try:
            await self._save()
        except (StoreUnavailable, TimeoutError) as error:
            self._failed(error)
            return False
        except Exception as error:
            # A fault of a client library must not end the agent, who is the more needed for it.
            log.exception("state_not_saved", extra={"store": self.name})
            self._failed(error)
            return False
        if self._away:
            log.info("state_store_back", extra={"store": self.name})
        self._away, self._read_only, self._backoff = False, False, 0.0
        return True

    async def close(self) -> None:
        """Save what still waits and let go of the store, in ``CLOSE_SECONDS`` each."""
        self._beat_due = 0.0
        for last in (self._append, self._store.close):
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await last()
            except (StoreUnavailable, TimeoutError) as error:
                self._failed(error)

    def report(self) -> StoreReport:
        """How the store is."""
        return StoreReport(
            read_only=self._read_only,
            snapshot_age=None if self._snapshot_time is None else max(self._clock.now() - self._snapshot_time, 0.0),
            events=self._events,
            unsaved=len(self._pending),
            dropped=self._dropped,
            failures=dict(self._failures),
        )

    # -- saving

    async def _save(self) -> None:
        if self._source is not None and self._clock.boot() >= max(self._snapshot_due, self._retry_at):
            await self._append(even_nothing=True)  # who cannot save asks for nothing
            fetched = await self._fetch(self._source)
            if fetched is not None:
                await self._renew(*fetched)
                return
        await self._append()
        grown = max((self._events - self._needed[0]) / MANY_EVENTS, (self._bytes - self._needed[1]) / MANY_BYTES)
        if grown > 1:
            self._ask_soon()
        if grown > (1 if self._source is None else 2):
            await self._compact()

    async def _append(self, *, even_nothing: bool = False) -> None:
        events = self._take()
        if events or even_nothing:
            try:
                await self._store.append(events)
            except BaseException:
                self._put_back(events)
                raise
            self._events += len(events)
            self._bytes += _size(events)

    async def _compact(self) -> None:
        """Let go of events below the floors. What has ended above them is kept: without it there would be a hole."""
        newest = self._verifier.state.freshness.newest
        await self._replace(None, {} if newest is None else {name: head.floor for name, head in newest.heads.items()})

    async def _renew(self, snapshot: SealedSnapshot, seq: int, seal: Snapshot) -> None:
        """Begin anew from a snapshot and what is not in it."""
        least = {name: head.head + 1 for name, head in seal.heads.items()}
        await self._replace(snapshot, {**least, str(Stream.HEARTBEATS): seq})
        self._note_snapshot(seal.time)

    async def _replace(self, snapshot: SealedSnapshot | None, least: Mapping[str, int]) -> None:
        try:
            saved = await self._store.load()
        except StoreUnavailable as error:
            if error.code != "damaged":
                raise
            saved = SavedState(None, ())
        events = self._take()
        try:
            needed = await asyncio.to_thread(live, [*saved.events, *events], least)
            await self._store.replace(snapshot or saved.snapshot, needed)
        except BaseException:
            self._put_back(events)
            raise
        self._note_saved(needed)

    def _take(self) -> list[SavedEvent]:
        """What waits, and the newest heartbeat with it or where it is due by itself."""
        events, self._pending, self._pending_bytes = self._pending, [], 0
        if self._beat is not None and (events or self._clock.boot() >= self._beat_due):
            events.append(self._beat)
            self._beat, self._beat_due = None, self._clock.boot() + BEAT_SECONDS
        return events

    def _put_back(self, events: Sequence[SavedEvent]) -> None:
        """What could not be saved waits on, before what has come meanwhile."""
        self._pending = [event for event in events if event.stream is not Stream.HEARTBEATS] + self._pending
        self._pending_bytes = _size(self._pending)
        if self._beat is None:
            self._beat = next((event for event in reversed(events) if event.stream is Stream.HEARTBEATS), None)
        self._beat_due = 0.0

    def _note_saved(self, events: Sequence[SavedEvent]) -> None:
        self._events, self._bytes = self._needed = len(events), _size(events)

    def _failed(self, error: Exception) -> None:
        code = error.code if isinstance(error, StoreUnavailable) else "timeout"
        code = code if isinstance(error, StoreUnavailable | TimeoutError) else "fault"
        if code == IN_USE:
            if not self._read_only:
                log.info("state_store_read_only", extra={"store": self.name, "error": str(error)})
            self._read_only, self._backoff = True, IN_USE_SECONDS
            return
        self._failures[code] += 1
        if not self._away:
            log.warning("state_store_away", extra={"store": self.name, "code": code, "error": str(error)})
        self._away, self._backoff = True, min(max(FIRST_BACKOFF, 2 * self._backoff), LAST_BACKOFF)
        self._ask_soon()

    # -- snapshots

    async def _fetch(self, source: SnapshotSource) -> tuple[SealedSnapshot, int, Snapshot] | None:
        """A new snapshot that is good; ``None`` when none is to be had."""
        self._retry_at = self._clock.boot() + RETRY_SECONDS
        try:
            snapshot, self._offered = self._offered or await source.fetch(), None
            seq, seal = await asyncio.to_thread(self._verifier.open_seal, snapshot, self._clock.now(), self._max_age)
        except (StoreUnavailable, SnapshotInvalid) as error:
            code = error.code if isinstance(error, StoreUnavailable) else f"snapshot_{error.code}"
            if not self._failures[code]:
                log.warning("no_new_snapshot", extra={"code": code, "error": str(error)})
            self._failures[code] += 1
            return None
        return snapshot, seq, seal

    def _ask_soon(self) -> None:
        soon = self._clock.boot() + random.uniform(0, SPREAD_SECONDS)  # noqa: S311 - jitter
        self._snapshot_due = min(self._snapshot_due, soon)

    def _note_snapshot(self, time: float) -> None:
        spread = random.uniform(0.75, 1.25)  # noqa: S311 - jitter
        old = max(self._clock.now() - time, 0.0)
        self._snapshot_time = time
        self._snapshot_due = self._clock.boot() + max(SNAPSHOT_SECONDS * spread - old, 0.0)


def _size(events: Sequence[SavedEvent]) -> int:
    return sum(len(event.data) for event in events)
