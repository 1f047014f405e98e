"""Where an agent keeps what it has heard: one small Protocol, one contract suite for all that implement it.

A store is never the truth. What is read from it is checked as if it had come from the log: the snapshot is sealed by
the issuer, the events are signed, and what is missing is a hole. So whoever can write to a store can make an agent
slower or stale, and never make it forget.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from events import Stream
from events.trust import MOST_KEYS

LONGEST_SEAL: Final = 512 * 1024
"""Bytes; it comes with every succession of event keys, a few kilobytes each."""


class SealedSnapshot(msgspec.Struct, frozen=True):
    """A snapshot made by the issuer.

    Attributes:
        seal: signed events with a space between them: every succession of event keys so far, as whoever has slept
            through some could not open what follows; and last one that holds the hash of ``data``, and up to where it
            reaches.
        data: what ``Verifier.snapshot`` wrote.
    """

    seal: bytes
    data: bytes

    @property
    def event(self) -> bytes:
        """The event that holds the hash."""
        return self.seal.rpartition(b" ")[2]

    @property
    def successions(self) -> list[bytes]:
        """Those of event keys that come before it; no more than a chain can have are looked at."""
        return self.seal.split(b" ", MOST_KEYS)[:-1]


class SavedEvent(NamedTuple):
    """One signed event as it was read from the log; unverified, like the log's, and on one line."""

    stream: Stream
    data: bytes


class SavedState(NamedTuple):
    """What an agent can start from.

    Attributes:
        snapshot: the newest that was saved, if any.
        events: heard since, in the order in which they were saved; some may be missing or stand there twice.
    """

    snapshot: SealedSnapshot | None
    events: Sequence[SavedEvent]


class StateStore(Protocol):
    """A place to save to. Every method may raise ``StoreUnavailable``; none blocks the event loop."""

    async def load(self) -> SavedState:
        """All that is there; nothing is fine too."""

    async def replace(self, snapshot: SealedSnapshot | None, events: Sequence[SavedEvent]) -> None:
        """Begin anew from a snapshot, where there is one, and what has been heard since. Whole or not at all."""

    async def append(self, events: Sequence[SavedEvent]) -> None:
        """Add what has been heard."""

    async def close(self) -> None:
        """Let go of it."""


class SnapshotSource(Protocol):
    """Gives new snapshots."""

    async def fetch(self) -> SealedSnapshot:
        """The newest, which nobody has checked yet.

        Raises:
            StoreUnavailable: it cannot be had; its code begins with ``source_``.
        """
