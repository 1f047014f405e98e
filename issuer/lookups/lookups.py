"""Looking up through what is remembered: of many who miss the same at once, one asks the store for all of them."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

from issuer.lookups.remembered import UNKNOWN, Remembered

T = TypeVar("T")

Load = Callable[[str], Awaitable[T | None]]
"""Asks the store, which answers or fails within its own time-out."""


class Lookups(Generic[T]):
    """One kind of thing, by name. What it gives is shared: nobody may change it.

    Attributes:
        hits: answered with a value that was held.
        empty_hits: answered that there is none, without asking.
        misses: asked the store.
        waits: waited for somebody else's question.
        drops: how often something was let go of because it had, or might have, changed.
    """

    def __init__(self, remembered: Remembered[T], now: Callable[[], float]) -> None:
        """Set up.

        Args:
            remembered: holds what was found.
            now: seconds, by a clock that nobody sets.
        """
        self.hits = self.empty_hits = self.misses = self.waits = self.drops = 0
        self._remembered = remembered
        self._now = now
        self._flights: dict[str, asyncio.Future[T | None]] = {}
        self._under_way: set[asyncio.Future[T | None]] = set()  # those that nobody joins any more too

    @property
    def sizes(self) -> tuple[int, int]:
        """How many are held: values, and names that have none."""
        return self._remembered.sizes

    async def find(self, name: str, load: Load[T]) -> T | None:
        """The value of ``name``, held or loaded; ``None`` when there is none.

        The load is a task of its own: whoever stops waiting ends nobody else's. What it raises all who wait get, and
        nothing is kept of it.
        """
        now = self._now()
        found = self._remembered.recall(name, now)
        if found is not UNKNOWN:
            if found is None:
                self.empty_hits += 1
            else:
                self.hits += 1
            return found
        flight = self._flights.get(name)
        if flight is None:
            self.misses += 1
            flight = asyncio.ensure_future(load(name))
            self._flights[name] = flight
            self._under_way.add(flight)
            flight.add_done_callback(partial(self._land, name, now))  # before those who wait are woken
        else:
            self.waits += 1
        return await asyncio.shield(flight)

    def drop(self, name: str) -> None:
        """Forget ``name``.

        A load that is under way may have read what was before: nobody joins it any more, and nothing is kept of it.
        """
        self.drops += 1
        self._remembered.drop(name)
        self._flights.pop(name, None)

    def clear(self) -> None:
        """Forget everything, as ``drop`` does."""
        self.drops += 1
        self._remembered.clear()
        self._flights.clear()

    async def close(self) -> None:
        """End what is under way."""
        ending = list(self._under_way)
        for flight in ending:
            flight.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def _land(self, name: str, asked: float, flight: "asyncio.Future[T | None]") -> None:
        self._under_way.discard(flight)
        failed = flight.cancelled() or flight.exception() is not None  # looked at, for nobody may be waiting any more
        if self._flights.get(name) is not flight:
            return  # it took off before a change
        del self._flights[name]
        if not failed:
            self._remembered.keep(name, flight.result(), asked)
