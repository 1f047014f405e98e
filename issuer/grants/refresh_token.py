"""The refresh token grant (RFC 6749 section 6), each token for one use (RFC 9700 section 4.14.2)."""

from typing import ClassVar

from issuer.errors import OAuthError
from issuer.grants.grant import Authorization, GrantRequest, granted_audience, granted_scope, kept_audience
from issuer.parts import Parts
from verifier_agent import Secret


class RefreshTokenGrant:
    """Goes on with what a user has agreed to before; never with more."""

    grant_type: ClassVar[str] = "refresh_token"

    def __init__(self, parts: Parts) -> None:
        self._users = parts.users
        self._families = parts.families

    async def authorize(self, request: GrantRequest) -> Authorization:
        """See ``Grant.authorize``. The token is used up when everything else has been found good."""
        token = request.required("refresh_token")
        family = await self._families.find(token)
        if family is None or family.client_id != request.client.client_id:
            raise OAuthError("invalid_grant", "the refresh token is invalid, expired, revoked or was used before")
        user = await self._users.find(family.sub)
        if user is None or user.disabled:
            raise OAuthError("invalid_grant", "the user may do nothing any more")
        allowed = tuple(scope for scope in family.scope if scope in request.client.scopes)
        scope = granted_scope(allowed, request.parameters.get("scope"))
        audience = granted_audience(kept_audience(family.audience, request.client), request.parameters.get("resource"))

        async def take() -> Secret:
            return await self._families.renew(family, token)

        return Authorization(
            client=request.client,
            subject=family.sub,
            scope=scope,
            audience=audience,
            rsq=family.gsq,
            family=family,
            take=take,
        )
