"""New key pairs as JWKs (RFC 7517), named by their thumbprint (RFC 7638)."""

import json
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from events.thumbprint import thumbprint

Jwk = dict[str, str]

RSA_BITS: Final = 2048

_PUBLIC_MEMBERS: Final = {"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"}

_GENERATE: Final[dict[str, Callable[[], str]]] = {
    "ES256": lambda: ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1())),
    "RS256": lambda: RSAAlgorithm.to_jwk(rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)),
    "EdDSA": lambda: OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate()),
}


def generate(alg: str) -> Jwk:
    """A private JWK for ``alg``. RSA takes up to a second: call it off the event loop.

    Raises:
        KeyError: no such algorithm.
    """
    generated: dict[str, Any] = json.loads(_GENERATE[alg]())
    jwk = {name: str(value) for name, value in generated.items() if name != "key_ops"}
    return jwk | {"alg": alg, "use": "sig", "kid": thumbprint(jwk)}


def public(jwk: Jwk) -> Jwk:
    """The part of a JWK that everybody may know."""
    return {name: value for name, value in jwk.items() if name in _PUBLIC_MEMBERS}
