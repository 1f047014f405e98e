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


class UnverifiedToken(msgspec.Struct, frozen=True, gc=False):
    """A token cut into parts; nothing about it is known yet.

    Attributes:
        signing_input: what the signature is over.
        header: the first part, as it is written.
        payload: the second part, decoded.
        signature: the third part, decoded.
    """

    signing_input: bytes
    header: bytes
    payload: bytes
    signature: bytes


def parse_token(token: str) -> UnverifiedToken:
    """Cut ``token`` into its parts.

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
        return UnverifiedToken(signing_input, header, base64url.decode(payload), base64url.decode(signature))
    except ValueError as error:  # a foreign character, or no canonical base64url
        raise TokenRejected(RejectionCode.MALFORMED, "it is not three parts in base64url") from error


def parse_header(part: bytes, *, needs_typ: bool = True) -> Header:
    """Decode and check the first part of a token.

    Args:
        part: as it is written.
        needs_typ: whether ``typ`` must be there; otherwise it is ``""`` when it is missing.

    Raises:
        TokenRejected: ``malformed``.
    """
    try:
        header: Any = msgspec.json.decode(base64url.decode(part))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise TokenRejected(RejectionCode.MALFORMED, "its header is no JSON in base64url") from error
    if not isinstance(header, dict) or not _CRITICAL_MEMBERS.isdisjoint(header):
        raise TokenRejected(RejectionCode.MALFORMED, "its header asks for what is not supported")
    alg, kid, typ = header.get("alg"), header.get("kid"), header.get("typ", None if needs_typ else "")
    if not (isinstance(alg, str) and isinstance(kid, str) and isinstance(typ, str)):
        raise TokenRejected(RejectionCode.MALFORMED, "its header needs alg, kid and typ as text")
    return Header(alg, kid, typ)
