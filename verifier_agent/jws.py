"""The shape of a compact JWS (RFC 7515 section 7.1): three strict base64url parts, and a header we understand."""

from typing import Any, Final, NamedTuple

import msgspec

from events import base64url
from verifier_agent.errors import RejectionCode, TokenRejected

MAX_TOKEN_CHARS: Final = 8192

_CRITICAL_MEMBERS: Final = frozenset({"crit", "b64", "zip", "enc"})
"""Header members that would change what the token means (RFC 7515 section 4.1.11, RFC 7797); we support none."""


class Header(NamedTuple):
    """A JOSE header, checked for what we do not support."""

    alg: str
    kid: str
    typ: str


class UnverifiedToken(NamedTuple):
    """A token cut into parts; nothing about it is known yet."""

    header: Header
    signing_input: bytes
    payload: bytes
    signature: bytes


class TokenParser:
    """Cuts tokens. It remembers the few headers that are in use, for there is one a key."""

    MAX_HEADERS: Final = 64

    def __init__(self) -> None:
        self._headers: dict[bytes, Header] = {}

    def parse(self, token: str) -> UnverifiedToken:
        """Cut ``token`` and decode its parts.

        Raises:
            TokenRejected: ``oversized`` or ``malformed``.
        """
        if not isinstance(token, str):
            raise TokenRejected(RejectionCode.MALFORMED, f"a token is text, not {type(token).__name__}")
        if len(token) > MAX_TOKEN_CHARS:
            raise TokenRejected(RejectionCode.OVERSIZED, f"{len(token)} characters, more than {MAX_TOKEN_CHARS}")
        try:
            signing_input, _, signature = token.encode("ascii").rpartition(b".")
            header, _, payload = signing_input.partition(b".")
            if not header or not payload or not signature:
                raise ValueError("a part is missing")
            return UnverifiedToken(
                self._headers.get(header) or self._header(header),
                signing_input,
                base64url.decode(payload),
                base64url.decode(signature),
            )
        except ValueError as error:  # a foreign character, or no canonical base64url
            raise TokenRejected(RejectionCode.MALFORMED, "it is not three parts in base64url") from error

    def remember(self, token: UnverifiedToken) -> None:
        """Keep the header of a token whose signature was good, for the next one of the same key."""
        if len(self._headers) < self.MAX_HEADERS:
            self._headers[token.signing_input.partition(b".")[0]] = token.header

    def forget(self) -> None:
        """Drop the remembered headers; the keys have changed."""
        self._headers.clear()

    def _header(self, part: bytes) -> Header:
        try:
            header: Any = msgspec.json.decode(base64url.decode(part))
        except (msgspec.MsgspecError, RecursionError) as error:
            raise TokenRejected(RejectionCode.MALFORMED, "its header is no JSON") from error
        if not isinstance(header, dict) or not _CRITICAL_MEMBERS.isdisjoint(header):
            raise TokenRejected(RejectionCode.MALFORMED, "its header asks for what is not supported")
        alg, kid, typ = header.get("alg"), header.get("kid"), header.get("typ")
        if not (isinstance(alg, str) and isinstance(kid, str) and isinstance(typ, str)):
            raise TokenRejected(RejectionCode.MALFORMED, "its header needs alg, kid and typ as text")
        return Header(alg, kid, typ)
