"""New key pairs as JWKs (RFC 7517), named by their thumbprint (RFC 7638)."""

import json
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from events.thumbprint import thumbprint

Jwk = dict[str, str]


class PrivateJwk(dict[str, str]):
    """A private JWK, whose ``repr`` tells the ``kid`` alone: a traceback with local variables must not show it."""

    def __repr__(self) -> str:
        return f"PrivateJwk(kid={self.get('kid')!r})"


RSA_BITS: Final = 2048

_PUBLIC_MEMBERS: Final = {"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"}

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_GENERATE: Final[dict[str, Callable[[], PrivateKey]]] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def generate(alg: str) -> PrivateJwk:
    """A private JWK for ``alg``. RSA takes up to a second: call it off the event loop.

    Raises:
        KeyError: no such algorithm.
    """
    while True:
        jwk = private_jwk(_GENERATE[alg](), alg)
        if not jwk["kid"].startswith("-"):  # operators type it as an argument, where that would be an option
            return jwk


def private_jwk(key: PrivateKey, alg: str, kid: str | None = None) -> PrivateJwk:
    """A private key as JWK, named ``kid`` or else by its thumbprint."""
    if isinstance(key, rsa.RSAPrivateKey):
        text = RSAAlgorithm.to_jwk(key)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        text = ECAlgorithm.to_jwk(key)
    else:
        text = OKPAlgorithm.to_jwk(key)
    members: dict[str, Any] = json.loads(text)
    jwk = PrivateJwk({name: str(value) for name, value in members.items() if name != "key_ops"})
    jwk.update(alg=alg, use="sig", kid=kid or thumbprint(jwk))
    return jwk


def public(jwk: Jwk) -> Jwk:
    """The part of a JWK that everybody may know."""
    return {name: value for name, value in jwk.items() if name in _PUBLIC_MEMBERS}
