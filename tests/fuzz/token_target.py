"""What must hold for every token. An input says how the token is made, so that some get past the signature."""

from collections.abc import Callable
from typing import Any, Final

import jwt

from tests.oracle.pyjwt_verdict import SKEW, Oracle, at_noon
from tests.simulator import IssuerSimulator, Listener, SigningKey, b64, signing_key
from verifier_agent import RejectionCode

KEYS: Final = [signing_key(alg, alg) for alg in ("ES256", "RS256", "EdDSA")]
NULLED: Final = ("sub", "iat", "nbf", "jti")
"""Claims that may be ``null`` here and not in PyJWT, see ``tests/oracle/test_pyjwt_oracle.py``."""


class TokenTarget:
    """A verifier that has heard of three keys, beside PyJWT with the same ones."""

    def __init__(self) -> None:
        self.issuer = IssuerSimulator()
        for key in KEYS:
            self.issuer.publish_key(key)
        self.listener = Listener.caught_up(self.issuer)
        self.oracle = Oracle({key.kid: key.jwk() for key in KEYS})
        self.good = self.issuer.token(key=KEYS[0])

    def check(self, data: bytes) -> None:
        """Nothing but claims or a rejection comes out; what is accepted PyJWT accepts, and it can be revoked."""
        token = MAKERS[data[0] % len(MAKERS)](self, data[1:]) if data else ""
        rejection = self.listener.rejection(token, audience=None)
        assert isinstance(rejection, RejectionCode | None)
        assert self.listener.rejection(token, audience=None) is rejection
        if rejection is None:
            self._check_accepted(token)

    def _check_accepted(self, token: str) -> None:
        claims = dict(self.listener.verify(token, audience=None).raw)
        if not any(name in claims and claims[name] is None for name in NULLED):
            with at_noon():  # PyJWT cuts fractions of a second off
                assert self.oracle.claims(token, audience=None, leeway=SKEW + 1) == claims
        revocation = self.issuer.revoke_tokens(token)
        lift = self.issuer.lift(revocation)
        self.issuer.said.clear()  # it would grow for as long as this runs
        self.listener.hear(revocation)
        assert self.listener.rejection(token, audience=None) is RejectionCode.REVOKED
        self.listener.hear(lift)
        assert self.listener.rejection(token, audience=None) is None


def _as_it_is(_: TokenTarget, data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _signed(_: TokenTarget, data: bytes) -> str:
    """First a byte for the key, then the header, a line break, and the payload."""
    key = _key(data)
    unsigned = ".".join(map(b64, _parts(data[1:], 2)))
    return f"{unsigned}.{b64(_sign(key, unsigned.encode()))}"


def _signed_payload(_: TokenTarget, data: bytes) -> str:
    """First a byte for the key, then the payload, under a good header."""
    key = _key(data)
    return key.jws({"alg": key.alg, "kid": key.kid, "typ": "at+jwt"}, data[1:])


def _three_parts(_: TokenTarget, data: bytes) -> str:
    return ".".join(map(b64, _parts(data, 3)))


def _edited(target: TokenTarget, data: bytes) -> str:
    """A good token with some of its characters replaced: two bytes for where, one for by what."""
    text = list(target.good)
    for at in range(0, len(data) - 2, 3):
        text[int.from_bytes(data[at : at + 2], "big") % len(text)] = chr(data[at + 2])
    return "".join(text)


def _key(data: bytes) -> SigningKey:
    return KEYS[data[0] % len(KEYS) if data else 0]


def _parts(data: bytes, number: int) -> list[bytes]:
    parts = data.split(b"\n", number - 1)
    return parts + [b""] * (number - len(parts))


def _sign(key: SigningKey, unsigned: bytes) -> bytes:
    signature: bytes = jwt.get_algorithm_by_name(key.alg).sign(unsigned, key.private)
    return signature


MAKERS: Final[list[Callable[[TokenTarget, bytes], Any]]] = [_as_it_is, _signed, _signed_payload, _three_parts, _edited]
