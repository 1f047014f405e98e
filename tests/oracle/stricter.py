"""Where the verifier is meant to be stricter than PyJWT. There is no table of where it is laxer.

Each row is decided from the text of the token, by other means than the verifier's.
"""

import base64
import json
import math
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

MAX_CHARS: Final = 8192
MAX_MEMBERS: Final = 256


class Readings(NamedTuple):
    """A token as the standard library's ``json`` reads it."""

    text: str
    header_text: bytes
    payload_text: bytes
    header: dict[str, Any]
    payload: dict[str, Any]


def read(token: str) -> Readings:
    """The readings of a token that PyJWT has accepted."""
    header_text, payload_text = (_decoded(part.rstrip("=")) for part in token.split(".")[:2])
    return Readings(token, header_text, payload_text, json.loads(header_text), json.loads(payload_text))


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _is_no_json(found: Readings) -> bool:
    return any(not _is_json(text) for text in (found.header_text, found.payload_text))


def _is_json(text: bytes) -> bool:
    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        value = json.loads(text.decode("utf-8"), parse_constant=refuse)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except ValueError:
        return False
    return not text.startswith(b"\xef\xbb\xbf")


def _has_odd_number(found: Readings) -> bool:
    return any(_odd(value) for value in (*found.header.values(), *found.payload.values()))


def _odd(value: object) -> bool:
    if isinstance(value, int):
        return abs(value) > 10**308
    return isinstance(value, float) and not math.isfinite(value)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: object) -> bool:
    return isinstance(value, str)


def _audience(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(map(_text, value)))


TYPES: Final[dict[str, Callable[[object], bool]]] = {
    "iss": _text,
    "sub": _text,
    "aud": _audience,
    "exp": _number,
    "iat": _number,
    "nbf": _number,
    "jti": _text,
    "client_id": _text,
    "scope": _text,
}


def _has_wrong_type(found: Readings) -> bool:
    return any(name in found.payload and not fits(found.payload[name]) for name, fits in TYPES.items())


def _has_long_list(found: Readings) -> bool:
    lists = [value for value in found.payload.values() if isinstance(value, list)]
    scope = found.payload.get("scope")
    return any(len(value) > MAX_MEMBERS for value in lists) or (
        isinstance(scope, str) and len(scope.split()) > MAX_MEMBERS
    )


def _has_duplicates(found: Readings) -> bool:
    seen: list[bool] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        seen.append(max(Counter(name for name, _ in pairs).values(), default=0) > 1)

    for text in (found.header_text, found.payload_text):
        json.loads(text, object_pairs_hook=look)
    return any(seen)


class Row(NamedTuple):
    """One way of being stricter."""

    reason: str
    holds: Callable[[Readings], bool]


STRICTER: Final[dict[str, Row]] = {
    "typ": Row(
        "RFC 9068 section 4: the type is at+jwt, or other tokens by the same key would pass for access tokens",
        lambda found: str(found.header.get("typ")).lower() not in ("at+jwt", "application/at+jwt"),
    ),
    "kid": Row(
        "each token names its key, so that there is one that verifies it and none to try",
        lambda found: "kid" not in found.header,
    ),
    "crit": Row(
        "RFC 7515 section 4.1.11, RFC 7797: no extension is understood, not even where it changes nothing",
        lambda found: not {"crit", "b64", "zip", "enc"}.isdisjoint(found.header),
    ),
    "padding": Row(
        "RFC 7515 section 2: base64url has no padding, so a token has one spelling", lambda found: "=" in found.text
    ),
    "JSON": Row(
        "RFC 8259: UTF-8 without a byte order mark, no NaN, no half of a surrogate pair, finite numbers", _is_no_json
    ),
    "numbers": Row("a number that no double holds is no time, and costs its reader too much", _has_odd_number),
    "types": Row("RFC 7519 section 4.1, RFC 9068 section 2.2: each registered claim has its type", _has_wrong_type),
    "members": Row("a list longer than selectors can be held against would escape them", _has_long_list),
    "size": Row("longer than any header that a server lets through", lambda found: len(found.text) > MAX_CHARS),
}

LEFT_OPEN: Final = Row(
    "RFC 7515 section 4, RFC 7519 section 4: duplicate members are refused, or the last one counts", _has_duplicates
)
"""What a verifier may do and need not."""
