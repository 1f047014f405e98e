"""When a worker that died is started again: a rule without I/O."""

from typing import Final

FIRST_SECONDS: Final = 0.2
LONGEST_SECONDS: Final = 10.0
HEALTHY_SECONDS: Final = 30.0
"""Who has lived so long did not die of how it was started."""
IN_A_ROW: Final = 5
"""Deaths soon after the start; after one more nobody believes that the next start will do."""


class Restarts:
    """Deaths of one worker."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def died(self, lived: float) -> float | None:
        """Seconds to wait before the next start; ``None``: it is given up.

        Args:
            lived: seconds from its start to its end.
        """
        if lived >= HEALTHY_SECONDS:
            self._in_a_row = 0
        self._in_a_row += 1
        if self._in_a_row > IN_A_ROW:
            return None
        return float(min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** (self._in_a_row - 1)))
