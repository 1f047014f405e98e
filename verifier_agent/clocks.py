"""The clocks of this machine, in one place so that tests can bring their own."""

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def now(self) -> float:
        """Wall clock, seconds since the epoch."""

    def boot(self) -> float:
        """Seconds on a clock that nobody sets and that goes on while the machine is suspended."""


class SystemClock:
    """This machine's clocks. Where there is no boot-time clock, the monotonic one stands in."""

    now: Callable[[], float] = staticmethod(time.time)  # themselves, as they are called with every token
    boot: Callable[[], float] = staticmethod(
        partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
    )
