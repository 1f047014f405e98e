"""A device that waits for somebody to let it in, and the rule of what it is answered: no I/O, no clock."""

from enum import StrEnum
from typing import Final

import msgspec

GOOD_FOR_SECONDS: Final = 600.0
"""Long enough to find a telephone, short for whoever wants to talk somebody else into it (RFC 8628 section 5.4)."""
INTERVAL_SECONDS: Final = 5
"""RFC 8628 section 3.2."""
SLOWER_BY_SECONDS: Final = 5
"""RFC 8628 section 3.5."""
LEEWAY_SECONDS: Final = 1.0
"""By which a request may overtake the one before it on its way here."""


class Answer(StrEnum):
    """What a device is told that asks for its tokens: errors of RFC 8628 section 3.5, or that it may have them."""

    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    DENIED = "access_denied"
    EXPIRED = "expired_token"
    USED = "invalid_grant"
    ALLOWED = "allowed"


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """Who has let a device in, and in which session; see ``Session`` for what is said of it."""

    sub: str
    sid: str
    gsq: int
    auth_time: float
    amr: tuple[str, ...]


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device authorization request and what has become of it.

    Attributes:
        hash: of the device code; names the request here.
        user_code: see ``user_code``; in letters alone.
        client_id: which client runs on the device.
        scope: what it asks for.
        audience: for which services, the first by default.
        interval: seconds that it must wait between two polls.
        polled_at: when it polled last, seconds since the epoch by the store's clock.
        expires_at: when both codes end.
        denied: whether somebody has refused it.
        approval: by whom it has been allowed; ``None`` while nobody has.
        used_at: when its tokens were fetched.
    """

    hash: bytes
    user_code: str
    client_id: str
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    interval: int = INTERVAL_SECONDS
    polled_at: float | None = None
    expires_at: float
    denied: bool = False
    approval: Approval | None = None
    used_at: float | None = None

    def may_be_decided(self, now: float) -> bool:
        """Whether somebody may still allow or refuse it: the first who decides has decided."""
        return self.approval is None and not self.denied and now < self.expires_at

    def answer(self, now: float) -> Answer:
        """What it is told when it polls; how fast it polls matters only while nobody has decided.

        Args:
            now: seconds since the epoch by the store's clock.
        """
        if self.used_at is not None:
            return Answer.USED
        if now >= self.expires_at:
            return Answer.EXPIRED
        if self.denied:
            return Answer.DENIED
        if self.approval is not None:
            return Answer.ALLOWED
        if self.polled_at is not None and now - self.polled_at < self.interval - LEEWAY_SECONDS:
            return Answer.SLOW_DOWN
        return Answer.PENDING

    def polled(self, now: float) -> "Device":
        """The device after it has polled; one that was too fast must wait longer, this time and from now on."""
        slower = SLOWER_BY_SECONDS if self.answer(now) is Answer.SLOW_DOWN else 0
        return msgspec.structs.replace(self, polled_at=now, interval=self.interval + slower)
