"""The claims of a verified access token (RFC 9068 section 2.2), typed and immutable."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

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
_OPENS_A_LIST: Final = ord("[")
"""As a number: bytes are looked for in bytes only after an error has been raised and forgotten."""
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
            get = raw.get
            iss, sub, jti, client_id, aud = raw["iss"], get("sub"), get("jti"), get("client_id"), get("aud")
            exp, iat, scope = raw["exp"], get("iat"), get("scope", "")
            # Only what is unusual is called for: a call takes longer than three of these comparisons.
            claims = Claims(
                iss=iss if iss.__class__ is str else _text(iss),
                sub=sub if sub.__class__ is str else _text_or_none(raw, "sub"),
                aud=(aud,) if aud.__class__ is str else _audience(raw),
                exp=float(exp) if exp.__class__ is int else _seconds(exp),
                iat=float(iat) if iat.__class__ is int else _seconds_or_none(raw, "iat"),
                nbf=_seconds(raw["nbf"]) if "nbf" in raw else None,
                jti=jti if jti.__class__ is str else _text_or_none(raw, "jti"),
                client_id=client_id if client_id.__class__ is str else _text_or_none(raw, "client_id"),
                scope=self._scopes.get(scope) or self._words(_text(scope)),
                raw=MappingProxyType(raw),
            )
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise TokenRejected(RejectionCode.MALFORMED, _MALFORMED) from error
        if _OPENS_A_LIST in payload:
            _refuse_long_lists(raw)
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


def _text_or_none(raw: dict[str, Any], name: str) -> str | None:
    return _text(raw[name]) if name in raw else None


def _audience(raw: dict[str, Any]) -> tuple[str, ...]:
    """RFC 7519 section 4.1.3: one text, or a list of them."""
    value = raw.get("aud", [])
    if value.__class__ is list:
        return tuple(map(_text, value))
    return (_text(value),)


def _seconds(value: Any) -> float:
    if value.__class__ is not int and value.__class__ is not float:
        raise ValueError("no number")
    return float(value)


def _seconds_or_none(raw: dict[str, Any], name: str) -> float | None:
    return _seconds(raw[name]) if name in raw else None


def _refuse_long_lists(raw: dict[str, Any]) -> None:
    for name, value in raw.items():
        if value.__class__ is list and len(value) > MAX_MEMBERS:
            raise TokenRejected(RejectionCode.MALFORMED, f"claim {name[:64]!r} has more than {MAX_MEMBERS} members")
