"""What only a folder can do wrong."""

import asyncio
import os
import resource
import shutil
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.test_state_store import OTHER, SNAPSHOT, event
from verifier_agent.errors import StoreUnavailable
from verifier_agent.saved import SavedState
from verifier_agent.saved.disk import DiskStore

NOBODY = 65_534


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Not made yet."""
    return tmp_path / "a" / "state"


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[DiskStore]:
    """A store in the folder."""
    made = DiskStore(folder)
    yield made
    await made.close()


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, which no folder withstands."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """As on a disk that is full from there on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def loaded(store: DiskStore) -> SavedState:
    snapshot, events = await store.load()
    return SavedState(snapshot, list(events))


def code(refused: pytest.ExceptionInfo[StoreUnavailable]) -> str:
    return refused.value.code


async def test_nobody_else_may_read_what_is_saved(store: DiskStore, folder: Path) -> None:
    await store.replace(SNAPSHOT, [event(1)])
    await store.append([event(2)])

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {
        "tocsin.state": 0o600,
        "tocsin.lock": 0o600,
    }


async def test_a_line_that_was_cut_off_is_dropped_and_spoils_none_that_follows(store: DiskStore, folder: Path) -> None:
    await store.replace(SNAPSHOT, [event(1), event(2)])
    file = folder / "tocsin.state"
    whole = file.read_bytes()
    for cut in range(1, len(b"revocations e30.2.c2ln\n")):
        file.write_bytes(whole[:-cut])
        assert await loaded(store) == (SNAPSHOT, [event(1)])
        await store.append([event(3)])
        assert await loaded(store) == (SNAPSHOT, [event(1), event(3)])


async def test_of_a_file_that_was_cut_before_its_events_nothing_is_used(store: DiskStore, folder: Path) -> None:
    await store.replace(OTHER, [event(1)])
    file = folder / "tocsin.state"
    whole = file.read_bytes()
    for length in range(whole.index(b"revocations") - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(StoreUnavailable) as refused:
            await store.load()
        assert code(refused) == "damaged"
    await store.append([event(2)])

    assert await loaded(store) == (None, [event(2)])


async def test_a_file_of_another_version_is_not_read(store: DiskStore, folder: Path) -> None:
    await store.replace(SNAPSHOT, [])
    file = folder / "tocsin.state"
    file.write_bytes(file.read_bytes().replace(b"tocsin-state 1 ", b"tocsin-state 2 ", 1))

    with pytest.raises(StoreUnavailable, match="of version 2; this program has 1"):
        await store.load()
    await store.replace(OTHER, [])
    assert await loaded(store) == (OTHER, [])


async def test_lines_that_are_none_of_ours_are_passed_over(store: DiskStore, folder: Path) -> None:
    await store.replace(None, [event(1)])
    with (folder / "tocsin.state").open("ab") as file:
        file.write(b"\n\nunknown e30.9.c2ln\nrevocations\n\xff\xfe \xff\n")
    await store.append([event(2)])

    assert await loaded(store) == (None, [event(1), event(2)])


async def test_a_second_agent_reads_and_does_not_write_until_the_first_has_ended(
    store: DiskStore, folder: Path
) -> None:
    await store.replace(SNAPSHOT, [event(1)])
    second = DiskStore(folder)

    assert await loaded(second) == (SNAPSHOT, [event(1)])
    for writing in (second.append([event(2)]), second.replace(OTHER, [])):
        with pytest.raises(StoreUnavailable) as refused:
            await writing
        assert code(refused) == "in_use"
    assert await loaded(store) == (SNAPSHOT, [event(1)])
    await store.close()
    await second.append([event(3)])
    assert await loaded(second) == (SNAPSHOT, [event(1), event(3)])
    await second.close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
async def test_a_child_process_does_not_hold_its_parents_folder(store: DiskStore, folder: Path) -> None:
    await store.append([event(1)])
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)  # until the parent has ended what it does
        os._exit(0)
    try:
        await store.close()
        successor = DiskStore(folder)
        await successor.append([event(2)])
        await successor.close()
    finally:
        os.close(writing)
        os.close(reading)
        await asyncio.to_thread(os.waitpid, child, 0)


async def test_a_full_disk_leaves_what_was_saved_and_is_level_again_by_itself(store: DiskStore, folder: Path) -> None:
    await store.replace(SNAPSHOT, [event(1)])
    size = (folder / "tocsin.state").stat().st_size
    with files_up_to(size + 10):
        for writing in (store.append([event(2)]), store.replace(SNAPSHOT, [event(2), event(3)])):
            with pytest.raises(StoreUnavailable) as refused:
                await writing
            assert code(refused) == "efbig"
    assert (folder / "tocsin.state").stat().st_size == size
    assert await loaded(store) == (SNAPSHOT, [event(1)])
    await store.append([event(3)])

    assert await loaded(store) == (SNAPSHOT, [event(1), event(3)])
    assert sorted(file.name for file in folder.iterdir()) == ["tocsin.lock", "tocsin.state"]


async def test_a_folder_that_may_not_be_written_is_told_and_still_read(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    made = DiskStore(folder)
    await made.replace(SNAPSHOT, [event(1)])
    await made.close()
    for path in (*tmp_path.parents[:3], tmp_path, folder, *folder.iterdir()):
        if path.stat().st_mode & 0o555 != 0o555:
            path.chmod(path.stat().st_mode | 0o555)
    store = DiskStore(folder)
    with as_nobody():
        assert await loaded(store) == (SNAPSHOT, [event(1)])
        with pytest.raises(StoreUnavailable) as refused:
            await store.append([event(2)])
    assert code(refused) in {"eacces", "eperm"}
    await store.append([event(3)])
    await store.close()


async def test_a_folder_that_vanished_is_made_again(store: DiskStore, folder: Path) -> None:
    await store.replace(SNAPSHOT, [event(1)])
    shutil.rmtree(folder)
    assert await loaded(store) == (None, [])
    await store.append([event(2)])
    assert await loaded(store) == (None, [event(2)])

    shutil.rmtree(folder)
    folder.write_bytes(b"")
    for attempt in (store.append([event(3)]), store.load()):
        with pytest.raises(StoreUnavailable) as refused:
            await attempt
        assert code(refused) in {"eexist", "enotdir"}
    folder.unlink()
    await store.append([event(3)])
    assert await loaded(store) == (None, [event(3)])


async def test_a_folder_that_was_exchanged_is_another_agents_when_that_has_it(store: DiskStore, folder: Path) -> None:
    await store.append([event(1)])
    folder.rename(folder.with_name("before"))
    other = DiskStore(folder)
    await other.append([event(2)])

    with pytest.raises(StoreUnavailable) as refused:
        await store.append([event(3)])
    assert code(refused) == "in_use"
    await other.close()
    await store.append([event(4)])
    assert await loaded(store) == (None, [event(2), event(4)])


async def test_an_event_that_would_be_two_lines_is_a_mistake(store: DiskStore) -> None:
    with pytest.raises(ValueError, match="one line"):
        await store.append([event(1)._replace(data=b"a\nrevocations b")])
