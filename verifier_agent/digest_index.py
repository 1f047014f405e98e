"""Which tokens are revoked one by one, by digest: exact, and small at a million.

A batch is kept as one sorted array, 8 bytes a digest, so that a lift or an expiry drops it whole. A filter
of 2 to 4 bytes a digest answers for nearly every token that is not revoked; what passes it is searched for in each
batch, or in what short ones have been joined to. A batch of a few digests goes into a dict instead.
"""

from array import array
from collections.abc import Iterator
from typing import Final, TypeAlias

from events.digests import TokenDigest, jti_digest, repack_digests, reread_digests
from verifier_agent.digest_filter import PAIRS, DigestFilter
from verifier_agent.digest_runs import DigestRuns, search

KeptBatch: TypeAlias = "array[int] | bytes"
"""Digests in ascending order; a few as they came, packed: arrays are objects that the garbage collector visits."""

FEW: Final = 32
"""Batches up to this size cost more as an array to search than as entries of a dict."""
MAX_UNSETTLED: Final = 64
"""Batches that may wait for ``settle``. Each costs every look-up a search, but it counts: better slow than late."""
CROWD: Final = 32
"""So many of them are not left waiting for a moment when nothing else is to be done."""
FIRST_CAPACITY: Final = 1 << 20
STEP: Final = 4096
"""Digests that one call of ``settle`` takes up: about a millisecond."""
_DONE: Final = object()


class DigestIndex:
    """Batches of digests. A digest stays revoked while any batch that holds it is in force.

    A batch counts from ``add`` on. Taking it into the filter is left to ``settle``, a bit at a time, so that a mass
    revocation keeps nobody waiting. One thread may change the index while others look digests up: each change puts new
    objects in the place of old ones, in an order in which a batch is never out of sight.
    """

    def __init__(self) -> None:
        self._batches: dict[int, KeptBatch] = {}
        self._count = 0
        self._few: dict[int, int] = {}  # digest to the number of small batches that hold it
        self._unsettled: tuple[array[int], ...] = ()
        self._settled = DigestRuns()
        self._filter = DigestFilter(0)
        self._filtered = 0  # digests that the filter was told, those of dropped batches too
        self._settling: Iterator[None] | None = None

    def __len__(self) -> int:
        """Digests in force; one that several batches hold counts for each."""
        return self._count

    def __contains__(self, digest: TokenDigest) -> bool:
        return self.holds(digest)

    def holds(self, digest: TokenDigest) -> bool:
        """Whether the digest is revoked; the same as ``in``, which is slower to call."""
        if digest in self._few or (self._unsettled and any(search(batch, digest) for batch in self._unsettled)):
            return True
        return self._filter.may_hold(digest) and self._settled.holds(digest)

    def holds_token(self, digest: TokenDigest, jti: str | None) -> bool:
        """Whether a token is revoked by its own digest or by that of its ``jti``.

        For nearly every token that is not, a look at one byte of the filter for each is the answer.
        """
        by_jti, few = digest if jti is None else jti_digest(jti), self._few
        if self._unsettled or (few and (digest in few or by_jti in few)):
            return self.holds(digest) or self.holds(by_jti)
        passed = self._filter  # once: another may take its place, with other marks and another mask
        marks, mask = passed.marks, passed.mask
        one, other = PAIRS[digest >> 58], PAIRS[by_jti >> 58]
        return (marks[digest & mask] & one == one and self.holds(digest)) or (
            marks[by_jti & mask] & other == other and self.holds(by_jti)
        )

    def __iter__(self) -> Iterator[tuple[int, KeptBatch]]:
        return iter(self._batches.items())

    def packed(self, seq: int) -> bytes | None:
        """The batch of event ``seq`` as it came, if it is in force."""
        batch = self._batches.get(seq)
        return None if batch is None else packed(batch)

    @property
    def is_settled(self) -> bool:
        """Whether ``settle`` would find nothing to do."""
        return not self._unsettled and self._settling is None and self._settled.is_joined

    @property
    def is_crowded(self) -> bool:
        """Whether so much waits for ``settle`` that it should be done before anything else is applied."""
        return len(self._unsettled) >= CROWD

    def add(self, seq: int, digests: "array[int]") -> None:
        """Put the batch of event ``seq`` in force.

        Args:
            seq: of the event.
            digests: sorted; not to be changed any more.
        """
        self._count += len(digests)
        if len(digests) <= FEW:
            self._batches[seq] = repack_digests(digests)
            for digest in digests:
                self._few[digest] = self._few.get(digest, 0) + 1
            return
        self._batches[seq] = digests
        self._unsettled = (*self._unsettled, digests)
        while len(self._unsettled) > MAX_UNSETTLED:
            self.settle()

    def remove(self, seq: int) -> bool:
        """Take one batch out of force; whether it was there."""
        batch = self._batches.pop(seq, None)
        if batch is None:
            return False
        digests = unpacked(batch)
        self._count -= len(digests)
        if len(digests) <= FEW:
            for digest in digests:
                if self._few[digest] == 1:
                    del self._few[digest]
                else:
                    self._few[digest] -= 1
        else:
            self._unsettled = _without(self._unsettled, digests)
            self._settled.remove(digests)
        return True

    def settle(self) -> bool:
        """Do about a millisecond of what is left to do; whether there may be more."""
        if self._settling is None:
            if not self._unsettled:
                return self._settled.join()
            self._settling = self._settle()
        if next(self._settling, _DONE) is _DONE:
            self._settling = None
        return True

    def _settle(self) -> Iterator[None]:
        """Take waiting batches into the filter; make a new one when this one is full, maybe of what is past."""
        while self._unsettled:
            batch = self._unsettled[0]
            if self._filtered + len(batch) > self._filter.capacity:
                in_force = sum(map(len, self._settled.batches()))
                larger = DigestFilter(max(FIRST_CAPACITY, (in_force + len(batch)) * 4 // 3))
                for settled in self._settled.batches():  # none is added to them meanwhile but by us
                    yield from _taken_into(larger, settled)
                self._filter, self._filtered = larger, in_force
            yield from _taken_into(self._filter, batch)
            self._filtered += len(batch)
            if any(waiting is batch for waiting in self._unsettled):  # it may have been lifted meanwhile
                self._settled.add(batch)
                self._unsettled = _without(self._unsettled, batch)


def packed(batch: KeptBatch) -> bytes:
    """A batch as it came."""
    return batch if isinstance(batch, bytes) else repack_digests(batch)


def unpacked(batch: KeptBatch) -> "array[int]":
    """The digests of a batch, in ascending order."""
    return reread_digests(batch) if isinstance(batch, bytes) else batch


def _taken_into(passed: DigestFilter, digests: "array[int]") -> Iterator[None]:
    for start in range(0, len(digests), STEP):
        passed.add(digests[start : start + STEP])
        yield


def _without(batches: "tuple[array[int], ...]", removed: "array[int]") -> "tuple[array[int], ...]":
    return tuple(batch for batch in batches if batch is not removed)
