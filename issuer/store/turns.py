"""Whose turn it is to write: what cannot wait goes first, and nobody waits for ever."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

IN_A_ROW: Final = 8
"""Urgent turns that may pass somebody who waits, until that one has a turn too."""


class Turns:
    """A number of places, and two queues before them.

    Who waits in the urgent one passes all who wait in the other, but after ``IN_A_ROW`` of them one of the others goes:
    an operator who revokes without a pause must not keep tokens from being issued.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._ordinary: deque[asyncio.Future[None]] = deque()
        self._passed = 0  # how often, in a row, somebody was passed

    @property
    def waiting(self) -> tuple[int, int]:
        """How many wait: urgently, and otherwise."""
        return len(self._urgent), len(self._ordinary)

    @asynccontextmanager
    async def turn(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """Wait for a place, and have it for as long as the block lasts."""
        await self._come(self._urgent if urgent else self._ordinary)
        try:
            yield
        finally:
            self._free += 1
            self._call()

    async def _come(self, queue: deque[asyncio.Future[None]]) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(mine)
        self._call()
        try:
            await mine
        except asyncio.CancelledError:
            if mine.cancelled():
                with suppress(ValueError):  # it has been passed over already
                    queue.remove(mine)
            else:  # called in the very moment in which it was cancelled: the place is another's
                self._free += 1
                self._call()
            raise

    def _call(self) -> None:
        """Give what places are free to who is next."""
        while self._free and (queue := self._next()) is not None:
            called = queue.popleft()
            if not called.done():
                self._free -= 1
                called.set_result(None)

    def _next(self) -> deque[asyncio.Future[None]] | None:
        if self._urgent and not (self._ordinary and self._passed >= IN_A_ROW):
            self._passed += bool(self._ordinary)
            return self._urgent
        self._passed = 0
        return self._ordinary or None
