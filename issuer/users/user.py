"""A user's record, and the forms that a user name may take."""

import unicodedata
from typing import Any, Final

import msgspec

MAX_USERNAME: Final = 128
MAX_SUB: Final = 128


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Whom tokens can speak for.

    Attributes:
        sub: identifier that never changes and is never given again (OpenID Connect Core section 2).
        username: by which the user logs in, as ``normalized`` makes it; may change.
        claims: what tokens and UserInfo may say of the user: ``name``, ``email``, ``roles``, ``tenant`` …
        disabled: whether the user may do nothing any more.
    """

    sub: str
    username: str
    claims: dict[str, Any] = {}
    disabled: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.sub) <= MAX_SUB or not self.sub.isprintable():
            raise ValueError(f"sub must be 1 to {MAX_SUB} printable characters")
        if self.username != normalized(self.username):
            raise ValueError(f"username {self.username!r} is not in its normal form")


def normalized(username: str) -> str:
    """The one form of a user name: NFKC, without regard to case, no spaces around (RFC 8265 section 3.3, in short).

    Raises:
        ValueError: it is empty, too long, or has characters that nobody sees.
    """
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username.strip()).casefold())
    if not 1 <= len(name) <= MAX_USERNAME or not name.isprintable():
        raise ValueError(f"a user name must be 1 to {MAX_USERNAME} printable characters")
    return name
