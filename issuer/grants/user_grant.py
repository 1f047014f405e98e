"""What grants have in common by which a user lets a client act."""

from collections.abc import Mapping
from typing import Any

from issuer.clients import Client
from issuer.families import Family
from issuer.grants.grant import Authorization
from issuer.parts import Parts
from issuer.users import User
from verifier_agent import Secret

REFRESH: str = "refresh_token"


def begun(
    parts: Parts,
    client: Client,
    user: User,
    *,
    grant_type: str,
    scope: tuple[str, ...],
    audience: tuple[str, ...],
    gsq: int,
    auth_time: float,
    claims: Mapping[str, Any] = {},
) -> Authorization:
    """A new family, kept when its first token is given; renewable where the client may use the refresh grant.

    Args:
        parts: of the issuer.
        client: who is to act.
        user: for whom.
        grant_type: how it came to be.
        scope: what the user has agreed to.
        audience: the services that tokens may be for.
        gsq: see ``Family``.
        auth_time: when the user authenticated, seconds since the epoch.
        claims: see ``Family``.
    """
    family = new_family(
        *(parts, client, user),
        grant_type=grant_type,
        scope=scope,
        audience=audience,
        gsq=gsq,
        auth_time=auth_time,
        claims=claims,
    )

    async def take() -> Secret | None:
        return await parts.families.begin(family, renewable=REFRESH in client.grants)

    return Authorization(
        client=client, subject=user.sub, scope=scope, audience=audience[:1], rsq=gsq, family=family, take=take
    )


def new_family(parts: Parts, client: Client, user: User, *, claims: Mapping[str, Any] = {}, **said: Any) -> Family:
    """A family that nobody has kept yet; arguments as for ``begun``."""
    return parts.families.new(client_id=client.client_id, sub=user.sub, claims=dict(claims), **said)
