"""The client credentials grant (RFC 6749 section 4.4): the client speaks for itself."""

from typing import ClassVar

from issuer.grants.grant import Authorization, GrantRequest, granted_audience, granted_scope
from issuer.parts import Parts


class ClientCredentialsGrant:
    """Who has authenticated is who it is for; ``sub`` is the client (RFC 9068 section 2.2)."""

    grant_type: ClassVar[str] = "client_credentials"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def authorize(self, request: GrantRequest) -> Authorization:
        """See ``Grant.authorize``."""
        client, parameters = request.client, request.parameters
        return Authorization(
            client=client,
            subject=client.client_id,
            scope=granted_scope(client.scopes, parameters.get("scope")),
            audience=granted_audience(client.audiences or (self._parts.settings.audience,), parameters.get("resource")),
            rsq=request.rsq,
        )
