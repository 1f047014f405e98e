"""Says when what is known has become young enough, and when too old: once each time."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0


class StalenessWatch:
    """Looks at the age of what is known.

    Attributes:
        stale: whether it was too old at the last look, as it is at the beginning.
        limit: seconds above which it is too old.
    """

    def __init__(self, issuer: str, age: Callable[[], float | None], limit: float) -> None:
        """Set up.

        Args:
            issuer: for the logs.
            age: seconds since everything was known; ``None`` when it never was.
            limit: seconds above which it is too old.
        """
        self.stale = True
        self._issuer = issuer
        self._age = age
        self.limit = limit

    def look(self) -> None:
        """Look, and say what has changed."""
        age = self._age()
        before, self.stale = self.stale, is_stale(age, self.limit)
        told = {"issuer": self._issuer, "age_seconds": None if age is None else round(age, 3), "limit": self.limit}
        if self.stale and not before:
            log.warning("agent_stale", extra=told)
        elif before and not self.stale:
            log.info("agent_fresh", extra=told)

    async def run(self) -> None:
        """Look each second, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)


def is_stale(age: float | None, limit: float) -> bool:
    """Whether knowledge of this age is too old: so is what was never complete. Both in seconds."""
    return age is None or not age <= limit
