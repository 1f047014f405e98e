"""What is particular to the log in a file."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from events import LogUnavailable, Stream
from events.log import EventLog, Retention, open_log
from events.log.sqlite import PRUNE_EVERY

PAST = Retention(revocations=0, heartbeats=0, agents=0)
"""Everything appended before now need not be kept."""

WRITER = """
import asyncio, sys
from events import Stream
from events.log import open_log

async def main() -> None:
    log = open_log(sys.argv[1])
    for number in range(20):
        await log.append(Stream.REVOCATIONS, [f"{sys.argv[2]} {number}".encode()])
    await log.close()

asyncio.run(main())
"""


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


async def contents(log: EventLog, stream: Stream) -> list[bytes]:
    return [entry.data for entry in await log.read({stream: None}, wait=0.0, limit=10_000)]


async def pruned(tmp_path: Path, retention: Retention) -> EventLog:
    """A log into which enough was appended to each stream that it has pruned itself."""
    log = open_log(url_of(tmp_path / "events.db"), retention)
    for number in range(PRUNE_EVERY):
        await log.append(list(Stream)[number % len(Stream)], [str(number).encode()])
    return log


async def test_only_the_newest_entry_of_each_stream_is_kept_when_nothing_else_need_be(tmp_path: Path) -> None:
    log = await pruned(tmp_path, PAST)

    for stream in Stream:
        assert len(await contents(log, stream)) <= 2  # the newest, and what came in the same instant
        assert await log.head(stream) == PRUNE_EVERY // len(Stream) - 1
    await log.close()


async def test_what_retention_asks_for_is_kept(tmp_path: Path) -> None:
    log = await pruned(tmp_path, Retention())

    assert len(await contents(log, Stream.KEYS)) <= 2  # the newest key set suffices
    for stream in (Stream.REVOCATIONS, Stream.HEARTBEATS, Stream.AGENTS):
        assert len(await contents(log, stream)) == PRUNE_EVERY // len(Stream)
    await log.close()


async def test_positions_go_on_after_a_prune_and_after_opening_it_again(tmp_path: Path) -> None:
    log = await pruned(tmp_path, PAST)
    await log.close()
    again = open_log(url_of(tmp_path / "events.db"))
    head = await again.head(Stream.REVOCATIONS)
    await again.append(Stream.REVOCATIONS, [b"next"])

    assert head is not None
    assert [(entry.position, entry.data) for entry in await again.read({Stream.REVOCATIONS: head}, wait=0.0)] == [
        (head + 1, b"next")
    ]
    await again.close()


async def test_a_reader_that_was_away_goes_on_with_what_is_left(tmp_path: Path) -> None:
    log = await pruned(tmp_path, PAST)
    entries = await log.read({Stream.REVOCATIONS: 0}, wait=0.0)

    assert entries[-1].position == await log.head(Stream.REVOCATIONS)
    await log.close()


async def test_processes_of_one_host_share_a_log(tmp_path: Path) -> None:
    url = url_of(tmp_path / "events.db")
    log = open_log(url)
    reading = asyncio.create_task(log.read({Stream.REVOCATIONS: None}, wait=60.0))
    writers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, url, name) for name in ("one", "other")
    ]
    first = await reading
    async with asyncio.timeout(60):
        assert [await writer.wait() for writer in writers] == [0, 0]
    heard = await contents(log, Stream.REVOCATIONS)

    assert first
    for name in ("one", "other"):
        assert [data for data in heard if data.startswith(name.encode())] == [
            f"{name} {number}".encode() for number in range(20)
        ]
    await log.close()


async def test_a_writer_that_dies_in_the_middle_leaves_whole_entries(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    log = open_log(url_of(path))
    await log.append(Stream.REVOCATIONS, [b"before"])
    program = (
        "import os, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "connection.execute(\"INSERT INTO entries VALUES ('revocations', 1, 0, x'00')\")\n"
        "os.kill(os.getpid(), 9)\n"
    )
    died = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program, str(path)], timeout=60, check=False, capture_output=True
    )
    await log.append(Stream.REVOCATIONS, [b"after"])

    assert died.returncode == -9
    assert await contents(log, Stream.REVOCATIONS) == [b"before", b"after"]
    await log.close()


async def test_the_folder_of_the_file_is_made(tmp_path: Path) -> None:
    log = open_log(url_of(tmp_path / "not" / "yet" / "there.db"))
    await log.append(Stream.KEYS, [b"x"])

    assert (tmp_path / "not" / "yet" / "there.db").exists()
    await log.close()


async def test_nothing_is_made_before_the_first_call(tmp_path: Path) -> None:
    log = open_log(url_of(tmp_path / "there.db"))

    assert list(tmp_path.iterdir()) == []
    await log.close()


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    path.write_bytes(b"no database at all, and long enough to be looked at" * 100)
    log = open_log(url_of(path))

    with pytest.raises(LogUnavailable, match=r"events\.db: "):
        await log.head(Stream.KEYS)
    with pytest.raises(LogUnavailable, match=r"events\.db: "):
        await log.read({Stream.KEYS: None}, wait=0.0)
    await log.close()


async def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    log = open_log(url_of(tmp_path / "file" / "events.db"))

    with pytest.raises(LogUnavailable, match=r"file"):
        await log.append(Stream.KEYS, [b"x"])
    await log.close()


async def test_a_log_locked_for_too_long_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("events.log.sqlite.BUSY_SECONDS", 0.05)
    path = tmp_path / "events.db"
    log = open_log(url_of(path))
    await log.append(Stream.KEYS, [b"x"])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(LogUnavailable, match="locked"):
        await log.append(Stream.KEYS, [b"y"])
    assert await contents(log, Stream.KEYS) == [b"x"]  # readers do not wait for a writer
    other.execute("ROLLBACK")
    other.close()
    await log.append(Stream.KEYS, [b"y"])
    assert await contents(log, Stream.KEYS) == [b"x", b"y"]
    await log.close()
