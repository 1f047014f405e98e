"""How old our knowledge is: the age of the newest heartbeat whose heads have all been covered."""

import math
from collections.abc import Callable
from typing import Final

from events import Heartbeat
from events.records import MAX_SKEW

MAX_WAITING: Final = 32
"""Newest heartbeats that wait for events they speak of."""


def heard_at(time: float, now: float, boot: float) -> float:
    """When a heartbeat that was kept from an earlier life counts as heard, by the boot-time clock.

    When it was made, by the wall clock: so what is known looks no younger if that is set back later. When the wall
    clock lies behind it by more than clocks may, nobody can say how old it is: then it is infinitely old.

    Args:
        time: of the heartbeat, seconds since the epoch.
        now: wall clock, seconds since the epoch.
        boot: boot-time clock, seconds.
    """
    return boot - max(now - time, 0.0) if time <= now + MAX_SKEW else -math.inf


class Freshness:
    """Heartbeats heard, and the newest that we are complete for. No clock: callers say what time it is.

    Attributes:
        covered: the newest heartbeat up to which everything has been applied, or ``None``.
        received: boot-time clock in seconds when ``covered`` was received.
    """

    def __init__(self) -> None:
        self.covered: Heartbeat | None = None
        self.received = 0.0
        self._waiting: list[tuple[Heartbeat, float]] = []

    def heard(self, heartbeat: Heartbeat, received: float) -> None:
        """Note a heartbeat newer than all before it."""
        self._waiting = [*self._waiting[-(MAX_WAITING - 1) :], (heartbeat, received)]

    def settle(self, complete: Callable[[Heartbeat], bool]) -> bool:
        """Move on to the newest heartbeat that is complete now; whether there was one."""
        for index in range(len(self._waiting) - 1, -1, -1):
            heartbeat, received = self._waiting[index]
            if complete(heartbeat):
                self.covered, self.received = heartbeat, received
                del self._waiting[: index + 1]
                return True
        return False

    @property
    def newest(self) -> Heartbeat | None:
        """The newest heartbeat heard, covered or not."""
        return self._waiting[-1][0] if self._waiting else self.covered

    def age(self, now: float, boot: float) -> float | None:
        """Seconds since everything was known, or ``None`` when it never was.

        The larger of two readings, so neither a stopped wall clock nor a suspended machine can make it look young.

        Args:
            now: wall clock, seconds since the epoch.
            boot: boot-time clock, seconds; it goes on while the machine is suspended.
        """
        if self.covered is None:
            return None
        return max(now - self.covered.time, boot - self.received, 0.0)

    def clock_skew(self, now: float, boot: float) -> float | None:
        """Seconds by which our wall clock seems ahead of the issuer's, delivery time included; ``None`` if unknown."""
        if self.covered is None or self.received == -math.inf:
            return None
        return (now - self.covered.time) - (boot - self.received)
