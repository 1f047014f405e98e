"""What a grant is: given an authenticated client's request, whom the token shall speak for, and what it may."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import msgspec

from issuer.clients import Client
from issuer.errors import OAuthError, invalid_request
from issuer.families import Family
from verifier_agent import Secret

CREDENTIALS: Final = frozenset({"client_secret", "client_assertion", "client_assertion_type"})
"""Parameters that authenticate the client; no grant needs them (RFC 6749 section 2.3.1, RFC 7521 section 4.2)."""


class GrantRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A token request, its client authenticated.

    Attributes:
        client: who asks.
        parameters: the form, each name once (RFC 6749 section 3.2), without the client's credentials.
        rsq: highest revocation ``seq`` known here, read before anything about this request was looked up. A grant that
            derives from an older credential lowers it to that credential's.
    """

    client: Client
    parameters: Mapping[str, str]
    rsq: int

    def __repr__(self) -> str:
        # Values may be passwords, codes and tokens.
        names = ", ".join(sorted(self.parameters))
        return f"GrantRequest(client_id={self.client.client_id!r}, parameters=({names}), rsq={self.rsq})"

    def required(self, name: str) -> str:
        """A parameter that must be there.

        Raises:
            OAuthError: ``invalid_request``, when it is not.
        """
        if name not in self.parameters:
            raise invalid_request(f"parameter {name!r} is missing")
        return self.parameters[name]


class Authorization(msgspec.Struct, frozen=True, kw_only=True):
    """What the token shall say.

    Attributes:
        client: who gets it.
        subject: whom it speaks for.
        scope: what it allows.
        audience: for which services.
        rsq: oldest knowledge of revocations that was used to decide.
        claims: further claims; registered ones are the token service's.
        family: what the token comes of, where a user has agreed to it.
        not_after: when the token shall have ended at the latest, seconds since the epoch.
        take: called when the token is about to be given, after which there is no way back: keeps a new family, or
            uses up what was presented. Gives the refresh token to go with it, if there is one.
        nonce: of the request that the user agreed to, for the ID token (OpenID Connect Core section 2).
        token_type: of what is issued, in an answer of token exchange (RFC 8693 section 2.2.1).
    """

    client: Client
    subject: str
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    rsq: int
    claims: Mapping[str, Any] = {}
    family: Family | None = None
    not_after: float | None = None
    take: Callable[[], Awaitable[Secret | None]] | None = None
    token_type: str | None = None
    nonce: str | None = None


class Grant(Protocol):
    """A strategy for one ``grant_type``. It is made with ``Parts``.

    A class may have ``is_offered(settings)``; where that is false there is no such grant.
    """

    grant_type: str

    async def authorize(self, request: GrantRequest) -> Authorization:
        """Decide.

        Raises:
            OAuthError: the request is refused (RFC 6749 section 5.2).
        """


def granted_scope(allowed: tuple[str, ...], asked: str | None) -> tuple[str, ...]:
    """The scope to give: what is asked for, or everything that is allowed (RFC 6749 section 3.3).

    Raises:
        OAuthError: ``invalid_scope``, when more is asked for than is allowed.
    """
    if asked is None:
        return allowed
    wanted = tuple(dict.fromkeys(word for word in asked.split(" ") if word))  # nothing else separates them
    if not wanted or not set(wanted) <= set(allowed):
        raise OAuthError("invalid_scope", "this client may not have every scope that it asks for")
    return wanted


def granted_audience(allowed: tuple[str, ...], asked: str | None) -> tuple[str, ...]:
    """The audience to give: the ``resource`` asked for, or the first that is allowed (RFC 8707 section 2).

    With none left, as the client has lost every service that it had, a token would be for nobody, or for anybody.

    Raises:
        OAuthError: ``invalid_target``, when tokens may not be for that resource.
    """
    if asked is None and allowed:
        return allowed[:1]
    if asked is None or asked not in allowed:
        raise OAuthError("invalid_target", "tokens of this client may not be for this resource")
    return (asked,)


def kept_audience(granted: tuple[str, ...], client: Client) -> tuple[str, ...]:
    """Of the services that were granted once, those that the client's tokens may be for still."""
    return tuple(each for each in granted if not client.audiences or each in client.audiences)
