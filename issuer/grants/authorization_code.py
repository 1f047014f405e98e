"""The authorization code grant (RFC 6749 section 4.1) with PKCE (RFC 7636): what a user agreed to in a browser."""

from typing import ClassVar

from issuer.authorization.codes import Code, no_good
from issuer.authorization.pkce import verifies
from issuer.families import Family
from issuer.grants.grant import Authorization, GrantRequest, granted_audience, kept_audience
from issuer.grants.user_grant import REFRESH, new_family
from issuer.parts import Parts
from issuer.sessions import login_claims
from verifier_agent import Secret


class AuthorizationCodeGrant:
    """The client has the code that the browser brought, and what only the sender of the request has."""

    grant_type: ClassVar[str] = "authorization_code"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def authorize(self, request: GrantRequest) -> Authorization:
        """See ``Grant.authorize``; in this order.

        1 the code is there, and this client's · 2 the redirect URI is that of the request (RFC 6749 section 4.1.3) ·
        3 the verifier made the challenge (RFC 7636 section 4.6) · 4 the user may still do anything · 5 the code is used
        up, once, when everything else has been found good; ``rsq`` is that of the login.

        Whoever comes with a used code and cannot pass 1 to 3 ends nothing: that takes what only the client has.
        """
        client, given = request.client, request.required("code")
        code = await self._parts.codes.find(given)  # 1
        if code is None or code.client_id != client.client_id:
            raise no_good()
        if request.required("redirect_uri") != code.redirect_uri:  # 2
            raise no_good()
        if not verifies(request.required("code_verifier"), code.code_challenge):  # 3
            raise no_good()
        family = await self._family(request, code)  # 4

        async def take() -> Secret | None:  # 5
            return await self._parts.codes.redeem(given, family, renewable=REFRESH in client.grants)

        return Authorization(
            client=client,
            subject=code.sub,
            scope=family.scope,
            audience=granted_audience(family.audience, request.parameters.get("resource")),
            rsq=code.gsq,
            nonce=code.nonce,
            family=family,
            take=take,
        )

    async def _family(self, request: GrantRequest, code: Code) -> Family:
        user = await self._parts.users.find(code.sub)
        if user is None or user.disabled:
            raise no_good()
        return new_family(
            self._parts,
            request.client,
            user,
            grant_type=self.grant_type,
            scope=tuple(scope for scope in code.scope if scope in request.client.scopes),
            audience=kept_audience(code.audience, request.client),
            gsq=code.gsq,
            auth_time=code.auth_time,
            claims=login_claims(code.sid, code.amr),
        )
