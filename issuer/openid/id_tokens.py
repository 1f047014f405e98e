"""ID tokens (OpenID Connect Core section 2): they tell a client who has logged in, and are good for nothing else."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from issuer.families import Family
from issuer.grants import Authorization

TYPE: Final = "JWT"
"""``typ`` of ID tokens: verifiers take ``at+jwt`` alone for an access token (RFC 9068 section 4)."""

CARRIED: Final = ("sid", "amr")
"""Claims of a family that say how and in which session the user has logged in."""

_HASH: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "ES256": hashlib.sha256,
    "RS256": hashlib.sha256,
    "EdDSA": hashlib.sha512,  # the hash inside of Ed25519 (RFC 8032 section 5.1); the name of the algorithm tells none
}


def id_token_claims(
    authorization: Authorization,
    family: Family,
    *,
    issuer: str,
    access_token: str,
    alg: str,
    now: int,
    lifetime: float,
) -> dict[str, Any]:
    """What an ID token says; after a refresh the same as before, but for its times and ``nonce`` (section 12.2).

    There is no ``azp``, as the only audience is the client itself; and no claim of an enhancer or of the user's record:
    these are for services and for UserInfo (section 5.4).

    Args:
        authorization: what was authorized.
        family: what it comes of; it knows when and how the user has logged in.
        issuer: its identifier.
        access_token: given together with it.
        alg: that it will be signed with.
        now: seconds since the epoch.
        lifetime: seconds.
    """
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": family.sub,
        "aud": authorization.client.client_id,
        "exp": now + int(lifetime),
        "iat": now,
        "auth_time": int(family.auth_time),
        "at_hash": left_half(access_token, alg),
    }
    claims |= {name: family.claims[name] for name in CARRIED if name in family.claims}
    if authorization.nonce is not None:
        claims["nonce"] = authorization.nonce
    return claims


def left_half(value: str, alg: str) -> str:
    """The left half of the hash that ``alg`` uses, for ``at_hash`` (section 3.1.3.6)."""
    digest: bytes = _HASH[alg](value.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
