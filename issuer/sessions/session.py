"""What is known of a login."""

from collections.abc import Iterable
from typing import Any

import msgspec


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A user in a browser, authenticated.

    Attributes:
        sid: identifier that tokens bear as the claim ``sid``; it is no secret, and another than what the cookie holds.
        sub: who has authenticated.
        gsq: revocation ``seq`` that was known before the user authenticated, inherited by all that comes of it.
        auth_time: when that was, seconds since the epoch.
        amr: how (RFC 8176).
        expires_at: when it ends however much it is used, seconds since the epoch.
    """

    sid: str
    sub: str
    gsq: int
    auth_time: float
    amr: tuple[str, ...] = ("pwd",)
    expires_at: float


def login_claims(sid: str, amr: Iterable[str]) -> dict[str, Any]:
    """What every token that comes of a login says of it, and so what a revocation may find it by."""
    return {"sid": sid, "amr": list(amr)}
