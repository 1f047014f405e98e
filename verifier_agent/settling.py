"""Makes look-ups fast again after a mass revocation, when there is time for it.

All of it is in force before, so what is new is heard first. One task for each agent does it, whatever its logs do.
"""

import asyncio
from typing import Final

from verifier_agent.revocations import RevocationIndex

QUIET_SECONDS: Final = 0.25
"""Without anything new, until there is time."""
PATIENCE_SECONDS: Final = 2.0
"""After so long it is done, however much comes."""


class Settling:
    """Of one agent. One task runs it and owns it."""

    def __init__(self, revocations: RevocationIndex) -> None:
        """Set up.

        Args:
            revocations: what is settled.
        """
        self._revocations = revocations
        self._heard = asyncio.Event()
        self._heard_at = 0.0

    def wake(self) -> None:
        """Something has been applied."""
        self._heard_at = asyncio.get_running_loop().time()
        self._heard.set()

    async def run(self) -> None:
        """Settle whenever there is something to settle, until cancelled."""
        self._heard_at = asyncio.get_running_loop().time()  # what was restored waits for what is new as well
        while True:
            await self._settle()
            self._heard.clear()
            await self._heard.wait()

    async def _settle(self) -> None:
        """Wait for a moment of quiet, and do what there is, about a millisecond at a time."""
        loop = asyncio.get_running_loop()
        latest = loop.time() + PATIENCE_SECONDS
        while not self._revocations.is_settled:
            pause = min(self._heard_at + QUIET_SECONDS, latest) - loop.time()
            if pause <= 0:
                self._revocations.settle()
            await asyncio.sleep(max(pause, 0.0))  # others have their turn after each step
