"""Looking after workers: who died is started again, and not for ever."""

import asyncio
import signal
from collections.abc import Sequence
from typing import Any

import pytest

from tocsin.errors import CommandFailed
from tocsin.workers import restarts, supervisor
from tocsin.workers.restarts import HEALTHY_SECONDS, IN_A_ROW, LONGEST_SECONDS, Restarts
from tocsin.workers.supervisor import Supervisor
from tocsin.workers.worker import Worker


def test_who_dies_at_once_again_and_again_waits_longer_each_time_and_is_given_up() -> None:
    rule = Restarts()
    pauses = [rule.died(0.1) for _ in range(IN_A_ROW + 1)]

    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, None]


def test_who_has_lived_for_a_while_is_started_at_once_however_often_it_happens() -> None:
    rule = Restarts()
    for _ in range(100):
        assert rule.died(HEALTHY_SECONDS) == 0.2


def test_no_pause_is_longer_than_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "IN_A_ROW", 20)
    rule = Restarts()

    assert [rule.died(1.0) for _ in range(20)][-1] == LONGEST_SECONDS


class FakeWorker:
    """A worker that lives until a test ends it, or it is told to stop."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.announcement: dict[str, Any] = {"port": 1}
        self.told: list[int] = []
        self.ignores_signals = False
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def end(self, code: int) -> None:
        if not self._code.done():
            self._code.set_result(code)

    async def ended(self) -> int:
        return await asyncio.shield(self._code)

    def tell(self, number: signal.Signals) -> None:
        self.told.append(number)
        if not self.ignores_signals:
            self.end(0)

    async def kill(self) -> None:
        self.end(-9)


class Nursery:
    """Stands in for the operating system: makes workers, or fails to."""

    def __init__(self) -> None:
        self.made: list[FakeWorker] = []
        self.failing = False

    async def started(self, index: int, arguments: Sequence[str]) -> FakeWorker:
        assert list(arguments) == [f"worker {index}"]
        if self.failing:
            raise CommandFailed("it ended at once")
        self.made.append(FakeWorker(index))
        return self.made[-1]

    async def made_so_many(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.made) < count:  # noqa: ASYNC110 - the supervisor tells nobody
                await asyncio.sleep(0)


@pytest.fixture
def nursery(monkeypatch: pytest.MonkeyPatch) -> Nursery:
    nursery = Nursery()
    monkeypatch.setattr(Worker, "started", nursery.started)
    monkeypatch.setattr(restarts, "FIRST_SECONDS", 0.0)
    return nursery


def watched() -> tuple[Supervisor, "asyncio.Task[None]", "asyncio.Future[dict[str, Any]]"]:
    announced: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    parent = Supervisor(2, lambda index: [f"worker {index}"], stop_seconds=0.0)
    return parent, asyncio.create_task(parent.run(announced.set_result)), announced


async def test_a_signal_is_passed_on_and_when_all_have_ended_well_so_has_the_parent(nursery: Nursery) -> None:
    parent, running, announced = watched()
    assert await announced == {"port": 1}

    parent._stopping()
    await running

    assert [worker.told for worker in nursery.made] == [[signal.SIGTERM]] * 2


async def test_a_worker_that_dies_is_started_again_and_the_others_are_left_alone(nursery: Nursery) -> None:
    parent, running, announced = watched()
    await announced
    nursery.made[1].end(-9)
    await nursery.made_so_many(3)

    assert nursery.made[2].index == 1
    assert nursery.made[0].told == []
    parent._stopping()
    await running


async def test_a_worker_that_dies_again_and_again_ends_all_of_it_with_a_fault(nursery: Nursery) -> None:
    _, running, announced = watched()
    await announced
    for died in range(IN_A_ROW + 1):
        await nursery.made_so_many(2 + died)
        nursery.made[-1].end(1)

    with pytest.raises(CommandFailed, match="worker 1 died again and again"):
        await running
    assert nursery.made[0].told == [signal.SIGTERM]


async def test_a_worker_that_cannot_be_started_again_is_given_up_as_well(nursery: Nursery) -> None:
    _, running, announced = watched()
    await announced
    nursery.failing = True
    nursery.made[1].end(1)

    with pytest.raises(CommandFailed, match="again and again"):
        await running


async def test_a_worker_that_does_not_stop_is_killed_and_that_is_a_fault(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "MARGIN_SECONDS", 0.0)
    parent, running, announced = watched()
    await announced
    nursery.made[0].ignores_signals = True
    parent._stopping()

    with pytest.raises(CommandFailed, match="worker 0 ended with exit code -9"):
        await running


async def test_when_the_first_does_not_start_none_is_left(nursery: Nursery) -> None:
    nursery.failing = True
    _, running, _ = watched()

    with pytest.raises(CommandFailed, match="it ended at once"):
        await running
    assert nursery.made == []
