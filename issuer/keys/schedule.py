"""When keys are rotated by the calendar: ``03:00`` each day, or ``Sun 03:00`` each week, in UTC."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FORM: Final = re.compile(r"(?:(Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?([01][0-9]|2[0-3]):([0-5][0-9])")


class Schedule(msgspec.Struct, frozen=True):
    """A moment of each day or week.

    Attributes:
        weekday: 0 for Monday to 6; ``None`` for each day.
        minute: of the day, UTC.
    """

    weekday: int | None
    minute: int

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """What a setting says.

        Raises:
            ValueError: it is no such moment.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no moment of a day or week; write 03:00 or Sun 03:00 (UTC)")
        day, hour, minute = found.groups()
        return cls(None if day is None else DAYS.index(day), int(hour) * 60 + int(minute))

    def newest(self, now: float) -> float:
        """The last such moment that is not after ``now``; both in seconds since the epoch."""
        today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        days_back = 0 if self.weekday is None else (today.weekday() - self.weekday) % 7
        moment = today + timedelta(minutes=self.minute) - timedelta(days=days_back)
        if moment.timestamp() > now:
            moment -= timedelta(days=1 if self.weekday is None else 7)
        return moment.timestamp()

    def __str__(self) -> str:
        time = f"{self.minute // 60:02}:{self.minute % 60:02}"
        return time if self.weekday is None else f"{DAYS[self.weekday]} {time}"
