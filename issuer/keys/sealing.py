"""Private keys at rest: AES-256-GCM (NIST SP 800-38D) under a key-encryption key from a file or the environment.

The key's ``kid`` and use are authenticated with it, so a sealed key cannot be put in another's place.
"""

import base64
import hashlib
import secrets
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from issuer.errors import SealBroken
from issuer.keys.private_file import read_private, write_private
from verifier_agent import SettingInvalid

KEK_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


class KeyEncryptionKey:
    """One AES-256 key, a ``KeyWrapper``. Its ``kek_id`` is the start of its hash."""

    def __init__(self, key: bytes) -> None:
        """Take 32 random bytes.

        Raises:
            ValueError: it has another length.
        """
        if len(key) != KEK_BYTES:
            raise ValueError(f"a key-encryption key has {KEK_BYTES} bytes, not {len(key)}")
        self.kek_id = hashlib.sha256(b"tocsin kek id" + key).hexdigest()[:16]
        self._aead = AESGCM(key)

    def __repr__(self) -> str:
        return f"KeyEncryptionKey(kek_id={self.kek_id!r})"

    @classmethod
    def decode(cls, text: str, source: str) -> Self:
        """The key in ``text``, 32 bytes in base64.

        Raises:
            SettingInvalid: it is not that; the message names ``source`` and shows nothing of it.
        """
        try:
            return cls(base64.b64decode(text.strip(), validate=True))
        except ValueError:  # no base64, or another length
            raise SettingInvalid(f"{source} is not {KEK_BYTES} bytes in base64") from None

    @classmethod
    def load(cls, path: Path, setting: str = "kek_file") -> Self:
        """Read the file that ``create`` wrote.

        Raises:
            SettingInvalid: it cannot be read, is no such key, or others than its owner may read it.
        """
        text = read_private(path, f"setting {setting!r}").decode(errors="replace")
        return cls.decode(text, f"setting {setting!r}: {path}")

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new key and keep it in ``path``, for its owner alone.

        Raises:
            FileExistsError: there is a file already; it is not touched.
        """
        key = secrets.token_bytes(KEK_BYTES)
        write_private(path, base64.b64encode(key) + b"\n")
        return cls(key)

    async def wrap(self, secret: bytes, *, kid: str, use: str) -> bytes:
        """``secret`` encrypted, with its nonce in front."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, secret, bound_to(kid, use))

    async def unwrap(self, sealed: bytes, *, kid: str, use: str) -> bytes:
        """What ``wrap`` was given.

        Raises:
            SealBroken: another key sealed it, it belongs to another ``kid`` or use, or it is damaged.
        """
        check_length(sealed, kid=kid, use=use, kek_id=self.kek_id)
        try:
            return self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to(kid, use))
        except InvalidTag:
            raise broken(kid, use, self.kek_id) from None


def bound_to(kid: str, use: str) -> bytes:
    """The associated data: what is sealed is good for this key alone."""
    return f"{use}|{kid}".encode()


def check_length(sealed: bytes, *, kid: str, use: str, kek_id: str) -> None:
    """Make sure that nonce and tag can be there.

    Raises:
        SealBroken: they cannot.
    """
    if len(sealed) <= NONCE_BYTES + TAG_BYTES:
        raise SealBroken(
            f"private key {kid} ({use}) is cut short: {len(sealed)} bytes are left of what "
            f"key-encryption key {kek_id} sealed; restore its row from a backup"
        )


def broken(kid: str, use: str, kek_id: str) -> SealBroken:
    """What does not open with this key."""
    return SealBroken(
        f"private key {kid} ({use}) cannot be unsealed with key-encryption key {kek_id}: "
        "its row is damaged or another key's, or this is another key-encryption key of that name"
    )
