"""The clocks of this machine, in one place so that tests can bring their own."""

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def now(self) -> float:
        """Wall clock, seconds since the epoch."""

    def boot(self) -> float:
        """Seconds on a clock that nobody sets and that goes on while the machine is suspended."""


class SystemClock:
    """This machine's clocks. Where there is no boot-time clock, the monotonic one stands in."""

    def __init__(self) -> None:
        self._boot = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    now: Callable[[], float] = staticmethod(time.time)  # itself, as it is called with every token

    def boot(self) -> float:
        """See ``Clock.boot``."""
        return time.clock_gettime(self._boot)
