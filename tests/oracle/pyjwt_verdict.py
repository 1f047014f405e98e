"""What PyJWT says of a token, given the keys, rules and clock of a verifier."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, tzinfo
from typing import Any
from unittest import mock

import jwt

from tests.simulator import AUDIENCE, ISSUER, NOON

SKEW = 5.0
"""The default of ``VerificationPolicy``."""


class NoonForever(datetime):
    """``datetime`` where it is always noon."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "NoonForever":
        """Noon of the simulator."""
        return cls.fromtimestamp(NOON, tz)


@contextmanager
def at_noon() -> Iterator[None]:
    """PyJWT takes no time as an argument."""
    with mock.patch("jwt.api_jwt.datetime", NoonForever):
        yield


class Oracle:
    """PyJWT with the keys that count, by ``kid``; each with its own algorithm alone."""

    def __init__(self, jwks: Mapping[str, dict[str, str]]) -> None:
        self._keys = {kid: jwt.PyJWK(jwk) for kid, jwk in jwks.items()}

    def claims(self, token: str, *, audience: str | None = AUDIENCE, leeway: float = SKEW) -> dict[str, Any] | None:
        """The claims of a good token, ``None`` for any other. Whatever PyJWT raises counts as a rejection."""
        try:
            header = jwt.get_unverified_header(token)
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key(header),
                audience=audience,
                issuer=ISSUER,
                leeway=leeway,
                options={"require": ["iss", "exp"], "verify_aud": audience is not None},
            )
        except (jwt.PyJWTError, ValueError, RecursionError, KeyError):
            return None
        return claims

    def _key(self, header: dict[str, Any]) -> jwt.PyJWK:
        """By ``kid``; PyJWT does not ask for one, so without it the first key of the algorithm that the token names."""
        if "kid" in header:
            return self._keys[header["kid"]]
        return next((key for key in self._keys.values() if key.algorithm_name == header["alg"]), self._keys["ES256-1"])
