"""What was found by name, and which names are known to be nobody's: for a while, and within bounds. No I/O."""

from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from typing import Final, Generic, Literal, NamedTuple, TypeVar

from verifier_agent.expiring_names import ExpiringNames

T = TypeVar("T")

LIFE: Final = 30.0
ABSENT_LIFE: Final = 5.0
SIZE: Final = 10_000
ABSENT_SIZE: Final = 4_096


class Unknown(Enum):
    """Neither held nor known to be absent."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


class _Held(NamedTuple, Generic[T]):
    value: T
    end: float


class Remembered(Generic[T]):
    """Values by name, the least used going first, and apart from them the names that have none.

    Anybody can make up names that are nobody's. They have a room of their own, so that no number of them displaces a
    value.
    """

    def __init__(
        self,
        random: Callable[[], float],
        *,
        life: float = LIFE,
        absent_life: float = ABSENT_LIFE,
        size: int = SIZE,
        absent_size: int = ABSENT_SIZE,
    ) -> None:
        """Know nothing.

        Args:
            random: 0 to 1; what is kept at one moment must not come to its end at one moment.
            life: seconds that a value is held at most; at least half of that, by chance.
            absent_life: the same of a name that has none.
            size: most values.
            absent_size: most names that have none.
        """
        self._random = random
        self._life = life
        self._absent_life = absent_life
        self._size = size
        self._held: OrderedDict[str, _Held[T]] = OrderedDict()
        self._absent = ExpiringNames(absent_size)

    @property
    def sizes(self) -> tuple[int, int]:
        """How many are held: values, and names that have none."""
        return len(self._held), len(self._absent)

    def recall(self, name: str, now: float) -> T | Literal[Unknown.UNKNOWN] | None:
        """The value of ``name``; ``None`` when it is known to have none."""
        held = self._held.get(name)
        if held is None:
            return None if self._absent.holds(name, now) else UNKNOWN
        if now >= held.end:
            del self._held[name]
            return UNKNOWN
        self._held.move_to_end(name)
        return held.value

    def keep(self, name: str, value: T | None, asked: float) -> None:
        """Hold what was found.

        Args:
            name: that was asked for.
            value: ``None`` for nothing.
            asked: when, by the clock of ``recall``; from then on it grows old, not from when the answer came.
        """
        self.drop(name)
        spread = 0.5 + self._random() / 2
        if value is None:
            self._absent.add(name, asked + self._absent_life * spread)
            return
        while len(self._held) >= self._size:
            self._held.popitem(last=False)
        self._held[name] = _Held(value, asked + self._life * spread)

    def drop(self, name: str) -> None:
        """Let go of what is known of ``name``."""
        self._held.pop(name, None)
        self._absent.drop(name)

    def clear(self) -> None:
        """Let go of everything."""
        self._held.clear()
        self._absent.clear()
