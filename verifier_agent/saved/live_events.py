"""Which of the saved events are still needed. They are not verified here: whoever starts from them does that."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from events import Stream, base64url
from events.succession import successor_named
from events.trust import MOST_KEYS
from verifier_agent.saved.protocol import SavedEvent


class _Place(msgspec.Struct, frozen=True):
    seq: int


class _Claims(msgspec.Struct, frozen=True):
    tocsin: _Place


class _At(NamedTuple):
    stream: Stream
    seq: int


def live(events: Iterable[SavedEvent], least: Mapping[str, int]) -> list[SavedEvent]:
    """Those that are needed, once each, in their order: all from ``least`` on, and of the heartbeats the newest.

    The successions of event keys come first, whatever their number: without them the others might not be opened.

    Args:
        events: as they were saved.
        least: for each stream the lowest ``seq`` that is needed.
    """
    kept: dict[_At, SavedEvent] = {}
    successions: dict[int, SavedEvent] = {}
    beat: tuple[int, SavedEvent] | None = None
    for event in events:
        seq = _seq(event.data)
        if seq is not None and event.stream is Stream.KEYS and successor_named(event.data) is not None:
            successions.setdefault(seq, event)
            continue
        if seq is None or seq < least.get(event.stream, 0):
            continue
        if event.stream is not Stream.HEARTBEATS:
            kept.setdefault(_At(event.stream, seq), event)
        elif beat is None or seq > beat[0]:
            beat = seq, event
    chain = [successions[seq] for seq in sorted(successions)[-MOST_KEYS:]]
    return [*chain, *kept.values(), *([beat[1]] if beat else [])]


def _seq(raw: bytes) -> int | None:
    try:
        return msgspec.json.decode(base64url.decode(raw.split(b".")[1]), type=_Claims).tocsin.seq
    except (ValueError, IndexError, msgspec.MsgspecError, RecursionError):
        return None
