"""What processes have not given back, told apart from what they held for a moment."""

from collections.abc import Mapping
from typing import Final, Self

from tests.faults.footprint import Footprint
from tests.faults.system import System

MEGABYTE: Final = 1 << 20
GIVEN_BACK_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.5


class Leaks:
    """Looks again and again at what processes hold.

    What leaks stays, so it is there in every look. A connection that is just being closed, a question to Redis that is
    under way: each is there in some look, and on a busy machine there may be no look without any of them. So of each
    name the fewest count that were ever seen.
    """

    def __init__(self, before: Mapping[str, Footprint], bounds: Mapping[str, int]) -> None:
        """Set up.

        Args:
            before: what each process held, by its name.
            bounds: see ``Footprint.beyond``.
        """
        self._before = before
        self._bounds = bounds
        self._least: dict[str, Footprint] = {}

    def look(self, now: Mapping[str, Footprint]) -> bool:
        """Take in what all of them hold now; whether everything has been given back."""
        self._least = {name: held.least(self._least.get(name, held)) for name, held in now.items()}
        return not self.found

    @classmethod
    async def of(cls, system: System, before: Mapping[str, Footprint], at_rest_seconds: float) -> Self:
        """What an installation has not given back, after some time to do so.

        An agent that reads its second log, as it says itself, holds a connection for that, and the issuer one for it.

        Args:
            system: which.
            before: what it held.
            at_rest_seconds: how long to wait until every agent reads its first log alone again.
        """
        leaks = cls(before, system.bounds())

        async def given_back() -> bool:
            return leaks.look(await system.footprints())

        await system.until(system.at_rest, at_rest_seconds, pause=LOOK_SECONDS)
        await system.until(given_back, GIVEN_BACK_SECONDS, pause=LOOK_SECONDS)
        return leaks

    @property
    def found(self) -> list[str]:
        """What there was too much of in every look, in words."""
        return [
            f"{name}: {each}"
            for name, held in self._least.items()
            for each in held.beyond(self._before[name], self._bounds)
        ]

    @property
    def grown(self) -> float:
        """By how many megabytes that process has grown that has grown the most."""
        grown = ((held.memory - self._before[name].memory) / MEGABYTE for name, held in self._least.items())
        return max(grown, default=0.0)
