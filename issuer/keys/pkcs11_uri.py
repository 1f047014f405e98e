"""Names a key in a hardware security module: a PKCS #11 URI (RFC 7512)."""

from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote

import msgspec

from verifier_agent import SettingInvalid

SCHEME: Final = "pkcs11:"
MAX_KEK_ID: Final = 64
_EXAMPLE: Final = "pkcs11:token=T;object=K?module-path=/usr/lib/….so&pin-source=file:/etc/…"


class Pkcs11Uri(msgspec.Struct, frozen=True, kw_only=True):
    """A secret key on a token, the library that reaches it, and the file with its PIN.

    Attributes:
        token: label of the token.
        object: label of the key.
        module: the PKCS #11 library.
        pin_source: file with the PIN, its owner's alone.
    """

    token: str
    object: str
    module: Path
    pin_source: Path

    @property
    def kek_id(self) -> str:
        """What rows sealed with this key are marked with: its name, as an HSM gives away no hash of a key."""
        return f"{SCHEME}{self.token}/{self.object}"

    @classmethod
    def parse(cls, text: str, setting: str) -> Self:
        """The parts of a URI; only those that are of use here may be in it.

        Raises:
            SettingInvalid: it is none, or lacks one; the message names ``setting`` and shows no value.
        """
        if not text.startswith(SCHEME):
            raise SettingInvalid(f"setting {setting!r} is no PKCS #11 URI (RFC 7512): write {_EXAMPLE}")
        path, _, query = text.removeprefix(SCHEME).partition("?")
        parts = {**_parts(path, ";", setting), **_parts(query, "&", setting)}
        if "pin-value" in parts:
            raise SettingInvalid(f"setting {setting!r} holds a PIN, which would be seen: use pin-source=file:/…")
        known = {"token", "object", "module-path", "pin-source"}
        if wrong := sorted(parts.keys() ^ known):
            found = "lacks" if wrong[0] in known else "must not have"
            raise SettingInvalid(f"setting {setting!r} {found} {wrong[0]!r}: write {_EXAMPLE}")
        uri = cls(
            token=parts["token"],
            object=parts["object"],
            module=Path(parts["module-path"]),
            pin_source=Path(parts["pin-source"].removeprefix("file://").removeprefix("file:")),
        )
        if len(uri.kek_id) > MAX_KEK_ID:
            raise SettingInvalid(f"setting {setting!r}: token and object have more than {MAX_KEK_ID - 8} characters")
        return uri


def _parts(text: str, separator: str, setting: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if not equals or not value or name in found:
            raise SettingInvalid(f"setting {setting!r}: {name!r} has no value, or two")
        found[name] = unquote(value)
    return found
