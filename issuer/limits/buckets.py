"""Token buckets, one a key, by the generic cell rate algorithm (ITU-T I.371): one number a key, no timers.

The number is the time at which the bucket will be full again. Taking one puts that off by the rate's interval, and may
put it off by ``burst`` intervals at most.
"""

from collections.abc import Hashable
from heapq import nsmallest
from typing import Final

from issuer.limits.rate import Rate

MOST_KEYS: Final = 20_000
_LET_GO: Final = 4
"""A quarter of the keys goes when there is no room: seldom, as it looks at all of them."""


class Buckets:
    """How much each key may still take. No I/O and no clock.

    When there is no room for a further key, those go that had taken least. So who floods with made-up keys, each for
    one request, pushes out his own, and nobody who is being held back gets a new bucket by it.
    """

    def __init__(self, rate: Rate, most_keys: int = MOST_KEYS) -> None:
        self._interval = rate.interval
        self._depth = rate.interval * rate.burst
        self._most = most_keys
        self._full_at: dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable, now: float) -> float:
        """Take one; 0 when there was one, or else in how many seconds there will be, and nothing is taken.

        Args:
            key: whose.
            now: seconds, on a clock that nobody sets.
        """
        full_at = self._full_at.get(key)
        if full_at is None:
            self._make_room(now)
            full_at = now
        # A clock that was put back must not hold anybody back for longer than an empty bucket would.
        full_at = min(max(full_at, now), now + self._depth)
        # Half an interval's billionth: sums of intervals are not exact.
        missing = full_at + self._interval - (now + self._depth)
        if missing > self._interval * 1e-9:
            return missing
        self._full_at[key] = full_at + self._interval
        return 0.0

    def _make_room(self, now: float) -> None:
        if len(self._full_at) < self._most:
            return
        self._full_at = {key: at for key, at in self._full_at.items() if at > now}
        surplus = len(self._full_at) - self._most + max(1, self._most // _LET_GO)
        if surplus > 0:
            for key in nsmallest(surplus, self._full_at, key=self._full_at.__getitem__):
                del self._full_at[key]
