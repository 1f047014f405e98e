"""What an agent pins: an issuer, and the public keys that may sign its events."""

from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

if TYPE_CHECKING:
    from jwt import PyJWK


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
        except (msgspec.MsgspecError, ValueError) as error:
            raise ValueError(f"trust file {path}: {error}") from error
        return trust

    def save(self, path: Path) -> None:
        """Write the file; it holds public keys only."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")

    def verifying_keys(self) -> "dict[str, PyJWK]":
        """The keys by ``kid``.

        Raises:
            ValueError: there is none, or one lacks ``kid`` or ``alg``, is there twice, is private, or is no key.
        """
        from events import jose

        if not self.event_keys:
            raise ValueError("no event key is pinned")
        for jwk in self.event_keys:
            if not jwk.get("kid"):
                raise ValueError("each event key needs a kid")
            if "d" in jwk:
                raise ValueError(f"event key {jwk['kid']} is a private key; pin the public one")
        keys = {jwk["kid"]: jose.parse_key(jwk) for jwk in self.event_keys}
        if len(keys) < len(self.event_keys):
            names = [jwk["kid"] for jwk in self.event_keys]
            raise ValueError(f"event key {next(kid for kid in keys if names.count(kid) > 1)} is pinned twice")
        return keys
