"""A rate: so many a second for as long as you like, and so many at once."""

import re
from typing import Final, Self

import msgspec

OFF: Final = "off"
_WRITTEN: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*/\s*(s|m|h)(?:\s+burst\s+(\d{1,9}))?")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """How often something may happen.

    Attributes:
        interval: seconds between two, for ever.
        burst: how many may come at once after a pause.
    """

    interval: float
    burst: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """What a setting says: ``50/s burst 500``, ``30/m``, or ``off`` for none; without ``burst`` a second's worth.

        Raises:
            ValueError: it is no rate.
        """
        if text.strip().lower() == OFF:
            return None
        found = _WRITTEN.fullmatch(text.strip())
        per_second = float(found[1]) / _SECONDS[found[2]] if found else 0.0
        burst = int(found[3]) if found and found[3] else max(1, round(per_second))
        if not per_second or burst < 1:
            raise ValueError(f"{text!r} is no rate; write '50/s burst 500', '30/m' or 'off'")
        return cls(interval=1 / per_second, burst=burst)
