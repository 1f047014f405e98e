"""What is made of Consul's answers: changes, faults, and a store that has lost its data."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from verifier_agent.consul import ConsulPlace, ConsulUnavailable
from verifier_agent.consul.connection import ConsulConnection, Folder
from verifier_agent.consul.watch import MAX_VALUES, FolderWatch


class Scripted(ConsulConnection):
    """Answers in turn, then never.

    Attributes:
        answers: what it will answer.
        asked: the index that each query waited for.
    """

    def __init__(self, *answers: Folder | ConsulUnavailable) -> None:
        super().__init__(ConsulPlace(host="nowhere"))
        self.answers = list(answers)
        self.asked: list[int | None] = []
        self.done = asyncio.Event()

    async def folder(self, folder: str, *, index: int | None = None, wait: float = 0.0) -> Folder:  # noqa: ARG002 - as asked
        self.asked.append(index)
        if not self.answers:
            self.done.set()
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, ConsulUnavailable):
            raise answer
        return answer


def holding(index: int, **values: str) -> Folder:
    return Folder(index, {name: value.encode() for name, value in values.items()}, dict.fromkeys(values, index))


class Told:
    def __init__(self, *, good: bool = True) -> None:
        self.values: list[dict[str, str]] = []
        self.refused: list[str] = []
        self.good = good

    async def __call__(self, values: Mapping[str, str]) -> bool:
        self.values.append(dict(values))
        return self.good


def watching(connection: ConsulConnection, told: Told, cache: Path | None = None) -> FolderWatch:
    return FolderWatch(connection, "door", told, cache=cache, refuse=told.refused.append, chance=lambda *_: 0.0)


async def after(connection: Scripted, told: Told, cache: Path | None = None) -> FolderWatch:
    """The watch when everything has been answered."""
    watch = watching(connection, told, cache)
    await watch.recall()
    task = asyncio.create_task(watch.run())
    async with asyncio.timeout(20):
        await connection.done.wait()
    task.cancel()
    await asyncio.wait([task])
    return watch


async def test_a_change_is_told_and_an_answer_without_one_is_not() -> None:
    connection, told = Scripted(holding(5, a="1"), holding(9, a="1"), holding(12, a=" 2\n", b="x")), Told()

    await after(connection, told)

    assert told.values == [{"a": "1"}, {"a": "2", "b": "x"}]
    assert connection.asked == [None, 5, 9, 12]


async def test_an_empty_folder_is_told_at_first_and_when_somebody_has_emptied_it() -> None:
    connection, told = Scripted(holding(5), holding(7, a="1"), holding(9)), Told()

    watch = await after(connection, told)

    assert told.values == [{}, {"a": "1"}, {}]
    assert not watch.emptied


async def test_after_a_fault_it_starts_over_and_nothing_is_told_twice() -> None:
    connection = Scripted(holding(5, a="1"), ConsulUnavailable("x"), ConsulUnavailable("y"), holding(5, a="1"))
    told = Told()

    watch = await after(connection, told)

    assert told.values == [{"a": "1"}]
    assert connection.asked == [None, 5, None, None, 5]
    assert watch.error is None


async def test_a_store_that_has_lost_its_data_changes_nothing_until_something_is_there() -> None:
    connection = Scripted(holding(50, a="1"), holding(4), holding(6), holding(9, a="2"))
    told = Told()

    watch = await after(connection, told)

    assert told.values == [{"a": "1"}, {"a": "2"}]
    assert connection.asked == [None, 50, None, 6, 9], "an index that went back is not waited for"
    assert not watch.emptied


async def test_what_was_good_is_kept_for_a_start_without_consul(tmp_path: Path) -> None:
    cache = tmp_path / "made" / "consul.json"
    await after(Scripted(holding(5, a="1")), Told(), cache)
    told = Told()

    await after(Scripted(ConsulUnavailable("away"), holding(3)), told, cache)

    assert told.values == [{"a": "1"}], "and a Consul that has lost its data meanwhile does not take it away"
    assert cache.stat().st_mode & 0o777 == 0o600


async def test_what_was_refused_is_not_kept(tmp_path: Path) -> None:
    cache = tmp_path / "consul.json"

    await after(Scripted(holding(5, a="bad")), Told(good=False), cache)

    assert not cache.exists()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"index": "x"}'])
async def test_a_cache_that_is_none_is_passed_over(tmp_path: Path, content: bytes) -> None:
    cache, told = tmp_path / "consul.json", Told()
    cache.write_bytes(content)

    await after(Scripted(holding(5, a="1")), told, cache)

    assert told.values == [{"a": "1"}]


async def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = Told()

    await after(Scripted(holding(5, a="1"), holding(6, a="2")), told, tmp_path / "file" / "consul.json")

    assert told.values == [{"a": "1"}, {"a": "2"}]


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        (Folder(5, {"a": b"\xff"}, {"a": 5}), "the value of 'a' is no text"),
        (holding(5, **{f"n{number}": "1" for number in range(MAX_VALUES + 1)}), "at most 200 are read"),
    ],
)
async def test_what_cannot_be_read_is_refused_in_words(folder: Folder, words: str) -> None:
    told = Told()

    await after(Scripted(folder), told)

    assert told.values == []
    assert words in told.refused[0]
