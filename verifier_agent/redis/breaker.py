"""When to leave a server alone that does not answer: a circuit breaker. No I/O and no clock."""

import random
from collections.abc import Callable
from enum import StrEnum
from typing import Final

FAILURES: Final = 3
FIRST_PAUSE: Final = 0.5
LAST_PAUSE: Final = 15.0


class BreakerState(StrEnum):
    """Whether calls are made."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Closed: calls are made. Open, after failures in a row or one time-out: none is. Half-open, after a pause: one is.

    Attributes:
        state: where it is.
        opened: how often it opened.
        failures: calls that failed.
        refused: calls that were not made.
    """

    def __init__(
        self,
        *,
        threshold: int = FAILURES,
        first_pause: float = FIRST_PAUSE,
        last_pause: float = LAST_PAUSE,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Closed to begin with.

        Args:
            threshold: failures in a row that open it; a time-out opens it alone, for it has kept somebody waiting.
            first_pause: seconds for which it stays open; doubled by each probe that fails.
            last_pause: the most of these seconds.
            chance: from 0 to 1; half of each pause is by chance, so that a fleet does not come back at one moment.
        """
        self.state = BreakerState.CLOSED
        self.opened = 0
        self.failures = 0
        self.refused = 0
        self._threshold = threshold
        self._first_pause = first_pause
        self._last_pause = last_pause
        self._chance = chance
        self._in_a_row = 0
        self._pause = first_pause
        self._until = 0.0
        self._probing = False

    def admit(self, now: float) -> bool:
        """Whether a call may be made; who is told so tells what became of it by one of the next three.

        Args:
            now: seconds on any clock that goes on.
        """
        if self.state is BreakerState.OPEN and now >= self._until:
            self.state = BreakerState.HALF_OPEN
        if self.state is BreakerState.CLOSED:
            return True
        if self.state is BreakerState.HALF_OPEN and not self._probing:
            self._probing = True
            return True
        self.refused += 1
        return False

    def succeeded(self) -> None:
        """The server answered. What was asked before it was given up does not count."""
        if self.state is BreakerState.OPEN:
            return
        self.state = BreakerState.CLOSED
        self._in_a_row, self._pause, self._probing = 0, self._first_pause, False

    def failed(self, now: float, *, timed_out: bool = False) -> None:
        """It did not, or with a fault of its own."""
        self.failures += 1
        self._in_a_row += 1
        if self.state is BreakerState.HALF_OPEN:
            self._pause = min(2 * self._pause, self._last_pause)
        elif self.state is BreakerState.OPEN or not (timed_out or self._in_a_row >= self._threshold):
            return
        self.state = BreakerState.OPEN
        self.opened += 1
        self._probing = False
        self._until = now + self._pause * (0.5 + self._chance() / 2)

    def abandoned(self) -> None:
        """The call was given up by who made it; nothing is known."""
        self._probing = False

    def pause_left(self, now: float) -> float:
        """Seconds until the next call may be made; 0 when it may be now."""
        return max(0.0, self._until - now) if self.state is BreakerState.OPEN else 0.0
