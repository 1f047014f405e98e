"""What a page hands itself through a form: sealed, for one purpose, in one browser, for a while.

The hidden field carries what the form is about, so an anonymous visitor costs the store nothing; and as nobody else can
make one for this browser, it is the token against cross-site request forgery as well.
"""

import base64
import hashlib
import hmac
import secrets
from typing import Any, Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from events import base64url
from issuer.errors import OAuthError

T = TypeVar("T")

GOOD_FOR_SECONDS: Final = 3600.0
"""How long a page may lie open before its form is sent."""
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_OLDEST_AHEAD: Final = 60.0
"""By how much another replica's clock may be ahead of ours."""


class FormSeal:
    """Seals and opens with AES-256-GCM (NIST SP 800-38D); each message has a key of its own, derived by HMAC-SHA256."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "FormSeal(…)"

    def seal(self, purpose: str, value: Any, *, bound_to: str, now: float) -> str:
        """``value``, which msgspec can encode, as text for a hidden field or an address.

        Args:
            purpose: of the form; one made for another purpose is no good.
            value: what is handed on.
            bound_to: the browser, and whatever else must be the same still.
            now: seconds since the epoch.
        """
        salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
        sealed = self._aead(salt).encrypt(nonce, msgspec.json.encode((now, value)), _bound(purpose, bound_to))
        return base64.urlsafe_b64encode(salt + nonce + sealed).rstrip(b"=").decode()

    def open(self, purpose: str, text: str, kind: type[T], *, bound_to: str, now: float) -> T:
        """What was sealed for this purpose and browser.

        Raises:
            OAuthError: ``invalid_request``: it was not, or too long ago.
        """
        try:
            raw = base64url.decode(text.encode("ascii"))
            salt, nonce = raw[:_SALT_BYTES], raw[_SALT_BYTES : _SALT_BYTES + _NONCE_BYTES]
            opened = self._aead(salt).decrypt(nonce, raw[_SALT_BYTES + _NONCE_BYTES :], _bound(purpose, bound_to))
            made, value = msgspec.json.decode(opened, type=tuple[float, msgspec.Raw])
            carried = msgspec.json.decode(value, type=kind)
        except (InvalidTag, ValueError, msgspec.MsgspecError) as error:
            raise stale() from error
        if not -_OLDEST_AHEAD <= now - made <= GOOD_FOR_SECONDS:
            raise stale()
        return carried

    def _aead(self, salt: bytes) -> AESGCM:
        return AESGCM(hmac.new(self._key, salt, hashlib.sha256).digest())


def stale() -> OAuthError:
    """The form was not made here for this browser, or too long ago; which of these is nobody's business."""
    return OAuthError(
        "invalid_request",
        "This page has lain open for too long, or was opened in another browser. "
        "Go back to the application and start again.",
    )


def _bound(purpose: str, to: str) -> bytes:
    return f"{purpose}\0{to}".encode()
