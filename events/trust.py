"""What an agent pins: an issuer, and the public keys that may sign its events."""

from pathlib import Path
from typing import Self

import jwt
import msgspec

ALGORITHMS = ("ES256", "EdDSA", "RS256")


class IssuerTrust(msgspec.Struct, frozen=True, kw_only=True):
    """One issuer and its event keys. Kept as a JSON file that ``tocsin init`` writes and agents are given.

    Attributes:
        issuer: the issuer's identifier, exactly as in its events and tokens.
        event_keys: public JWKs (RFC 7517), each with ``kid`` and ``alg``.
    """

    issuer: str
    event_keys: tuple[dict[str, str], ...]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file that ``save`` wrote.

        Raises:
            ValueError: the file is not that; the message names it and what is wrong.
            OSError: it cannot be read.
        """
        try:
            trust = msgspec.json.decode(path.read_bytes(), type=cls)
            trust.verifying_keys()
        except (msgspec.MsgspecError, jwt.PyJWTError, ValueError) as error:
            raise ValueError(f"trust file {path}: {error}") from error
        return trust

    def save(self, path: Path) -> None:
        """Write the file; it holds public keys only."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")

    def verifying_keys(self) -> dict[str, jwt.PyJWK]:
        """The keys by ``kid``.

        Raises:
            ValueError: there is none, or one lacks ``kid`` or ``alg``, is private, or has another algorithm.
            jwt.PyJWTError: one is no key.
        """
        if not self.event_keys:
            raise ValueError("no event key is pinned")
        for jwk in self.event_keys:
            if not jwk.get("kid") or jwk.get("alg") not in ALGORITHMS:
                raise ValueError(f"each event key needs a kid, and an alg out of {', '.join(ALGORITHMS)}")
            if "d" in jwk:
                raise ValueError(f"event key {jwk['kid']} is a private key; pin the public one")
        return {jwk["kid"]: jwt.PyJWK(dict(jwk)) for jwk in self.event_keys}
