"""From a value in a file to the digest that is sent: tokens themselves never leave the machine."""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Final

import msgspec

from events import base64url
from events.digests import DIGEST_BYTES

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_DIGEST: Final = re.compile(rb"[0-9a-fA-F]{16}")
_OBJECT: Final = b"eyJ"
"""How JSON objects begin in base64url, unless somebody puts a space after the brace."""
MOST_HEADERS: Final = 1024
"""Checked headers that are remembered: one a key."""


class BadValue(ValueError):
    """It cannot be what it should be; the message says why and has nothing of it."""


class Digester:
    """Checks the shape of values, and digests them."""

    def __init__(self) -> None:
        self._headers: set[bytes] = set()
        self.of: dict[str, Callable[[bytes], bytes]] = {
            "token": self._of_token,
            "jti": self._of_jti,
            "digest": self._of_digest,
        }
        """By kind, what digests a value; it raises ``BadValue``."""

    def _of_token(self, value: bytes) -> bytes:
        """A compact JWS: its signature is not looked at, as the issuer revokes what it never issued without harm."""
        if value.translate(None, _ALPHABET) != b"..":
            raise BadValue(_fault(value))
        signing_input, _, signature = value.rpartition(b".")
        header, _, payload = signing_input.partition(b".")
        if header not in self._headers:
            self._check_header(header)
        if not payload.startswith(_OBJECT):
            _check_object(payload, "payload")
        if not signature:
            raise BadValue("it has no signature")
        return sha256(signing_input).digest()[:DIGEST_BYTES]

    def _of_jti(self, value: bytes) -> bytes:
        try:
            value.decode()
        except UnicodeDecodeError:
            raise BadValue("it is not in UTF-8") from None
        return sha256(value).digest()[:DIGEST_BYTES]

    def _of_digest(self, value: bytes) -> bytes:
        if not _DIGEST.fullmatch(value):
            raise BadValue("a digest is 16 hexadecimal digits")
        return bytes.fromhex(value.decode())

    def _check_header(self, header: bytes) -> None:
        _check_object(header, "header")
        if len(self._headers) < MOST_HEADERS:
            self._headers.add(header)


def _fault(value: bytes) -> str:
    parts = value.count(b".") + 1
    if parts != 3:
        return f"it is no token: {parts} part{'s' * (parts > 1)} between dots, not 3"
    return "it is no token: it has characters other than those of base64url"


def _check_object(part: bytes, name: str) -> None:
    try:
        is_object = isinstance(msgspec.json.decode(base64url.decode(part)), dict)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise BadValue(f"it is no token: its {name} is no JSON object in base64url")
