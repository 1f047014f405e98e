"""The claims of a verified access token (RFC 9068 section 2.2), typed and immutable."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec import UNSET

from events.selectors import MAX_MEMBERS
from verifier_agent.errors import RejectionCode, TokenRejected


class Claims(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a verified token says.

    Attributes:
        iss: who issued it.
        sub: whom it speaks for.
        aud: for which services.
        exp: seconds since the epoch at which it ends.
        iat: seconds since the epoch at which it was issued; ``None`` when it does not say.
        nbf: seconds since the epoch before which it does not count yet; ``None`` when it does not say.
        jti: its identifier, or ``None``.
        client_id: which client got it, or ``None``.
        scope: what it allows.
        raw: every claim, as JSON values; read-only at its top level. Calls for the same token share what lies below:
            copy a list in it before you change it.
    """

    iss: str
    sub: str | None
    aud: tuple[str, ...]
    exp: float
    iat: float | None
    nbf: float | None
    jti: str | None
    client_id: str | None
    scope: frozenset[str]
    raw: Mapping[str, Any]


_DECODER: Final = msgspec.json.Decoder(dict[str, Any])
_MALFORMED: Final = "its claims are not those of an access token"


class ClaimsDecoder:
    """Decodes payloads. It remembers the texts of scopes in use: the tokens of one client have the same."""

    MAX_SCOPES: Final = 1024

    def __init__(self) -> None:
        self._scopes: dict[str, frozenset[str]] = {}

    def decode(self, payload: bytes) -> Claims:
        """The claims in a JWT payload whose signature has been checked.

        Raises:
            TokenRejected: ``malformed``, when the payload is no JSON object with the right types in it, or a list in it
                is longer than selectors can be held against.
        """
        try:
            raw: dict[str, Any] = _DECODER.decode(payload)
            text = raw.get("scope", "")
            claims = Claims(
                iss=_text(raw["iss"]),
                sub=_text_or_none(raw.get("sub", UNSET)),
                aud=_audience(raw.get("aud", [])),
                exp=_seconds(raw["exp"]),
                iat=_seconds_or_none(raw.get("iat", UNSET)),
                nbf=_seconds_or_none(raw.get("nbf", UNSET)),
                jti=_text_or_none(raw.get("jti", UNSET)),
                client_id=_text_or_none(raw.get("client_id", UNSET)),
                scope=self._scopes.get(text) or self._words(_text(text)),
                raw=MappingProxyType(raw),
            )
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise TokenRejected(RejectionCode.MALFORMED, _MALFORMED) from error
        for name, value in raw.items():
            if value.__class__ is list and len(value) > MAX_MEMBERS:
                raise TokenRejected(RejectionCode.MALFORMED, f"claim {name[:64]!r} has more than {MAX_MEMBERS} members")
        return claims

    def _words(self, text: str) -> frozenset[str]:
        """What a text allows: cut at spaces alone (RFC 6749 section 3.3), though revocations see more in it."""
        if len(text.split()) > MAX_MEMBERS:
            raise TokenRejected(RejectionCode.MALFORMED, f"it has more than {MAX_MEMBERS} scopes")
        words = frozenset(filter(None, text.split(" ")))
        if len(self._scopes) >= self.MAX_SCOPES:
            self._scopes = {}
        self._scopes[text] = words
        return words


def _text(value: Any) -> str:
    if value.__class__ is str:
        text: str = value
        return text
    raise ValueError("no text")


def _audience(value: Any) -> tuple[str, ...]:
    """RFC 7519 section 4.1.3: one text, or a list of them."""
    if value.__class__ is list:
        return tuple(map(_text, value))
    return (_text(value),)


def _text_or_none(value: Any) -> str | None:
    return None if value is UNSET else _text(value)


def _seconds(value: Any) -> float:
    if value.__class__ is not int and value.__class__ is not float:
        raise ValueError("no number")
    return float(value)


def _seconds_or_none(value: Any) -> float | None:
    return None if value is UNSET else _seconds(value)
