"""The ordered list of token keys in configuration, each sealed: the first signs, the rest verify. Text, without I/O.

An entry is one line, ``KID:ALG:KEK:SEALED:CHECK``: the key-encryption key by its id, percent-encoded; what it sealed in
base64url; and a checksum of all before it, by which an entry that was cut short or pasted wrongly is told from one that
another key has sealed.
"""

import binascii
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from events import base64url
from verifier_agent import Secret, SettingInvalid

SETTING: Final = "signing_keys"
NONE: Final = "none"
"""The one entry of a list that says: the vault's keys sign again. An absent list says nothing, and changes nothing."""
MOST_ENTRIES: Final = 32
_KID: Final = re.compile(r"[A-Za-z0-9_.~][A-Za-z0-9._~-]{0,63}")
_ALGORITHMS: Final = ("ES256", "RS256", "EdDSA")
_PARTS: Final = 5


class ListedKey(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry says.

    Attributes:
        kid: of the key.
        alg: its algorithm.
        kek_id: the key-encryption key that it is sealed with.
        sealed: the private JWK, sealed as a token key.
    """

    kid: str
    alg: str
    kek_id: str
    sealed: bytes

    def __repr__(self) -> str:
        return f"ListedKey({self.kid}, {self.alg}, sealed with {self.kek_id})"

    def text(self) -> "SealedEntry":
        """As it stands in configuration."""
        parts = (self.kid, self.alg, quote(self.kek_id, safe=""), base64url.encode(self.sealed).decode())
        said = ":".join(parts)
        return SealedEntry(f"{said}:{_checksum(said)}")


class SealedEntry(Secret):
    """An entry as it stands in configuration; what is sealed is shown nowhere."""

    @property
    def shown(self) -> str:
        """Which key it is, and what it is sealed with."""
        try:
            key = self.parse()
        except ValueError:
            return super().shown
        return NONE if key is None else f"{key.kid} ({key.alg}, sealed with {key.kek_id})"

    def __repr__(self) -> str:
        return f"SealedEntry({self.shown})"

    def check(self) -> None:
        """Make sure that it is an entry.

        Raises:
            ValueError: it is none; the message shows nothing of what is sealed.
        """
        self.parse()

    def parse(self) -> ListedKey | None:
        """What it says; ``None`` for the word ``none``.

        Raises:
            ValueError: as ``check``.
        """
        said = self.reveal().strip()
        if said == NONE:
            return None
        parts = said.split(":")
        kid = parts[0] if len(parts) > 1 and _KID.fullmatch(parts[0]) else ""
        named = f" (kid {kid})" if kid else ""
        if len(parts) != _PARTS:
            raise ValueError(
                f"it has {len(parts)} of {_PARTS} parts{named}: is it cut short? `tocsin keys wrap` makes one"
            )
        if _checksum(said.rpartition(":")[0]) != parts[-1]:
            raise ValueError(f"its checksum does not fit{named}: it is cut short, or was changed")
        if not kid:
            raise ValueError("its kid must be 1 to 64 letters, digits or . _ ~ -, and not begin with -")
        if parts[1] not in _ALGORITHMS:
            raise ValueError(f"its algorithm is {parts[1][:16]!r}{named}; there are {', '.join(_ALGORITHMS)}")
        try:
            sealed = base64url.decode(parts[3].encode())
        except ValueError:
            raise ValueError(f"what is sealed is no base64url{named}") from None
        return ListedKey(kid=kid, alg=parts[1], kek_id=unquote(parts[2]), sealed=sealed)


def read_list(entries: Sequence[SealedEntry]) -> tuple[ListedKey, ...] | None:
    """The keys of a list in their order; ``None`` where nothing is said.

    Raises:
        SettingInvalid: an entry is none, a ``kid`` stands twice, or there are too many; the message names the entry.
    """
    if not entries:
        return None
    if len(entries) > MOST_ENTRIES:
        raise SettingInvalid(f"setting {SETTING!r} has {len(entries)} entries; at most {MOST_ENTRIES} are read")
    found = []
    for place, entry in enumerate(entries, 1):
        try:
            key = entry.parse()
        except ValueError as error:
            raise SettingInvalid(f"setting {SETTING!r}: entry {place}: {error}") from error
        if key is not None:
            found.append(key)
        elif len(entries) > 1:
            raise SettingInvalid(f"setting {SETTING!r}: entry {place}: {NONE!r} stands alone or not at all")
    for kid, times in Counter(key.kid for key in found).items():
        if times > 1:
            places = [place for place, key in enumerate(found, 1) if key.kid == kid]
            raise SettingInvalid(
                f"setting {SETTING!r}: entry {places[1]}: kid {kid} stands in entry {places[0]} already"
            )
    return tuple(found)


def named(place: int, key: ListedKey) -> str:
    """How messages call an entry."""
    return f"setting {SETTING!r}: entry {place} (kid {key.kid})"


def _checksum(said: str) -> str:
    return f"{binascii.crc32(said.encode()):08x}"
