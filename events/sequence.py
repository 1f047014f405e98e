"""Sequence rules: what of a stream has been applied, what is missing, and when a stream contradicts itself.

A ``seq`` is (incarnation, number) packed into one integer below 2**53, so that every JSON reader keeps it exact.
Numbers start at 1 and have no holes within an incarnation; the first event of an incarnation is a baseline which
names what it follows. What lies between the two is abandoned: numbers of a history that does not hold any more, whose
live revocations are said again above the baseline (docs/adr/0013-recovery.md).
"""

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from typing import Final

import msgspec

NUMBER_BITS: Final = 40
INCARNATION_BITS: Final = 13
MAX_SEQ: Final = (1 << (NUMBER_BITS + INCARNATION_BITS)) - 1

FORK_MARGIN: Final = 10.0
"""Seconds of issuer time by which a heartbeat must be younger than an applied event before a head below that event
counts as a fork. A heartbeat made just before the event may well arrive after it."""

RECALLED_DIGESTS: Final = 1024
"""Newest events whose digests are kept to notice one ``seq`` with two contents."""


def pack(incarnation: int, number: int) -> int:
    """One integer for (incarnation, number), ordered like the pair.

    Raises:
        ValueError: a part is out of range.
    """
    if not 0 < incarnation < 1 << INCARNATION_BITS or not 0 <= number < 1 << NUMBER_BITS:
        raise ValueError(f"no sequence has incarnation {incarnation} and number {number}")
    return incarnation << NUMBER_BITS | number


def unpack(seq: int) -> tuple[int, int]:
    """(incarnation, number) of ``seq``."""
    return seq >> NUMBER_BITS, seq & ((1 << NUMBER_BITS) - 1)


def format_seq(seq: int) -> str:
    """``incarnation.number``, the form for people."""
    incarnation, number = unpack(seq)
    return f"{incarnation}.{number}"


class StreamHead(msgspec.Struct, frozen=True, kw_only=True):
    """How far a stream has come.

    Attributes:
        head: highest ``seq`` that was decided.
        digest: digest of the event at ``head``; empty when there is none.
        floor: lowest ``seq`` that is still live; above ``head`` when nothing is.
    """

    head: int
    digest: str
    floor: int


class Intervals:
    """A set of integers as sorted, disjoint, non-adjacent closed intervals."""

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in pairs:
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        """Add every integer from ``start`` to ``end``, both included.

        Raises:
            ValueError: ``end`` lies below ``start``.
        """
        if end < start:
            raise ValueError(f"no interval goes from {start} to {end}")
        first = bisect_left(self._ends, start - 1)
        last = bisect_right(self._starts, end + 1)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def __contains__(self, value: int) -> bool:
        index = bisect_right(self._starts, value) - 1
        return index >= 0 and value <= self._ends[index]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._starts, self._ends, strict=True))

    def missing(self, start: int, end: int) -> list[tuple[int, int]]:
        """The closed intervals between ``start`` and ``end`` that are not in the set."""
        holes = []
        for low, high in self:
            if high < start:
                continue
            if low > end:
                break
            if low > start:
                holes.append((start, low - 1))
            start = high + 1
        if start <= end:
            holes.append((start, end))
        return holes

    def end_of(self, value: int) -> int | None:
        """The end of the interval that holds ``value``, or ``None``."""
        index = bisect_right(self._starts, value) - 1
        return self._ends[index] if index >= 0 and value <= self._ends[index] else None


class Arrival(Enum):
    """What an event is to the stream that it arrives on."""

    NEW = auto()
    KNOWN = auto()
    FORKED = auto()


_NOWHERE: Final = (MAX_SEQ, 0)
"""Between which numbers a stream contradicts itself when it does not."""


