"""Private keys at rest: AES-256-GCM (NIST SP 800-38D) under a key-encryption key.

The key's ``kid`` and use are authenticated with it, so a sealed key cannot be put in another's place.
"""

import base64
import hashlib
import os
import secrets
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from issuer.errors import SealBroken
from verifier_agent import SettingInvalid

KEK_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class KeyEncryptionKey:
    """One AES-256 key. Its ``kek_id``, the start of its hash, tells which one a row was sealed with."""

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
        except ValueError as error:  # no base64, or another length
            raise SettingInvalid(f"{source} is not {KEK_BYTES} bytes in base64") from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file that ``create`` wrote.

        Raises:
            SettingInvalid: it cannot be read, is no such key, or others than its owner may read it.
        """
        try:
            mode = path.stat().st_mode & 0o777
            text = path.read_text(errors="replace")
        except OSError as error:
            raise SettingInvalid(f"setting 'kek_file': {error}") from error
        if mode & 0o077:
            raise SettingInvalid(f"setting 'kek_file': others may read {path} (mode {mode:o}); chmod 600 it")
        return cls.decode(text, f"setting 'kek_file': {path}")

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new key and keep it in ``path``, for its owner alone.

        Raises:
            FileExistsError: there is a file already; it is not touched.
        """
        key = secrets.token_bytes(KEK_BYTES)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(key) + b"\n")
        return cls(key)

    def seal(self, secret: bytes, *, kid: str, use: str) -> bytes:
        """``secret`` encrypted, with its nonce in front."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, secret, _bound_to(kid, use))

    def unseal(self, sealed: bytes, *, kid: str, use: str) -> bytes:
        """What ``seal`` was given.

        Raises:
            SealBroken: another key sealed it, it belongs to another ``kid`` or use, or it is damaged.
        """
        try:
            return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound_to(kid, use))
        except (InvalidTag, ValueError) as error:
            raise SealBroken(
                f"private key {kid} ({use}) cannot be unsealed with key-encryption key {self.kek_id}"
            ) from error


def _bound_to(kid: str, use: str) -> bytes:
    return f"{use}|{kid}".encode()
