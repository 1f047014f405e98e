"""The claims of a verified access token (RFC 9068 section 2.2), typed and immutable."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from events.selectors import MAX_MEMBERS
from verifier_agent.errors import RejectionCode, TokenRejected


class Claims(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a verified token says.

    Attributes:
        iss: who issued it.
        sub: whom it speaks for.
        aud: for which services.
        exp: seconds since the epoch at which it ends.
        iat: seconds since the epoch at which it was issued; ``None`` when it does not say.
        nbf: seconds since the epoch before which it does not count yet; ``None`` when it does not say.
        jti: its identifier, or ``None``.
        client_id: which client got it, or ``None``.
        scope: what it allows.
        raw: every claim, as JSON values; read-only at its top level.
    """

    iss: str
    sub: str | None
    aud: tuple[str, ...]
    exp: float
    iat: float | None
    nbf: float | None
    jti: str | None
    client_id: str | None
    scope: frozenset[str]
    raw: Mapping[str, Any]


class UnverifiedClaims(msgspec.Struct, frozen=True, gc=False):
    """The registered claims of a payload: their types checked, nothing else."""

    iss: str
    exp: float
    aud: str | list[str] = []
    sub: str | None = None
    iat: float | None = None
    nbf: float | None = None
    jti: str | None = None
    client_id: str | None = None
    scope: str = ""


_REGISTERED = msgspec.json.Decoder(UnverifiedClaims)
_ALL = msgspec.json.Decoder(dict[str, Any])


def decode_claims(payload: bytes) -> Claims:
    """The claims in a JWT payload whose signature has been checked.

    Raises:
        TokenRejected: ``malformed``, when the payload is no JSON object with the right types in it, or a list in it
            is longer than selectors can be held against.
    """
    try:
        registered = _REGISTERED.decode(payload)
        raw = _ALL.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise TokenRejected(RejectionCode.MALFORMED, "its claims are not those of an access token") from error
    for name, value in raw.items():
        if value.__class__ is list and len(value) > MAX_MEMBERS:
            raise TokenRejected(RejectionCode.MALFORMED, f"claim {name[:64]!r} has more than {MAX_MEMBERS} members")
    scope = frozenset(registered.scope.split())
    if len(scope) > MAX_MEMBERS:
        raise TokenRejected(RejectionCode.MALFORMED, f"it has more than {MAX_MEMBERS} scopes")
    audience = registered.aud
    return Claims(
        iss=registered.iss,
        sub=registered.sub,
        aud=(audience,) if isinstance(audience, str) else tuple(audience),
        exp=registered.exp,
        iat=registered.iat,
        nbf=registered.nbf,
        jti=registered.jti,
        client_id=registered.client_id,
        scope=scope,
        raw=MappingProxyType(raw),
    )
