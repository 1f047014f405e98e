"""An SQLite log that is closed while it is being read."""

import asyncio
from pathlib import Path

import pytest

from events import LogUnavailable, Stream
from events.log import open_log

TRIES = 200
LONGEST_OPENING_SECONDS = 0.006


async def test_a_log_may_be_closed_at_any_moment_of_a_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/events.db"
    for attempt in range(TRIES):
        log = open_log(url)
        reading = asyncio.create_task(log.read({Stream.KEYS: None}, wait=5))
        await asyncio.sleep(LONGEST_OPENING_SECONDS * attempt / TRIES)
        await log.close()

        with pytest.raises(LogUnavailable):
            await asyncio.wait_for(reading, 5)
