"""Claim enhancers: what an application adds to the claims of a token, composed from entry points."""

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Final, Protocol

from issuer.grants import Authorization
from issuer.parts import Parts

GROUP: Final = "tocsin.enhancers"

RESERVED: Final = frozenset(
    {"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "rsq", "sid", "grant_id"}
    | {"auth_time", "amr", "cnf", "act"}
)
"""Claims that are the token service's alone: they decide who may do what, and what a revocation hits."""


class Enhancer(Protocol):
    """Adds claims."""

    async def enhance(self, authorization: Authorization) -> Mapping[str, Any]:
        """Further claims for a token that is about to be signed."""


def load_enhancers(parts: Parts) -> Sequence[Enhancer]:
    """Every installed enhancer, by name."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    return [entry.load()(parts) for entry in found]


class UserClaims:
    """Claims of the user's record, those that setting ``user_claims`` names: roles, tenant."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def enhance(self, authorization: Authorization) -> Mapping[str, Any]:
        """See ``Enhancer``."""
        if authorization.family is None or not self._parts.settings.user_claims:
            return {}
        names = frozenset(self._parts.settings.user_claims) - RESERVED
        user = await self._parts.users.find(authorization.subject)
        return {} if user is None else {name: user.claims[name] for name in names & user.claims.keys()}


async def enhanced(authorization: Authorization, enhancers: Sequence[Enhancer]) -> dict[str, Any]:
    """The claims of the authorization and of all enhancers; a later one wins.

    Raises:
        ValueError: one sets a reserved claim; the message names both.
    """
    claims = dict(authorization.claims)
    for enhancer in enhancers:
        more = await enhancer.enhance(authorization)
        if reserved := RESERVED.intersection(more):
            raise ValueError(f"enhancer {type(enhancer).__name__} must not set {', '.join(sorted(reserved))}")
        claims |= more
    return claims
