"""What processes have not given back, told apart from what they held for a moment."""

from collections.abc import Mapping
from typing import Final

from tests.faults.footprint import Footprint

MEGABYTE: Final = 1 << 20


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
