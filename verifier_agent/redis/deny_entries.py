"""The deny-list's entries: what they are called, how long they live, and which a lift may remove. No I/O."""

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, NamedTuple

LONGEST_LIFE: Final = 10 * 366 * 86_400
_SHORT_SHIFT: Final = 32


class Batch(NamedTuple):
    """Digests that die together.

    Attributes:
        expires_at: seconds since the epoch, by issuer time.
        digests: in ascending order.
    """

    expires_at: float
    digests: "array[int]"


def seconds_left(expires_at: float, issuer_time: float) -> int:
    """For how long an entry must live: rounded up, and at least a second."""
    return math.ceil(min(max(expires_at - issuer_time, 1.0), LONGEST_LIFE))


def names(prefix: str, digest: int) -> tuple[str, str]:
    """The entry that is only a first look, and the one that decides."""
    long = f"{digest:016x}"
    return f"{prefix}revoked:{long[:8]}", f"{prefix}revoked:{long}"


def slices(batches: Iterable[Batch], count: int) -> Iterator[list[Batch]]:
    """The same digests, ``count`` at a time: parts of large batches, several small ones together."""
    room, some = count, list[Batch]()
    for expires_at, digests in batches:
        start = 0
        while start < len(digests):
            part = digests[start : start + room]
            some.append(Batch(expires_at, part))
            start, room = start + len(part), room - len(part)
            if room == 0:
                yield some
                room, some = count, []
    if some:
        yield some


class NoLongerListed:
    """Of digests that were lifted: which entries no batch in force needs. Each batch is to be shown to it.

    A short name may stand for several tokens, and a token may have been revoked twice.
    """

    def __init__(self, lifted: Iterable["array[int]"]) -> None:
        self._digests = set(chain.from_iterable(lifted))
        self._shorts = {digest >> _SHORT_SHIFT for digest in self._digests}
        self._gone = sorted(self._digests)

    def keep_what_needs(self, batch: "array[int]") -> None:
        """Take out what a batch in force has."""
        searches = len(self._shorts) * max(1, len(batch).bit_length())
        if searches < len(batch):
            for short in list(self._shorts):
                at = bisect_left(batch, short << _SHORT_SHIFT)
                if at < len(batch) and batch[at] >> _SHORT_SHIFT == short:
                    self._shorts.discard(short)
            for digest in list(self._digests):
                at = bisect_left(batch, digest)
                if at < len(batch) and batch[at] == digest:
                    self._digests.discard(digest)
        else:
            self._digests.difference_update(batch)
            self._shorts.difference_update(digest >> _SHORT_SHIFT for digest in batch)

    def names(self, prefix: str) -> list[str]:
        """Of the entries that may go."""
        found: dict[str, None] = {}
        for digest in self._gone:
            short, long = names(prefix, digest)
            if digest in self._digests:
                found[long] = None
            if digest >> _SHORT_SHIFT in self._shorts:
                found[short] = None
        return list(found)
