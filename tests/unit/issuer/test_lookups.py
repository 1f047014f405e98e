"""Looking up: one question for all who miss at once, and no old answer after a change."""

import asyncio
from typing import Any

import pytest

from issuer.errors import StoreUnavailable
from issuer.lookups import Changes, Kind, Lookups, Remembered
from tests.simulator import FakeClock

CALLERS = 1000


class SlowStore:
    """A store that answers when it is told to, with what it had when it was asked."""

    def __init__(self, **rows: str) -> None:
        self.rows: dict[str, str] = rows
        self.asked: list[str] = []
        self.failing = False
        self.answering = asyncio.Event()

    async def load(self, name: str) -> str | None:
        self.asked.append(name)
        failing, row = self.failing, self.rows.get(name)
        await self.answering.wait()
        if failing:
            raise StoreUnavailable("away")
        return row


class Setting:
    """Look-ups over a store, by a clock that stands still."""

    def __init__(self, **rows: str) -> None:
        self.clock = FakeClock()
        self.store = SlowStore(**rows)
        self.lookups = Lookups(Remembered[str](lambda: 1.0), self.clock.boot)

    def ask(self, name: str) -> "asyncio.Task[str | None]":
        return asyncio.create_task(self.lookups.find(name, self.store.load))

    async def find(self, name: str) -> str | None:
        self.store.answering.set()
        return await self.lookups.find(name, self.store.load)


async def asked(setting: Setting, count: int) -> None:
    """Wait until the store has been asked so often."""
    while len(setting.store.asked) < count:  # noqa: ASYNC110 - a fake tells nobody
        await asyncio.sleep(0)


async def test_a_thousand_who_miss_the_same_at_once_cost_one_question() -> None:
    setting = Setting(web="W")
    callers = [setting.ask("web") for _ in range(CALLERS)]
    await asked(setting, 1)
    setting.store.answering.set()

    assert set(await asyncio.gather(*callers)) == {"W"}
    assert await setting.find("web") == "W"
    assert setting.store.asked == ["web"]
    lookups = setting.lookups
    assert (lookups.misses, lookups.waits, lookups.hits, lookups.empty_hits) == (1, CALLERS - 1, 1, 0)


async def test_a_thousand_who_ask_for_nobody_cost_one_question() -> None:
    setting = Setting()
    callers = [setting.ask("nobody") for _ in range(CALLERS)]
    await asked(setting, 1)
    setting.store.answering.set()

    assert set(await asyncio.gather(*callers)) == {None}
    assert await setting.find("nobody") is None
    assert setting.store.asked == ["nobody"]
    assert setting.lookups.empty_hits == 1


async def test_who_asked_first_and_leaves_takes_the_answer_from_nobody() -> None:
    setting = Setting(web="W")
    first, second = setting.ask("web"), setting.ask("web")
    await asked(setting, 1)
    first.cancel()
    await asyncio.sleep(0)
    setting.store.answering.set()

    assert await second == "W"
    assert first.cancelled()
    assert setting.store.asked == ["web"]


async def test_when_all_have_left_the_answer_is_kept_all_the_same() -> None:
    setting = Setting(web="W")
    callers = [setting.ask("web") for _ in range(3)]
    await asked(setting, 1)
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)

    assert await setting.find("web") == "W"
    assert setting.store.asked == ["web"]


async def test_a_failure_is_told_to_all_who_wait_and_is_not_kept() -> None:
    setting = Setting(web="W")
    setting.store.failing = True
    callers = [setting.ask("web") for _ in range(3)]
    await asked(setting, 1)
    setting.store.failing = False
    setting.store.answering.set()

    assert all(isinstance(each, StoreUnavailable) for each in await asyncio.gather(*callers, return_exceptions=True))
    assert await setting.find("web") == "W"
    assert setting.store.asked == ["web", "web"]


async def test_a_failure_that_nobody_waits_for_any_more_is_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    setting = Setting(web="W")
    setting.store.failing = True
    caller = setting.ask("web")
    await asked(setting, 1)
    caller.cancel()
    await asyncio.wait([caller])
    setting.store.answering.set()
    await asyncio.sleep(0)

    assert not recwarn.list


@pytest.mark.parametrize("way", ["drop", "clear"])
async def test_a_load_that_took_off_before_a_change_neither_stays_nor_is_joined_after_it(way: str) -> None:
    setting = Setting(web="before")
    early = setting.ask("web")
    await asked(setting, 1)

    setting.store.rows["web"] = "after"
    setting.lookups.drop("web") if way == "drop" else setting.lookups.clear()
    late = setting.ask("web")
    await asked(setting, 2)
    setting.store.answering.set()

    assert await early == "before"  # it asked before the change
    assert await late == "after"
    assert await setting.find("web") == "after"


async def test_an_old_load_that_lands_last_does_not_bring_the_old_value_back() -> None:
    setting = Setting(web="before")
    early = setting.ask("web")
    await asked(setting, 1)
    setting.store.rows["web"] = "after"
    setting.lookups.drop("web")
    slow, setting.store.answering = setting.store.answering, asyncio.Event()

    assert await setting.find("web") == "after"
    slow.set()

    assert await early == "before"
    assert await setting.find("web") == "after"


async def test_a_value_grows_old_from_when_it_was_asked_for() -> None:
    setting = Setting(web="W")
    caller = setting.ask("web")
    await asked(setting, 1)
    setting.clock.advance(29.0)
    setting.store.answering.set()
    await caller

    assert await setting.find("web") == "W"
    setting.clock.advance(1.0)
    await setting.find("web")

    assert setting.store.asked == ["web", "web"]


async def test_closing_ends_what_is_under_way_joined_or_not() -> None:
    setting = Setting(web="W")
    callers = [setting.ask("web")]
    await asked(setting, 1)
    setting.lookups.drop("web")
    callers.append(setting.ask("web"))
    await asked(setting, 2)

    await setting.lookups.close()

    assert all(
        isinstance(each, asyncio.CancelledError) for each in await asyncio.gather(*callers, return_exceptions=True)
    )


class Listener:
    """Look-ups that note what they are told to forget."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def drop(self, name: str) -> None:
        self.told.append(name)

    def clear(self) -> None:
        self.told.append("everything")


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        ([(7, "a")], ["everything"]),  # at the start nobody knows what came before
        ([(7, "a"), (7, "a")], ["everything"]),
        ([(7, "a"), (8, "b"), (9, "c")], ["everything", "b", "c"]),
        ([(7, "a"), (9, "c")], ["everything", "everything"]),  # the one between is not known
        ([(7, "a"), (3, "x")], ["everything", "everything"]),  # the store has gone back
        ([(7, "a"), (3, "x"), (4, "y")], ["everything", "everything", "y"]),
    ],
)
def test_of_one_change_what_changed_is_forgotten_and_of_several_everything(
    heard: list[tuple[int, str]], told: list[str]
) -> None:
    listener, other = Listener(), Listener()
    lookups: dict[Kind, Any] = {Kind.CLIENT: other, Kind.USER: listener}
    changes = Changes(lookups)

    for number, name in heard:
        changes.hear([1, "same", number, name])

    assert listener.told == told
    assert other.told == ["everything"]
