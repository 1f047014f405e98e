"""Other verifiers in Python, used as their documentation says: keys parsed once, issuer, audience and time checked."""

import base64
import importlib
import importlib.metadata
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from issuer.keys.generation import Jwk
from tocsin.verification.issuer import AUDIENCE, ISSUER

CLAIMS: Final = {
    "iss": {"essential": True, "value": ISSUER},
    "aud": {"essential": True, "value": AUDIENCE},
    "exp": {"essential": True},
}


@dataclass(frozen=True)
class Peer:
    """A library that verifies tokens.

    Attributes:
        name: of the library, as people write it.
        distribution: as it is installed.
        setting_up: with one key, what verifies a token and returns its claims.
        rejects_with: the root of its errors, by module and name.
    """

    name: str
    distribution: str
    setting_up: Callable[[Jwk], Callable[[str], object]]
    rejects_with: tuple[str, str]

    @property
    def version(self) -> str | None:
        """Of the library, or ``None`` when it is not installed."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return None

    def verifying(self, jwk: Jwk) -> Callable[[str], object]:
        """What verifies tokens of this key, and returns their claims."""
        with warnings.catch_warnings():
            return self.setting_up(jwk)

    @property
    def rejection(self) -> type[Exception]:
        """What it raises for a token that is no good."""
        module, name = self.rejects_with
        rejection: type[Exception] = getattr(importlib.import_module(module), name)
        return rejection


def _pyjwt(jwk: Jwk) -> Callable[[str], object]:
    key, algorithms = jwt.PyJWK(dict(jwk)), [jwk["alg"]]
    decode = jwt.PyJWT({"require": ["exp"]}).decode

    def verify(token: str) -> object:
        return decode(token, key, algorithms=algorithms, audience=AUDIENCE, issuer=ISSUER)

    return verify


def _joserfc(jwk: Jwk) -> Callable[[str], object]:
    token_module = importlib.import_module("joserfc.jwt")
    key = importlib.import_module("joserfc.jwk").import_key(dict(jwk))
    registry, algorithms, decode = token_module.JWTClaimsRegistry(**CLAIMS), [jwk["alg"]], token_module.decode

    def verify(token: str) -> object:
        claims = decode(token, key, algorithms=algorithms).claims
        registry.validate(claims)
        return claims

    return verify


def _authlib(jwk: Jwk) -> Callable[[str], object]:
    importlib.import_module("authlib.deprecate")  # has warnings shown always: that joserfc is its successor
    warnings.simplefilter("ignore")
    jose = importlib.import_module("authlib.jose")
    key, library = jose.JsonWebKey.import_key(dict(jwk)), jose.JsonWebToken([jwk["alg"]])

    def verify(token: str) -> object:
        claims = library.decode(token, key, claims_options=CLAIMS)
        claims.validate()
        return claims

    return verify


PEERS: Final = (
    Peer("PyJWT", "pyjwt", _pyjwt, ("jwt", "InvalidTokenError")),
    Peer("joserfc", "joserfc", _joserfc, ("joserfc.errors", "JoseError")),
    Peer("Authlib", "authlib", _authlib, ("authlib.jose.errors", "JoseError")),
)


def check(
    name: str, verify: Callable[[str], object], rejection: type[Exception], good: str, bad: Mapping[str, str]
) -> None:
    """See that a verifier does what is timed.

    Raises:
        RuntimeError: it accepts what it must reject.
    """
    verify(good)
    for what, token in bad.items():
        try:
            verify(token)
        except rejection:
            continue
        raise RuntimeError(f"{name} accepts {what}")


class BareSignature:
    """The signature check of ``cryptography`` alone; what no verifier in Python can be faster than.

    The token is cut, its base64 decoded and an ECDSA signature put into DER beforehand: none of that is timed.
    """

    def __init__(self, jwk: Jwk, tokens: list[str]) -> None:
        self._parts = {token: _parts(token, jwk["alg"]) for token in tokens}
        self._verify = _signature_check(jwk)

    def calls(self, tokens: Sequence[str]) -> tuple[Callable[[Any], object], list[Any]]:
        """What to call, and with what for each of these tokens."""
        return self._verify, [self._parts[token] for token in tokens]


def _signature_check(jwk: Jwk) -> Callable[[Any], object]:
    key: Any = jwt.PyJWK(dict(jwk)).key
    verify, alg = key.verify, jwk["alg"]
    if alg == "EdDSA":
        return lambda parts: verify(parts[0], parts[1])
    if alg == "ES256":
        ecdsa = ec.ECDSA(hashes.SHA256())
        return lambda parts: verify(parts[0], parts[1], ecdsa)
    pkcs1, sha256 = padding.PKCS1v15(), hashes.SHA256()
    return lambda parts: verify(parts[0], parts[1], pkcs1, sha256)


def _parts(token: str, alg: str) -> tuple[bytes, bytes]:
    signing_input, _, text = token.rpartition(".")
    signature = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if alg == "ES256":
        signature = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    return signature, signing_input.encode()
