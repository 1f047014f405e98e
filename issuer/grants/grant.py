"""What a grant is: given an authenticated client's request, whom the token shall speak for, and what it may."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from issuer.clients import Client
from issuer.errors import OAuthError

CREDENTIALS: Final = frozenset({"client_secret", "client_assertion"})
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


class Authorization(msgspec.Struct, frozen=True, kw_only=True):
    """What the token shall say.

    Attributes:
        client: who gets it.
        subject: whom it speaks for.
        scope: what it allows.
        audience: for which services.
        rsq: oldest knowledge of revocations that was used to decide.
        claims: further claims; registered ones are the token service's.
    """

    client: Client
    subject: str
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    rsq: int
    claims: Mapping[str, Any] = {}


class Grant(Protocol):
    """A strategy for one ``grant_type``."""

    grant_type: str

    async def authorize(self, request: GrantRequest) -> Authorization:
        """Decide.

        Raises:
            OAuthError: the request is refused (RFC 6749 section 5.2).
        """


def granted_scope(client: Client, asked: str | None) -> tuple[str, ...]:
    """The scope to give: what is asked for, or everything that the client has (RFC 6749 section 3.3).

    Raises:
        OAuthError: ``invalid_scope``, when it asks for more than it has.
    """
    if asked is None:
        return client.scopes
    wanted = tuple(dict.fromkeys(asked.split()))
    if not wanted or not set(wanted) <= set(client.scopes):
        raise OAuthError("invalid_scope", "this client may not have every scope that it asks for")
    return wanted


def granted_audience(client: Client, asked: str | None, default: str) -> tuple[str, ...]:
    """The audience to give: the ``resource`` asked for, or the client's first (RFC 8707 section 2).

    Raises:
        OAuthError: ``invalid_target``, when its tokens may not be for that resource.
    """
    allowed = client.audiences or (default,)
    if asked is None:
        return allowed[:1]
    if asked not in allowed:
        raise OAuthError("invalid_target", "tokens of this client may not be for this resource")
    return (asked,)
