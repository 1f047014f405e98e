"""What an agent pins: an issuer, and the public keys that may sign its events."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec

from events.sequence import MAX_SEQ
from events.streams import Stream

if TYPE_CHECKING:
    from jwt import PyJWK

THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{43}")
"""A SHA-256 in base64url (RFC 7638 section 3)."""
ENDING: Final = (Stream.KEYS, Stream.REVOCATIONS, Stream.HEARTBEATS)
"""Streams that event keys sign, and on which each ends."""
MOST_KEYS: Final = 64
"""In a chain: one succession a year would fill it in a lifetime, and to check all of it takes milliseconds."""


class IssuerTrust(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One issuer and its event keys. Kept as a JSON file that ``tocsin init`` writes and agents are given.

    Attributes:
        issuer: the issuer's identifier, exactly as in its events and tokens.
        event_keys: public JWKs (RFC 7517), each with ``kid`` and ``alg``; where some have ended, in their order.
        successor: thumbprint (RFC 7638) of the key that may succeed the last of them; empty when none may.
        ends: ``kid`` of a key that has ended to the last ``seq`` that it may have signed, by stream.
    """

    issuer: str
    event_keys: tuple[dict[str, str], ...]
    successor: str = ""
    ends: dict[str, dict[str, int]] = {}

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
        self._check_ends(list(keys))
        return keys

    def _check_ends(self, kids: list[str]) -> None:
        """Where there is a successor or an end, one key signs today: the last, and each before it ends above the one
        before."""
        if self.successor and not THUMBPRINT.fullmatch(self.successor):
            raise ValueError(f"successor {self.successor[:64]!r} is no thumbprint of a key")
        if not self.successor and not self.ends:
            return
        if len(kids) > MOST_KEYS:
            raise ValueError(f"{len(kids)} event keys are pinned, and a chain has at most {MOST_KEYS}")
        if set(self.ends) != set(kids[:-1]):
            raise ValueError("with a successor or an end, each event key but the last needs its end, and no other does")
        before = dict.fromkeys(ENDING, 0)
        for kid in kids[:-1]:
            ends = self.ends[kid]
            if set(ends) != set(ENDING) or not all(before[stream] <= ends[stream] <= MAX_SEQ for stream in ENDING):
                raise ValueError(
                    f"the end of event key {kid} must be a seq of each of {', '.join(ENDING)}, none falling"
                )
            before = {stream: ends[stream] for stream in ENDING}
