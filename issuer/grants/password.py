"""The password grant (RFC 6749 section 4.3), for moving away from it: RFC 9700 section 2.4 forbids it, so it is off."""

import logging
from typing import ClassVar

from issuer.errors import OAuthError
from issuer.grants.grant import Authorization, GrantRequest, granted_audience, granted_scope
from issuer.grants.user_grant import begun
from issuer.parts import Parts
from issuer.settings import IssuerSettings

log = logging.getLogger(__name__)


class PasswordGrant:
    """The client has the user's password, and hands it over."""

    grant_type: ClassVar[str] = "password"

    @staticmethod
    def is_offered(settings: IssuerSettings) -> bool:
        """Only where the settings say so."""
        return settings.password_grant

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        log.warning("password_grant_is_on", extra={"advice": "RFC 9700 section 2.4: must not be used"})

    async def authorize(self, request: GrantRequest) -> Authorization:
        """See ``Grant.authorize``."""
        client, auth_time = request.client, self._parts.clock.now()
        scope = granted_scope(client.scopes, request.parameters.get("scope"))
        audience = client.audiences or (self._parts.settings.audience,)
        if "resource" in request.parameters:  # what comes of it, at a refresh too, is for that one alone
            audience = granted_audience(audience, request.parameters["resource"])
        user = await self._parts.users.log_in(request.required("username"), request.required("password"))
        if user is None:
            raise OAuthError("invalid_grant", "the user name or the password is wrong")
        return begun(
            self._parts,
            client,
            user,
            grant_type=self.grant_type,
            scope=scope,
            audience=audience,
            gsq=request.rsq,
            auth_time=auth_time,
            claims={"amr": ["pwd"]},  # RFC 8176
        )
