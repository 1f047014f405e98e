"""A stream of a log from its start to its end."""

from collections.abc import AsyncIterator
from typing import Final

from events.errors import LogUnavailable
from events.log.protocol import Entry, EventLog
from events.streams import Stream

READ_SECONDS: Final = 2.0
"""Longest wait for entries that are there."""


async def entries_of(event_log: EventLog, stream: Stream) -> AsyncIterator[Entry]:
    """Every entry of a stream, up to where it ends now.

    Raises:
        LogError: it cannot be read to its end.
    """
    position, end = None, await event_log.head(stream)
    while end is not None and (position is None or position < end):
        entries = await event_log.read({stream: position}, wait=READ_SECONDS)
        for entry in entries:
            position = entry.position
            yield entry
        if not entries:
            raise LogUnavailable(f"the log of {stream} ends at {end} but cannot be read beyond {position}")
