"""When an agent says how it is: soon what others wait for, and every few seconds that it is there. No clock."""

from collections.abc import Callable, Mapping
from typing import Final

from events import Stream

RECEIPT_SECONDS: Final = 2.0
"""Least time between two statuses that say no more than that further revocations have been applied."""
ACKNOWLEDGE_SECONDS: Final = 0.1
"""Longest wait before a key set is acknowledged, by chance: in an emergency a whole fleet would speak at the moment at
which it needs new tokens, and the issuer is to make those first."""
SPREAD: Final = (0.8, 1.0)
"""Between which parts of its pause an agent speaks again, so that a fleet does not speak all at once."""
FIRST_BACKOFF: Final = 0.5
LAST_BACKOFF: Final = 60.0


class StatusTiming:
    """Says when the next status is due. Seconds are of a clock that nobody sets."""

    def __init__(self, every: float, jitter: Callable[[float, float], float]) -> None:
        """Set up.

        Args:
            every: longest pause, seconds.
            jitter: a number between two others, as ``random.uniform``.
        """
        self._every = every
        self._jitter = jitter
        self._said: dict[str, int] = {}
        self._said_at: float | None = None
        self._acknowledge_at: float | None = None  # while there is a key set to be acknowledged
        self._regular_at = 0.0
        self._backoff = FIRST_BACKOFF
        self._not_before = 0.0

    def due(self, now: float, applied: Mapping[str, int]) -> float:
        """When to say it; that moment may be past.

        Args:
            now: at this moment.
            applied: stream name to how far it has been applied.
        """
        if self._said_at is None:
            return self._not_before
        due = self._regular_at
        if applied.get(Stream.REVOCATIONS, 0) > self._said.get(Stream.REVOCATIONS, 0):
            due = min(due, self._said_at + RECEIPT_SECONDS)
        if applied.get(Stream.KEYS, 0) > self._said.get(Stream.KEYS, 0):
            if self._acknowledge_at is None:
                self._acknowledge_at = now + self._jitter(0.0, ACKNOWLEDGE_SECONDS)
            due = min(due, self._acknowledge_at)  # a rotation may wait for it
        return max(due, self._not_before)

    def said(self, now: float, applied: Mapping[str, int]) -> None:
        """A status has gone out."""
        self._said_at, self._said, self._acknowledge_at = now, dict(applied), None
        self._regular_at = now + self._every * self._jitter(*SPREAD)
        self._backoff, self._not_before = FIRST_BACKOFF, now

    def failed(self, now: float) -> None:
        """One has not; the next attempt waits longer each time."""
        self._not_before = now + self._backoff * self._jitter(0.5, 1.0)
        self._backoff = min(2 * self._backoff, LAST_BACKOFF)
