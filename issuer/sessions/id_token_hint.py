"""An ID token of ours that a client shows us again, to say whom it means (RP-Initiated Logout section 2)."""

import msgspec
from cryptography.exceptions import InvalidSignature

from issuer.openid.id_tokens import TYPE
from verifier_agent import TokenRejected
from verifier_agent.jws import parse_header, parse_token
from verifier_agent.keyring import Keyring


class IdTokenHint(msgspec.Struct, frozen=True, kw_only=True):
    """What matters of it.

    Attributes:
        sub: the user.
        aud: the client that it was issued to.
        sid: the session, where it came of one.
    """

    sub: str
    aud: str
    sid: str | None = None


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    iss: str
    sub: str
    aud: str
    sid: str | None = None


def id_token_hint(text: str, keys: Keyring, issuer: str) -> IdTokenHint | None:
    """What the token says; ``None`` when it is no ID token of ours.

    Expired ones count (section 4), as long as their key does: logging out is what one does late. An access token
    (``at+jwt``) does not: a service that was sent one may log nobody out.
    """
    try:
        token = parse_token(text)
        header = parse_header(token.header)
        verify = keys.verifying().get(header.kid)
        key = keys.get(header.kid)
        if header.typ != TYPE or verify is None or key is None or key.published.alg != header.alg:
            return None
        verify(token.signature, token.signing_input)
        said = msgspec.json.decode(token.payload, type=_Said)
    except (TokenRejected, InvalidSignature, ValueError, RecursionError):
        return None
    return IdTokenHint(sub=said.sub, aud=said.aud, sid=said.sid) if said.iss == issuer else None