class StreamSequence:
    """What has been applied of one stream of one issuer. No I/O, no clock.

    Attributes:
        highest: highest ``seq`` applied; 0 when nothing is.
        fork: what contradicted what, in words, once a fork was seen; it stays until a baseline has abandoned all that
            is contradicted, or all of that has expired.
    """

    def __init__(self) -> None:
        self.highest = 0
        self.fork: str | None = None
        self._forked = _NOWHERE
        self._abandoned = Intervals()
        self._highest_time = 0.0
        self._floor = 0
        self._applied = Intervals([(0, 0)])  # nothing comes before the first event
        self._digests: dict[int, str] = {}
        self._recalled: list[int] = []  # a heap of what has a digest: the lowest goes first

    def judge(self, seq: int, digest: str) -> Arrival:
        """What an event at ``seq`` is. Judging a fork is remembered; judging anything else changes nothing."""
        if seq in self._abandoned:
            return Arrival.KNOWN
        recalled = self._digests.get(seq)
        if recalled is not None and recalled != digest:
            self._contradict(seq, f"two different events have sequence {format_seq(seq)}")
            return Arrival.FORKED
        return Arrival.KNOWN if seq < self._floor or seq in self._applied else Arrival.NEW

    def is_abandoned(self, seq: int) -> bool:
        """Whether a baseline has said that what stands at ``seq`` is of a history that does not hold."""
        return seq in self._abandoned

    def record(self, seq: int, digest: str, time: float, follows: int | None = None, follows_digest: str = "") -> None:
        """Note that the event at ``seq`` has been applied; a second time changes nothing.

        Args:
            seq: its sequence.
            digest: its digest.
            time: its signed time, in seconds since the epoch.
            follows: for a baseline, the ``seq`` that it follows directly.
            follows_digest: for a baseline, the digest of the event at ``follows``.
        """
        if seq in self._abandoned:
            return
        if follows is not None and follows + 1 < seq:
            self._abandon(follows + 1, seq - 1)
        self._applied.add(seq if follows is None else follows + 1, seq)
        self._recall(seq, digest)
        if follows and follows_digest:
            self._recall(follows, follows_digest)
        if seq > self.highest:
            self.highest, self._highest_time = seq, time

    def holes(self, head: StreamHead) -> list[tuple[int, int]]:
        """What is missing from the stream's floor to its head; nothing when it is complete."""
        return self._applied.missing(head.floor, head.head)

    def check_head(self, head: StreamHead, time: float) -> None:
        """Compare a signed head with what was applied, and remember a contradiction as a fork.

        Args:
            head: what a heartbeat says of this stream.
            time: issuer time of that heartbeat.
        """
        recalled = self._digests.get(head.head)
        name = format_seq(head.head)
        if recalled is not None and recalled != head.digest:
            self._contradict(head.head, f"the issuer's head {name} is another event than the one applied")
        elif head.head < self.highest and time > self._highest_time + FORK_MARGIN:
            self._contradict(None, f"the issuer's head {name} lies below the applied {format_seq(self.highest)}")

    def advance_floor(self, floor: int) -> None:
        """Take everything below ``floor`` as no longer live: it need not arrive, and has no effect if it does."""
        if floor > self._floor:
            self._floor = floor
            self._applied.add(0, floor - 1)
            if floor > self._forked[1]:
                self._agree()

    def contiguous(self) -> int:
        """Highest ``seq`` up to which nothing is missing; 0 when the start is missing."""
        return self._applied.end_of(max(self._floor - 1, 0)) or 0

    def dump(self) -> "SequenceState":
        """A copy to keep; the fork is not part of it."""
        return SequenceState(
            highest=self.highest,
            highest_time=self._highest_time,
            floor=self._floor,
            applied=list(self._applied),
            digests=sorted(self._digests.items()),
            abandoned=list(self._abandoned),
        )

    def merge(self, state: "SequenceState") -> None:
        """Add what ``dump`` described to what is known here."""
        for start, end in state.applied:
            self._applied.add(start, end)
        for start, end in state.abandoned:
            self._abandon(start, end)
        for seq, digest in state.digests:
            if seq not in self._abandoned and self.judge(seq, digest) is not Arrival.FORKED:
                self._recall(seq, digest)
        self._floor = max(self._floor, state.floor)
        if state.highest > self.highest:
            self.highest, self._highest_time = state.highest, state.highest_time

    def _contradict(self, seq: int | None, words: str) -> None:
        """Remember a fork: at ``seq``, or wherever heads that lie below what was applied have left our history."""
        self.fork = words
        low, high = self._forked
        self._forked = low if seq is None else min(low, seq), max(high, seq or 0, self.highest)

    def _agree(self) -> None:
        self.fork, self._forked = None, _NOWHERE

    def _abandon(self, start: int, end: int) -> None:
        """Take these numbers as those of a history that does not hold: what stands there contradicts nothing."""
        self._abandoned.add(start, end)
        self._digests = {seq: digest for seq, digest in self._digests.items() if not start <= seq <= end}
        self._recalled = sorted(self._digests)
        if start <= self._forked[0] and self._forked[1] <= end:
            self._agree()

    def _recall(self, seq: int, digest: str) -> None:
        if seq not in self._digests:
            heapq.heappush(self._recalled, seq)
        self._digests[seq] = digest
        while len(self._recalled) > RECALLED_DIGESTS:
            del self._digests[heapq.heappop(self._recalled)]


class SequenceState(msgspec.Struct, frozen=True, kw_only=True):
    """``StreamSequence`` as plain values."""

    highest: int
    highest_time: float
    floor: int
    applied: list[tuple[int, int]]
    digests: list[tuple[int, str]]
    abandoned: list[tuple[int, int]] = []
