"""The issuer's sealed snapshot and the signed events since, in Redis, for other agents to start from.

A snapshot is written under new keys and counts when one key has been switched to them. Everything is read as what
anybody may have put there: bounded first, checked by whoever asked for it.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from verifier_agent.errors import StoreUnavailable
from verifier_agent.redis import scripts
from verifier_agent.redis.connection import BulkCalls, RedisConnection, RedisRefused
from verifier_agent.redis.frames import read_frames, write_frames
from verifier_agent.redis.keys import RedisKeys
from verifier_agent.redis.lease import KEPT_SECONDS, Fence, RedisLease
from verifier_agent.saved import SavedEvent, SavedState, SealedSnapshot
from verifier_agent.saved.protocol import LONGEST_SEAL

log = logging.getLogger(__name__)

PIECE: Final = 512 * 1024
PIECES_AT_ONCE: Final = 8
MAX_HEAD: Final = LONGEST_SEAL
MAX_SEAL: Final = MAX_HEAD - 64
MAX_SNAPSHOT: Final = 128 << 20
"""Bytes; about 12,000,000 digests."""
MAX_EVENTS: Final = 32 << 20
"""Bytes of events after a snapshot; what comes then is left out, and read from the log."""
READER_SECONDS: Final = 60
"""For how long a generation stays after another has taken its place, for who is reading it."""
UNFINISHED_SECONDS: Final = 120
SMALL: Final = 32 * 1024
"""Bytes that are no trouble to write within the time of a usual call."""
EVENTS_A_TURN: Final = 2000
ATTEMPTS: Final = 2
NO_SNAPSHOT: Final = SealedSnapshot(seal=b"", data=b"")


class RedisStateStore:
    """A ``StateStore`` that all agents of an issuer share; one of them writes (``in_use`` to the others).

    Attributes:
        written: events that were written.
        left_out: events that found no more room; the next ``replace`` makes some.
        unusable: snapshots that were read, and were not whole or longer than allowed.
    """

    def __init__(self, connection: RedisConnection, keys: RedisKeys, lease: RedisLease) -> None:
        self.written = 0
        self.left_out = 0
        self.unusable = 0
        self._connection = connection
        self._keys = keys
        self._lease = lease
        self._writing = asyncio.Lock()
        self._generation: tuple[Fence, str] | None = None
        self._made = 0
        self._is_closed = False

    async def load(self) -> SavedState:
        """See ``StateStore.load``: one round trip for what is small; memory is bounded whatever is there."""
        self._check_open()
        for _ in range(ATTEMPTS):
            async with self._connection.bulk() as bulk:
                found = await self._read(bulk)
            if found.is_whole:
                break
        if not found.is_whole:
            self.unusable += 1
            log.warning("redis_snapshot_unusable", extra={"bytes": found.length, "read": len(found.data)})
        snapshot = SealedSnapshot(seal=found.seal, data=found.data) if found.is_whole and found.seal else None
        events: list[SavedEvent] = []
        for event in read_frames(found.events):
            events.append(event)
            if len(events) % EVENTS_A_TURN == 0:
                await asyncio.sleep(0)
        return SavedState(snapshot, events)

    async def replace(self, snapshot: SealedSnapshot | None, events: Sequence[SavedEvent]) -> None:
        """See ``StateStore.replace``; what is longer than ``MAX_SNAPSHOT`` is refused, as nobody would read it."""
        if snapshot is not None and (len(snapshot.data) > MAX_SNAPSHOT or len(snapshot.seal) > MAX_SEAL):
            raise StoreUnavailable(f"a snapshot of {len(snapshot.data)} bytes is too long", "too_long")
        async with self._writing:
            fence = await self._right_to_write()
            frames = _as_many_as_fit(write_frames(events))
            await self._begin_generation(fence, snapshot or NO_SNAPSHOT, b"".join(frames))
            self.written += len(frames)
            self.left_out += len(events) - len(frames)

    async def append(self, events: Sequence[SavedEvent]) -> None:
        """See ``StateStore.append``; with no events it tells whether we may write."""
        async with self._writing:
            fence = await self._right_to_write()
            if self._generation is None or self._generation[0] != fence:
                await self._adopt(fence)
            frames = write_frames(events)
            self.left_out += len(events) - len(frames)
            for group in _groups(frames):
                answer = await self._append(fence, b"".join(group))
                if answer == scripts.FENCED:
                    raise self._fenced_out()
                if answer == scripts.MOVED:  # Redis was emptied, or somebody else removed it
                    self._generation = None
                    raise StoreUnavailable("what was saved is no longer there", "lost")
                if answer == scripts.DONE:
                    self.written += len(group)
                else:
                    self.left_out += len(group)

    async def close(self) -> None:
        """Let another write. The connection is not closed: it is not ours alone."""
        self._is_closed = True
        try:
            await self._lease.release()
        except StoreUnavailable:
            log.debug("redis_lease_not_released")

    async def _right_to_write(self) -> Fence:
        self._check_open()
        fence = await self._lease.held()
        if fence is None:
            raise _in_use()
        return fence

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoreUnavailable("this store has been closed", "closed")

    async def _append(self, fence: Fence, frames: bytes) -> bytes:
        keys, generation = self._keys, self._generation[1] if self._generation else ""
        command = (
            *("EVAL", scripts.APPEND, 4, keys.fence, keys.head, keys.events(generation), keys.data(generation)),
            *(fence.text, generation, frames, MAX_EVENTS, KEPT_SECONDS),
        )
        if len(frames) <= SMALL:
            (answer,) = await self._connection.ask(command)
        else:
            async with self._connection.bulk() as bulk:
                (answer,) = await bulk.ask(command)
        return bytes(answer)

    async def _adopt(self, fence: Fence) -> None:
        """Go on with the generation that is there, or begin one."""
        (answer,) = await self._connection.ask(
            ("EVAL", scripts.ADOPT, 2, self._keys.fence, self._keys.head, fence.text)
        )
        if answer == scripts.FENCED:
            raise self._fenced_out()
        if answer:
            self._generation = (fence, bytes(answer).decode())
        else:
            await self._begin_generation(fence, NO_SNAPSHOT, b"")

    async def _begin_generation(self, fence: Fence, snapshot: SealedSnapshot, events: bytes) -> None:
        """Write all under new keys, then let them count."""
        self._made += 1
        generation, keys = f"{fence.number}.{self._made}", self._keys
        data_key, events_key = keys.data(generation), keys.events(generation)
        head = f"{generation}\n{len(snapshot.data)}\n".encode() + snapshot.seal
        async with self._connection.bulk() as bulk:
            for key, value in ((data_key, snapshot.data), (events_key, events)):
                await bulk.ask(("DEL", key))
                for start in range(0, len(value), PIECE):
                    piece = value[start : start + PIECE]
                    await bulk.ask(("APPEND", key, piece), ("EXPIRE", key, UNFINISHED_SECONDS))
            (answer,) = await bulk.ask(
                (
                    *("EVAL", scripts.SWITCH, 4, keys.fence, keys.head, data_key, events_key),
                    *(fence.text, head, len(snapshot.data), len(events)),
                    *(KEPT_SECONDS, READER_SECONDS, keys.base),
                )
            )
        if answer == scripts.FENCED:
            raise self._fenced_out()
        if answer != scripts.DONE:
            raise RedisRefused("Redis has not kept all pieces of the snapshot")
        self._generation = (fence, generation)

    async def _read(self, bulk: BulkCalls) -> "_Found":
        keys = self._keys
        (answer,) = await bulk.ask(("EVAL", scripts.LOAD, 1, keys.head, keys.base, MAX_HEAD, PIECE))
        head = bytes(answer[0]).split(b"\n", 2)
        if len(answer) < 5 or len(head) < 3 or not head[1].isdigit():
            return _Found()
        _, size, data, events_size, events = answer
        generation, length = head[0].decode(), int(head[1][:12])
        if size != length or length > MAX_SNAPSHOT:
            data = b""
        else:
            data = await _rest(bulk, keys.data(generation), data, length)
        events = await _rest(bulk, keys.events(generation), events, min(events_size, MAX_EVENTS))
        return _Found(length=length, seal=head[2], data=data, events=events)

    def _fenced_out(self) -> StoreUnavailable:
        self._lease.fenced_out()
        self._generation = None
        return _in_use()


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What was read.

    Attributes:
        length: of the snapshot, as its head says; 0 when there is none.
        seal: as the head says.
        data: what there is of it.
        events: frames.
    """

    length: int = 0
    seal: bytes = b""
    data: bytes = b""
    events: bytes = b""

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the snapshot is missing."""
        return len(self.data) == self.length


def _in_use() -> StoreUnavailable:
    return StoreUnavailable("another agent writes to Redis; it is only read", "in_use")


def _groups(frames: Iterable[bytes]) -> Iterator[list[bytes]]:
    """As many at a time as one call should carry, at least one."""
    group, size = list[bytes](), 0
    for frame in frames:
        if group and size + len(frame) > PIECE:
            yield group
            group, size = [], 0
        group.append(frame)
        size += len(frame)
    if group:
        yield group


def _as_many_as_fit(frames: Iterable[bytes]) -> list[bytes]:
    """Of the oldest on: what is missing at the end is read from the log."""
    fitting, size = list[bytes](), 0
    for frame in frames:
        size += len(frame)
        if size > MAX_EVENTS:
            break
        fitting.append(frame)
    return fitting


async def _rest(bulk: BulkCalls, key: str, first: bytes, length: int) -> bytes:
    """A value of which the first piece has been read, up to ``length``; shorter when it has gone meanwhile."""
    if length <= len(first):
        return first[:length]
    pieces = [first]
    starts = range(len(first), length, PIECE)
    for group in range(0, len(starts), PIECES_AT_ONCE):
        pieces += await bulk.ask(
            *(("GETRANGE", key, at, min(at + PIECE, length) - 1) for at in starts[group : group + PIECES_AT_ONCE])
        )
    return b"".join(pieces)
