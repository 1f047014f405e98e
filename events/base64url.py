"""Strict base64url (RFC 7515 section 2): no padding, foreign characters or spare bits, so one text for one value."""

import binascii
from typing import Final

_TO_STANDARD: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
"""base64url to base64; what only the latter knows becomes a character that neither knows."""

_FROM_STANDARD: Final = bytes.maketrans(b"+/", b"-_")

_PADDING: Final = (b"", None, b"==", b"=")
_LAST: Final = (None, None, frozenset(b"AQgw"), frozenset(b"AEIMQUYcgkosw048"))
"""Last characters whose spare bits are zero (RFC 4648 section 3.5), by length modulo 4."""


def decode(text: bytes) -> bytes:
    """The bytes that ``text`` spells.

    Raises:
        ValueError: it is not canonical base64url.
    """
    rest = len(text) % 4
    padding, last = _PADDING[rest], _LAST[rest]
    if padding is None or (last is not None and text[-1] not in last):
        raise ValueError("no canonical base64url")
    return binascii.a2b_base64(text.translate(_TO_STANDARD) + padding, strict_mode=True)


def encode(data: bytes) -> bytes:
    """The one text that spells ``data``."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_FROM_STANDARD)
