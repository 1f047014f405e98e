"""Notices a store clock that leaps ahead of the time that passes here. A rule without I/O.

Agents forget revocations by issuer time. One heartbeat from a clock that is a day ahead would make them forget what is
still needed, and nothing brings it back.
"""

from typing import Final

LEAP_SECONDS: Final = 60.0
"""A clock may gain so much at once: it was put right, or the process was held up."""
HOLD_SECONDS: Final = 600.0
"""A clock that stays ahead for so long is believed: it was behind before."""


class ClockGuard:
    """Compares the store's clock with one that nobody sets."""

    def __init__(self) -> None:
        self._base: tuple[float, float] | None = None
        self._ahead_since: float | None = None

    def trusts(self, time: float, boot: float) -> bool:
        """Whether to pass on ``time``.

        Args:
            time: the store's clock, seconds since the epoch.
            boot: boot-time clock of this machine, seconds.
        """
        if self._base is None or time <= self._base[0] + (boot - self._base[1]) + LEAP_SECONDS:
            self._base, self._ahead_since = (time, boot), None
            return True
        if self._ahead_since is None:
            self._ahead_since = boot
        if boot - self._ahead_since < HOLD_SECONDS:
            return False
        self._base, self._ahead_since = (time, boot), None
        return True
