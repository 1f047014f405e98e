"""The name of a key that follows from the key itself (RFC 7638)."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

_MEMBERS: Final = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n"), "OKP": ("crv", "kty", "x")}


def thumbprint(jwk: Mapping[str, str]) -> str:
    """The JWK's SHA-256 thumbprint in base64url (RFC 7638 section 3).

    Raises:
        KeyError: it is no public or private key of a kind that has one.
    """
    members = {name: jwk[name] for name in sorted(_MEMBERS[jwk["kty"]])}
    digest = hashlib.sha256(msgspec.json.encode(members)).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
