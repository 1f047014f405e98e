"""Waiting until the event log has acknowledged a decision, as long as the caller is ready to."""

import asyncio
from typing import Final

from events import Stream
from issuer.endpoints.services import Services
from issuer.errors import StoreUnavailable

POLL_SECONDS: Final = 0.02


async def published_within(services: Services, stream: Stream, seq: int, seconds: float) -> bool:
    """Whether the log has acknowledged ``seq`` by the end of so many seconds; without waiting, nothing is looked up.

    ``False`` also when the store cannot say: what has been decided stands all the same.
    """
    if seconds <= 0:
        return False
    try:
        async with asyncio.timeout(seconds):
            while await services.relay.published(stream) < seq:  # noqa: ASYNC110
                # It may be another replica that publishes: only the store tells.
                await asyncio.sleep(POLL_SECONDS)
    except (TimeoutError, StoreUnavailable):
        return False
    return True
