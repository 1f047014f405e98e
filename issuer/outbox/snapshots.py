"""Snapshots: what this issuer's own agent knows, sealed with the event key, for agents to start from.

The seal is a heartbeat that also names the bytes: its time and heads are read and numbered as a heartbeat's, and held
back like one while the store's clock leaps (docs/adr/0010-snapshots.md).
"""

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from events import EventSigner, Heartbeat, Snapshot, Stream, format_seq
from issuer.errors import StoreUnavailable
from issuer.outbox.heartbeats import Heartbeats
from issuer.outbox.own_agent import OwnAgent
from verifier_agent.clocks import Clock

KEPT_SECONDS: Final = 5.0
"""For how long one snapshot is given to all who ask."""
ATTEMPTS: Final = 5
MOST_READERS: Final = 64


class MadeSnapshot(msgspec.Struct, frozen=True):
    """A snapshot in pieces: put together, a large one would keep the event loop waiting.

    Attributes:
        seal: a signed event, and before it every succession of event keys, with a space between.
        pieces: the bytes that it names.
        size: how many these are.
        sha256: of these, in hexadecimal.
    """

    seal: bytes
    pieces: tuple[bytes, ...]
    size: int
    sha256: str


class TooManyReaders(Exception):
    """As many are reading a snapshot as may."""


class Snapshots:
    """Makes a snapshot when somebody asks and the last one is some seconds old."""

    def __init__(self, own_agent: OwnAgent, heartbeats: Heartbeats, clock: Clock) -> None:
        self._own_agent = own_agent
        self._heartbeats = heartbeats
        self._clock = clock
        self._making = asyncio.Lock()
        self._made: tuple[float, MadeSnapshot] | None = None
        self._readers = 0

    async def newest(self) -> MadeSnapshot:
        """One that is ``KEPT_SECONDS`` old at most; of many who ask, one makes it for all.

        Raises:
            StoreUnavailable: none can be made now.
        """
        async with self._making:
            if self._made is None or self._clock.boot() - self._made[0] > KEPT_SECONDS:
                self._made = self._clock.boot(), await self._make()
            return self._made[1]

    @contextmanager
    def place(self) -> Iterator[None]:
        """Room for one more reader.

        Raises:
            TooManyReaders: there is none.
        """
        if self._readers >= MOST_READERS:
            raise TooManyReaders
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1

    async def _make(self) -> MadeSnapshot:
        seq, beat, signer, dumping = await self._begin()
        pieces, sha256 = [], hashlib.sha256()
        for piece in dumping:
            pieces.append(piece)
            sha256.update(piece)
            await asyncio.sleep(0)  # each takes a millisecond or a few
        size = sum(map(len, pieces))
        seal = Snapshot(sha256=sha256.hexdigest(), size=size, time=beat.time, heads=beat.heads)
        txn = f"snapshot.{format_seq(seq)}"
        signed = signer.sign(Stream.HEARTBEATS, seq, seal, time=beat.time, txn=txn)
        successions = await self._own_agent.successions()
        return MadeSnapshot(b" ".join([*successions, signed.text]), tuple(pieces), size, seal.sha256)

    async def _begin(self) -> tuple[int, Heartbeat, EventSigner, Iterator[bytes]]:
        """A heartbeat, who is to seal, and the state of a moment at which all is covered that the heartbeat speaks of.

        The state may have heard more by then, which is as good: agents add what follows, known or not.
        """
        for _ in range(ATTEMPTS):
            event = await self._heartbeats.next()
            signer = self._heartbeats.signer
            await self._own_agent.catch_up()
            state, newest = self._own_agent.verifier.state, self._own_agent.verifier.event_keys.newest
            if event is None or not self._own_agent.clock_trusted:
                raise StoreUnavailable("no snapshot is made while the store's clock leaps")
            if signer is None or signer.kid != newest.kid:  # it has been succeeded since
                continue
            if isinstance(event.record, Heartbeat) and state.complete(event.record):
                return event.seq, event.record, signer, state.dump_slowly()
        raise StoreUnavailable("this issuer does not know all that its store holds")
