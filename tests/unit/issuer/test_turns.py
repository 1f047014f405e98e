"""Whose turn it is to write."""

import asyncio
from contextlib import suppress

from issuer.store.turns import IN_A_ROW, Turns


async def settled() -> None:
    """Every task has come to where it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


class Office:
    """People who wait for one turn each, and the order in which they had it."""

    def __init__(self, places: int = 1) -> None:
        self.turns = Turns(places)
        self.served: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    def come(self, name: str, *, urgent: bool = False) -> asyncio.Task[None]:
        task = asyncio.create_task(self._wait(name, urgent=urgent))
        self.tasks.append(task)
        return task

    async def _wait(self, name: str, *, urgent: bool) -> None:
        async with self.turns.turn(urgent=urgent):
            self.served.append(name)
            await asyncio.sleep(0)

    async def close(self) -> None:
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_the_urgent_pass_everybody_who_waits() -> None:
    office = Office()
    async with office.turns.turn():
        for number in range(1000):
            office.come(f"{number}")
        await settled()
        office.come("operator", urgent=True)
        await settled()
    await office.close()

    assert office.served[0] == "operator"
    assert office.served[1:] == [str(number) for number in range(1000)]


async def test_urgent_ones_without_end_let_somebody_else_have_a_turn() -> None:
    office = Office()
    async with office.turns.turn():
        office.come("patient")
        for number in range(3 * IN_A_ROW):
            office.come(f"{number}", urgent=True)
        await settled()
    await office.close()

    assert office.served.index("patient") == IN_A_ROW


async def test_who_is_cancelled_while_waiting_loses_no_place_for_others() -> None:
    office = Office()
    async with office.turns.turn():
        leaving = office.come("leaving", urgent=True)
        office.come("staying")
        await settled()
        leaving.cancel()
        await settled()
        assert office.turns.waiting == (0, 1)
    await office.close()

    assert office.served == ["staying"]


async def test_who_is_cancelled_in_the_moment_of_being_called_hands_the_place_on() -> None:
    office = Office()
    turn = office.turns.turn()
    await turn.__aenter__()
    leaving = office.come("leaving")
    office.come("staying")
    await settled()

    await turn.__aexit__(None, None, None)  # calls the first
    leaving.cancel()  # who has not heard it yet
    await office.close()

    assert office.served == ["staying"]
    async with asyncio.timeout(5), office.turns.turn():
        pass


async def test_as_many_as_there_are_places_are_in_at_once() -> None:
    turns, inside, most = Turns(3), 0, 0

    async def work() -> None:
        nonlocal inside, most
        async with turns.turn():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(50)))

    assert most == 3


async def test_an_error_inside_gives_the_place_back() -> None:
    turns = Turns(1)
    with suppress(RuntimeError):
        async with turns.turn():
            raise RuntimeError

    async with asyncio.timeout(5), turns.turn():
        pass
