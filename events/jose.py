"""JOSE where nobody waits for it, by PyJWT: keys from JWKs, and signing and checking of compact JWSs.

Others import this module when they first need it, not at their top: PyJWT brings an HTTP client along, which would
be a third of the time that ``import verifier_agent`` takes.
"""

from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from jwt.api_jws import PyJWS

ALGORITHMS = ("ES256", "EdDSA", "RS256")
MIN_RSA_BITS = 2048

_CURVES = {"ES256": "P-256", "EdDSA": "Ed25519"}

_ES256 = ec.ECDSA(hashes.SHA256())
_ES256_BYTES = 32

_jws = PyJWS()


def parse_key(jwk: dict[str, str]) -> jwt.PyJWK:
    """The key in a JWK (RFC 7517) that names its algorithm.

    Raises:
        ValueError: it is no key, or of another kind than its ``alg`` needs.
    """
    alg = jwk.get("alg")
    if alg not in ALGORITHMS:
        raise ValueError(f"a key needs an alg out of {', '.join(ALGORITHMS)}")
    if alg in _CURVES and jwk.get("crv") != _CURVES[alg]:  # PyJWT takes any curve
        raise ValueError(f"{alg} needs a key on {_CURVES[alg]}")
    try:
        key = jwt.PyJWK(dict(jwk))
    except jwt.PyJWTError as error:
        raise ValueError(str(error)) from error
    if isinstance(key.key, rsa.RSAPublicKey | rsa.RSAPrivateKey) and key.key.key_size < MIN_RSA_BITS:
        raise ValueError(f"{alg} needs an RSA key of {MIN_RSA_BITS} bits or more")
    return key


def sign(payload: bytes, key: jwt.PyJWK, headers: dict[str, Any]) -> bytes:
    """A compact JWS over ``payload``."""
    return _jws.encode(payload, key, algorithm=key.algorithm_name, headers=headers).encode("ascii")


def signature(key: jwt.PyJWK, signing_input: bytes) -> bytes:
    """The signature of ``key`` with its own algorithm, as a JWS has it (RFC 7518 section 3).

    That of ES256 is put together here: PyJWT takes a seventh of the time on top of what OpenSSL needs.
    """
    if key.algorithm_name == "ES256":
        r, s = decode_dss_signature(key.key.sign(signing_input, _ES256))
        return r.to_bytes(_ES256_BYTES, "big") + s.to_bytes(_ES256_BYTES, "big")
    made: bytes = key.Algorithm.sign(signing_input, key.key)
    return made


def is_signed_by(key: jwt.PyJWK, signing_input: bytes, signature: bytes) -> bool:
    """Whether ``key`` made the signature, with its own algorithm.

    PyJWT's ``decode`` is not asked: it looks at every character in Python, which takes a mass revocation 40 ms.
    """
    return key.Algorithm.verify(signing_input, key.key, signature)
