"""Whether a log gives what is going on now, by what became of its events. No I/O, no clock."""

from typing import Final

import msgspec

from events import RefusalCode, Stream, base64url
from verifier_agent.issuer_state import Outcome

BEHIND_SECONDS: Final = 3.0
"""By how much of the issuer's time a log may lag behind what is known."""

_HEARD_BEFORE: Final = (Outcome.KNOWN, RefusalCode.ROLLED_BACK)
"""What becomes of an event that has our issuer's signature and came by another log first."""


class _Timed(msgspec.Struct):
    iat: float


class LogHealth:
    """What a follower notes of its log. Nothing counts that the issuer has not signed.

    Attributes:
        alive_at: boot-time clock when the log last gave something new, or as recent as what is known; ``None`` before.
        late_at: boot-time clock when it last gave something that had long been known; ``None`` before.
        error: why it could not be read at the last attempt; ``None`` when it could, or has not been tried.
    """

    def __init__(self) -> None:
        self.alive_at: float | None = None
        self.late_at: float | None = None
        self.error: str | None = None
        self._new = False
        self._known: dict[Stream, bytes] = {}

    def took(self, stream: Stream, raw: bytes, outcome: Outcome | RefusalCode) -> None:
        """Note what became of one event."""
        if outcome is Outcome.APPLIED:
            self._new = True
            self._known.pop(stream, None)
        elif outcome in _HEARD_BEFORE:
            self._known[stream] = raw

    def note(self, now: float, issuer_time: float) -> None:
        """Judge by the events since the last time.

        Args:
            now: boot-time clock, seconds.
            issuer_time: that of the newest heartbeat, seconds since the epoch.
        """
        behind = [issuer_time - _signed_time(raw) for raw in self._known.values()]
        if self._new or any(seconds <= BEHIND_SECONDS for seconds in behind):
            self.alive_at = now
        if any(seconds > BEHIND_SECONDS for seconds in behind):
            self.late_at = now
        self._new = False
        self._known.clear()


def _signed_time(raw: bytes) -> float:
    """When an event was signed whose signature has been checked; seconds since the epoch."""
    return msgspec.json.decode(base64url.decode(raw.split(b".")[1]), type=_Timed).iat
