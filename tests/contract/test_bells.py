"""How readers of a log in a file hear at once of what another process appends."""

import asyncio
import errno
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from events import Stream
from events.log import EventLog, open_log
from events.log.bell import Bell, ring

NEVER = 3600.0
SOON = 30.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of the log's file."""
    return tmp_path / "events.db"


@pytest.fixture
def bells(path: Path) -> Path:
    """Of the folder beside it."""
    return path.with_name("events.db-bells")


@pytest.fixture
async def reading(path: Path, bells: Path) -> AsyncIterator["asyncio.Task[list[bytes]]"]:
    """A reader who waits for the first entry, and has looked once."""
    log = open_log(f"sqlite:///{path}")
    task = asyncio.create_task(_first(log))
    await asyncio.sleep(0.3)
    yield task
    await log.close()
    assert not bells.exists() or not list(bells.iterdir())


async def _first(log: EventLog) -> list[bytes]:
    return [entry.data for entry in await log.read({Stream.REVOCATIONS: None}, wait=SOON)]


@pytest.fixture
def never_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers who go by their bell alone."""
    monkeypatch.setattr("events.log.bell.SAFETY_SECONDS", NEVER)
    monkeypatch.setattr("events.log.bell.POLL_SECONDS", NEVER)


@pytest.fixture
def no_named_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that has none."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "not here")

    monkeypatch.setattr(os, "mkfifo", refuse)


async def append(path: Path, data: bytes) -> None:
    log = open_log(f"sqlite:///{path}")
    await log.append(Stream.REVOCATIONS, [data])
    await log.close()


@pytest.mark.usefixtures("never_looking")
async def test_whoever_appends_wakes_who_waits(reading: "asyncio.Task[list[bytes]]", path: Path) -> None:
    await append(path, b"news")

    assert await reading == [b"news"]


@pytest.mark.usefixtures("no_named_pipes")
async def test_without_named_pipes_a_reader_looks_by_itself(
    reading: "asyncio.Task[list[bytes]]", path: Path, bells: Path
) -> None:
    await append(path, b"news")

    assert await reading == [b"news"]
    assert list(bells.iterdir()) == []


async def test_an_append_by_who_knows_of_no_bells_is_heard(reading: "asyncio.Task[list[bytes]]", path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO entries VALUES ('revocations', 0, ?, x'00')", (time.time(),))
    connection.close()

    assert await reading == [b"\0"]


async def test_what_a_process_has_left_that_is_no_more_is_cleared_away(bells: Path) -> None:
    bells.mkdir()
    os.mkfifo(bells / "left")
    ring(bells)

    assert list(bells.iterdir()) == []


async def test_nothing_is_written_to_what_is_no_bell(bells: Path, tmp_path: Path) -> None:
    bells.mkdir()
    precious = tmp_path / "precious"
    precious.write_text("as it was")
    (bells / "link").symlink_to(precious)
    (bells / "file").write_text("as it was")
    (bells / "folder").mkdir()
    ring(bells)

    assert [path.read_text() for path in (precious, bells / "file")] == ["as it was"] * 2


async def test_one_who_does_not_listen_holds_nobody_up(bells: Path) -> None:
    deaf, other = Bell(bells), Bell(bells)
    deaf.hang_up()
    full = os.open(next(bells.iterdir()), os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(full, b"\n" * 4096)
    os.close(full)
    other.hang_up()
    rung = other.listen()
    ring(bells)
    await other.wait(rung, NEVER)

    assert rung.is_set()
    deaf.close()
    other.close()
    assert list(bells.iterdir()) == []


@pytest.mark.usefixtures("never_looking")
async def test_a_ring_between_looking_and_waiting_is_not_missed(bells: Path) -> None:
    bell = Bell(bells)
    bell.hang_up()
    rung = bell.listen()
    ring(bells)
    await asyncio.sleep(0.3)
    bell.listen()  # by another who reads the same log object
    await bell.wait(rung, NEVER)
    bell.close()
