"""What a user has once agreed to, with a client."""

from typing import Any

import msgspec


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """A grant (RFC 6749 section 1.3) and all tokens that come of it; they bear its ``id`` as the claim ``grant_id``.

    Attributes:
        id: of the family.
        grant_type: how it came to be.
        client_id: who holds it.
        sub: whom its tokens speak for.
        scope: what it allows at most.
        audience: the services that its tokens may be for; the first by default.
        gsq: revocation ``seq`` that was known before the user authenticated. Every revocation above it may end the
            family, and none of its tokens claims to know more.
        auth_time: when the user authenticated, seconds since the epoch by the store's clock.
        claims: further claims of its tokens, ``sid`` among them where there is a session.
        expires_at: when it ends, seconds since the epoch, however often it is renewed.
    """

    id: str
    grant_type: str
    client_id: str
    sub: str
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    gsq: int
    auth_time: float
    claims: dict[str, Any] = {}
    expires_at: float
