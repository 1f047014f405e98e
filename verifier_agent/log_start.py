"""Where in a log to begin: at its start, or behind what is known already.

Positions are the log's own: they mean nothing to who has restored a snapshot, maybe of another log. So the log is
asked, from its end backwards in growing steps. Who was away for a moment finds his place with the first question. A
wrong answer, as by a log that is not in order, shows as a hole, and the stream is read from its start.

Positions in the issuer's feed are sequences, so that it need not be asked.
"""

from typing import Final

from events import PositionLost, Stream
from events.log import EventLog, NumberedLog
from events.streams import FOLLOWED, SEQUENCED
from verifier_agent.verifier import Verifier

PROBE_SECONDS: Final = 1.0
FACTOR: Final = 4
"""By which each step is longer than the one before: a question costs about as much as reading some hundred events."""


async def start_of(event_log: EventLog, verifier: Verifier) -> dict[Stream, int | None]:
    """For each stream the position after which to read; of the heartbeats only the newest.

    Raises:
        LogUnavailable: it cannot be reached.
    """
    positions: dict[Stream, int | None] = dict.fromkeys(FOLLOWED)
    if isinstance(event_log, NumberedLog):  # which tells whoever comes of none but the newest heartbeat
        for stream in SEQUENCED:
            positions[stream] = event_log.place_behind(verifier.state.sequences[stream].contiguous())
        return positions
    head = await event_log.head(Stream.HEARTBEATS)
    positions[Stream.HEARTBEATS] = head - 1 if head else None
    for stream in SEQUENCED:
        known = verifier.state.sequences[stream].contiguous()
        if known:
            positions[stream] = await _behind(known, event_log, stream, verifier)
    return positions


async def _behind(known: int, event_log: EventLog, stream: Stream, verifier: Verifier) -> int | None:
    """Position of an event at or below ``known``, one of the last; ``None`` when there is none."""
    head, step = await event_log.head(stream), 1
    while head is not None and head >= step:
        try:
            entries = await event_log.read({stream: head - step}, wait=PROBE_SECONDS, limit=1)
        except PositionLost:
            return None
        seq = verifier.seq_of(stream, entries[0].data) if entries else None
        if seq is not None and seq <= known:
            return entries[0].position
        step *= FACTOR
    return None
