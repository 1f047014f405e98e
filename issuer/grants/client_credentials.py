"""The client credentials grant (RFC 6749 section 4.4): the client speaks for itself."""

from typing import ClassVar

from issuer.grants.grant import Authorization, GrantRequest, granted_audience, granted_scope
from issuer.settings import IssuerSettings


class ClientCredentialsGrant:
    """Who has authenticated is who it is for; ``sub`` is the client (RFC 9068 section 2.2)."""

    grant_type: ClassVar[str] = "client_credentials"

    def __init__(self, settings: IssuerSettings) -> None:
        self._default_audience = settings.audience

    async def authorize(self, request: GrantRequest) -> Authorization:
        """See ``Grant.authorize``."""
        client, parameters = request.client, request.parameters
        return Authorization(
            client=client,
            subject=client.client_id,
            scope=granted_scope(client, parameters.get("scope")),
            audience=granted_audience(client, parameters.get("resource"), self._default_audience),
            rsq=request.rsq,
        )
