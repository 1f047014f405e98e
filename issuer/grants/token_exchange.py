"""Token exchange (RFC 8693): a service that was sent a token gets one for the next service, never with more in it."""

from typing import Any, ClassVar, Final

from issuer.clients import Client
from issuer.errors import invalid_request
from issuer.grants.grant import Authorization, GrantRequest, granted_audience, granted_scope
from issuer.parts import Parts
from issuer.tokens.recipients import was_sent_to
from verifier_agent import Claims, TokenRejected

ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - RFC 8693 section 3
MOST_ACTORS: Final = 8
OF_THE_TOKEN_ALONE: Final = frozenset(
    {"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "rsq", "act", "cnf"}
)
"""Claims that the new token has of its own. All others go along: by any of them the old one may be revoked."""


class TokenExchangeGrant:
    """Delegation: the new token speaks for the same user, names who acts (``act``), and ends no later."""

    grant_type: ClassVar[str] = "urn:ietf:params:oauth:grant-type:token-exchange"

    def __init__(self, parts: Parts) -> None:
        self._own_agent = parts.own_agent
        self._parts = parts

    async def authorize(self, request: GrantRequest) -> Authorization:
        """See ``Grant.authorize``; a subject token that is no good is ``invalid_request`` (section 2.2.2)."""
        client, subject = request.client, self._subject(request)
        allowed = tuple(scope for scope in client.scopes if scope in subject.scope)
        audiences = client.audiences or (self._parts.settings.audience,)
        known = subject.raw.get("rsq")
        return Authorization(
            client=client,
            subject=subject.sub or "",
            scope=granted_scope(allowed, request.parameters.get("scope")),
            audience=granted_audience(audiences, request.parameters.get("resource")),
            rsq=min(request.rsq, known if isinstance(known, int) else 0),
            claims={
                **{name: value for name, value in subject.raw.items() if name not in OF_THE_TOKEN_ALONE},
                "act": _actors(client, subject),
            },
            not_after=subject.exp,
            token_type=ACCESS_TOKEN,
        )

    def _subject(self, request: GrantRequest) -> Claims:
        parameters = request.parameters
        if request.required("subject_token_type") != ACCESS_TOKEN:
            raise invalid_request(f"subject_token_type must be {ACCESS_TOKEN}")
        if parameters.get("requested_token_type", ACCESS_TOKEN) != ACCESS_TOKEN:
            raise invalid_request(f"requested_token_type must be {ACCESS_TOKEN}")
        if "actor_token" in parameters or "actor_token_type" in parameters:
            raise invalid_request("who acts is the client; there is no actor_token here")
        try:
            subject = self._own_agent.verify(request.required("subject_token"), audience=None)
        except TokenRejected as error:
            raise invalid_request("the subject token is not good here, or not any more") from error
        if not was_sent_to(request.client, subject, self._parts.settings.audience):
            raise invalid_request("the subject token was issued neither to this client nor for its services")
        return subject


def _actors(client: Client, subject: Claims) -> dict[str, Any]:
    """Who acts, and who acted before (section 4.1)."""
    before, depth = subject.raw.get("act"), 1
    each = before
    while isinstance(each, dict):
        each, depth = each.get("act"), depth + 1
    if depth > MOST_ACTORS:
        raise invalid_request(f"the subject token has passed through {MOST_ACTORS} actors already")
    return {"sub": client.client_id, **({"act": before} if isinstance(before, dict) else {})}
