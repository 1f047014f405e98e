"""A grant of your own, and a claim of your own.

Installed beside the issuer (``pip install ./examples/own-grant``) it is found by its entry points: clients that have
the grant ``urn:example:grant-type:badge`` may present the badge of whoever stands at the door.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

from issuer.errors import OAuthError
from issuer.grants import Authorization, GrantRequest
from issuer.grants.grant import granted_audience, granted_scope
from issuer.parts import Parts

BADGES = {  # in life: your access control system; by hash, as a badge's number opens doors
    hashlib.sha256(b"4711").hexdigest(): ("alice", "berlin"),
}


class BadgeGrant:
    """A badge speaks for whom it was given to."""

    grant_type: ClassVar[str] = "urn:example:grant-type:badge"

    def __init__(self, parts: Parts) -> None:
        self._default_audience = parts.settings.audience

    async def authorize(self, request: GrantRequest) -> Authorization:
        """Decide; ``request.rsq`` goes on unchanged, so that a revocation decided meanwhile reaches the token."""
        client = request.client
        badge = hashlib.sha256(request.required("badge").encode()).hexdigest()
        if badge not in BADGES:
            raise OAuthError("invalid_grant", "there is no such badge")
        subject, site = BADGES[badge]
        return Authorization(
            client=client,
            subject=subject,
            scope=granted_scope(client.scopes, request.parameters.get("scope")),
            audience=granted_audience(
                client.audiences or (self._default_audience,), request.parameters.get("resource")
            ),
            rsq=request.rsq,
            claims={"site": site},
        )


class SiteClaim:
    """Every token of a door says what it opens: ``tocsin revoke --claim opens=outside`` then shuts all of them."""

    def __init__(self, parts: Parts) -> None:
        self._issuer = parts.settings.issuer

    async def enhance(self, authorization: Authorization) -> Mapping[str, Any]:
        """Further claims; reserved ones are refused."""
        return {"opens": "outside"} if "site" in authorization.claims else {}
