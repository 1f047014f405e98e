"""Whose turn it is to log in: a few at once, others wait in a line of bounded length, and who finds it full is told.

A password takes a tenth of a second of several cores to look at, and there is no end to how many can be sent. Whoever
waits here has cost nothing but a look at the throttle: no transaction that writes, and no memory for a hash.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from issuer.errors import OAuthError
from issuer.store.turns import Turns
from issuer.users.passwords import AT_ONCE

AT_WORK: Final = AT_ONCE + 1
"""One more than there are hashes made at once: meanwhile it is looked up and counted."""
MOST_WAITING: Final = 256
RETRY_SECONDS: Final = 10.0
"""After which half of a full line is gone on a machine of two cores."""


class LoginQueue:
    """The line of one process.

    Attributes:
        refused: logins that found it full.
    """

    def __init__(self, at_work: int = AT_WORK, most_waiting: int = MOST_WAITING) -> None:
        """Set up.

        Args:
            at_work: logins that are looked at at once.
            most_waiting: how many wait at most.
        """
        self.refused = 0
        self._turns = Turns(at_work)
        self._most_waiting = most_waiting

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(self._turns.waiting)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it for as long as the block lasts.

        Raises:
            OAuthError: 503 at once, with when to come again: too many wait already.
        """
        if self.waiting >= self._most_waiting:
            self.refused += 1
            raise OAuthError(
                "temporarily_unavailable", "too many people log in at once", status=503, retry_after=RETRY_SECONDS
            )
        async with self._turns.turn():
            yield
