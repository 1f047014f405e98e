"""The private event key, for who signs events and who countersigns a succession."""

from typing import Final

TYP: Final = "secevent+jwt"
_PUBLIC_MEMBERS: Final[tuple[str, ...]] = ("kty", "crv", "x", "y", "n", "e", "kid", "alg")


class EventKey:
    """A private event key; its ``repr`` tells the ``kid`` alone.

    Attributes:
        kid: its name.
        public: its public half, as a JWK.
    """

    def __init__(self, jwk: dict[str, str]) -> None:
        """Take a private JWK that has ``kid`` and ``alg``.

        Raises:
            ValueError: it is no such key.
        """
        from events import jose

        self.kid = jwk["kid"]
        self.public = {name: jwk[name] for name in _PUBLIC_MEMBERS if name in jwk}
        self._sign = jose.sign
        self._key = jose.parse_key(jwk)

    def __repr__(self) -> str:
        return f"EventKey(kid={self.kid!r})"

    def sign(self, payload: bytes, typ: str = TYP) -> bytes:
        """A compact JWS over ``payload``."""
        return self._sign(payload, self._key, {"typ": typ, "kid": self.kid})
