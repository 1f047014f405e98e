"""The standard claims of a user (OpenID Connect Core section 5.1): which there are, and what each must be."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec


class Address(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Section 5.1.1."""

    formatted: str | None = None
    street_address: str | None = None
    locality: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None


_TEXTS: Final = (
    *("name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture"),
    *("website", "email", "gender", "birthdate", "zoneinfo", "locale", "phone_number"),
)
STANDARD: Final[Mapping[str, Any]] = {
    **dict.fromkeys(_TEXTS, str),
    "email_verified": bool,
    "phone_number_verified": bool,
    "updated_at": int | float,
    "address": Address,
}
"""The type of each; ``sub`` is not among them, as it is the record's own."""


def is_fit(name: str, value: Any) -> bool:
    """Whether a client may be told this of a standard claim: it has the right type, and says something (5.3.2)."""
    if value in ("", None) or value == {}:
        return False
    try:
        msgspec.convert(value, STANDARD[name])
    except msgspec.ValidationError:
        return False
    return True


def check(claims: Mapping[str, Any]) -> None:
    """Refuse a record that clients could not read.

    Raises:
        ValueError: it has a standard claim of another type, or a ``sub``; the message names it.
    """
    if "sub" in claims:
        raise ValueError("claim 'sub' is the user's identifier, and no further claim")
    for name in STANDARD.keys() & claims.keys():
        try:
            msgspec.convert(claims[name], STANDARD[name])
        except msgspec.ValidationError as error:
            raise ValueError(f"claim {name!r}: {error} (OpenID Connect Core section 5.1)") from error


def parsed(name: str, text: str) -> Any:
    """A claim as it was typed or stands in a table: a standard one by its type, any other as JSON where it is that.

    So a telephone number stays text, ``true`` becomes a truth value, and ``["admin"]`` a list.
    """
    if STANDARD.get(name) is str:
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
