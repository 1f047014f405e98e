"""What is remembered of look-ups: against a plain model, and within its bounds whatever anybody asks for."""

from typing import Final

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from issuer.lookups import Remembered
from issuer.lookups.remembered import UNKNOWN

LIFE: Final = 30.0
ABSENT_LIFE: Final = 5.0
ROOM: Final = 3
ABSENT_ROOM: Final = 2
NAMES: Final = st.sampled_from("abcde")


class AsTheModel(RuleBasedStateMachine):
    """The model keeps, in plain lists, who was used last and until when everything is good."""

    @initialize()
    def begin(self) -> None:
        self.now, self.chance = 100.0, 0.0
        self.remembered = Remembered[int](
            lambda: self.chance, life=LIFE, absent_life=ABSENT_LIFE, size=ROOM, absent_size=ABSENT_ROOM
        )
        self.held: list[tuple[str, int, float]] = []
        self.absent: list[tuple[str, float]] = []

    @rule(name=NAMES, value=st.none() | st.integers(), chance=st.floats(0, 1), ago=st.floats(0, 3))
    def keep(self, name: str, value: int | None, chance: float, ago: float) -> None:
        self.chance = chance
        self.remembered.keep(name, value, self.now - ago)
        self._forget(name)
        if value is None:
            end = self.now - ago + ABSENT_LIFE * (0.5 + chance / 2)
            self.absent = [*self.absent, (name, end)][-ABSENT_ROOM:]
        else:
            self.held = [*self.held, (name, value, self.now - ago + LIFE * (0.5 + chance / 2))][-ROOM:]

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=NAMES)
    def drop(self, name: str) -> None:
        self.remembered.drop(name)
        self._forget(name)

    @rule()
    def clear(self) -> None:
        self.remembered.clear()
        self.held, self.absent = [], []

    @rule(name=NAMES)
    def recall(self, name: str) -> None:
        found = self.remembered.recall(name, self.now)
        assert found == self._known(name)
        entry = next((each for each in self.held if each[0] == name), None)
        if entry is not None:
            self.held.remove(entry)
            if self.now < entry[2]:
                self.held.append(entry)  # it was used, so others go first
        self.absent = [each for each in self.absent if each[0] != name or self.now < each[1]]

    @invariant()
    def there_is_never_more_than_there_is_room_for(self) -> None:
        values, absent = self.remembered.sizes
        assert values <= ROOM
        assert absent <= ABSENT_ROOM

    def _known(self, name: str) -> object:
        for held, value, end in self.held:
            if held == name and self.now < end:
                return value
        return None if any(each == name and self.now < end for each, end in self.absent) else UNKNOWN

    def _forget(self, name: str) -> None:
        self.held = [each for each in self.held if each[0] != name]
        self.absent = [each for each in self.absent if each[0] != name]


test_it_remembers_what_a_plain_model_does = AsTheModel.TestCase


def test_any_number_of_names_that_are_nobodys_takes_the_place_of_no_value() -> None:
    remembered = Remembered[str](lambda: 1.0, size=3, absent_size=100)
    for name in ("web", "shop", "robot"):
        remembered.keep(name, name.upper(), 0.0)

    for number in range(10_000):
        remembered.keep(f"made up {number}", None, 0.0)

    assert remembered.sizes == (3, 100)
    assert [remembered.recall(name, 1.0) for name in ("web", "shop", "robot")] == ["WEB", "SHOP", "ROBOT"]


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 15), (0.5, 22.5), (1.0, 30)])
def test_what_was_kept_at_one_moment_ends_at_different_ones(chance: float, seconds: float) -> None:
    remembered = Remembered[str](lambda: chance, life=30)
    remembered.keep("web", "W", 100.0)

    assert remembered.recall("web", 100 + seconds - 0.01) == "W"
    assert remembered.recall("web", 100 + seconds) is UNKNOWN


def test_when_there_is_no_room_left_the_value_that_was_not_used_for_longest_goes() -> None:
    remembered = Remembered[str](lambda: 1.0, size=2)
    remembered.keep("web", "W", 0.0)
    remembered.keep("shop", "S", 0.0)
    assert remembered.recall("web", 1.0) == "W"

    remembered.keep("robot", "R", 1.0)

    assert [remembered.recall(name, 1.0) for name in ("web", "shop", "robot")] == ["W", UNKNOWN, "R"]
