"""The device authorization grant (RFC 8628): a device without a browser, let in by its user in a browser elsewhere."""

from typing import ClassVar

from issuer.clients import DEVICE_GRANT
from issuer.devices.device import Approval, Device
from issuer.devices.device_store import no_good
from issuer.families import Family
from issuer.grants.grant import Authorization, GrantRequest, granted_audience
from issuer.grants.user_grant import REFRESH, new_family
from issuer.parts import Parts
from issuer.sessions import login_claims
from verifier_agent import Secret


class DeviceCodeGrant:
    """The device asks again and again until somebody has decided."""

    grant_type: ClassVar[str] = DEVICE_GRANT

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def authorize(self, request: GrantRequest) -> Authorization:
        """See ``Grant.authorize``; in this order.

        1 the device code is there, and this client's · 2 it has not been used and is good still, and somebody has
        allowed it; else how long to wait (RFC 8628 section 3.5) · 3 the user may still do anything · 4 the code is used
        up, once, when everything else has been found good; ``rsq`` is that of the login in which it was allowed.
        """
        devices, code = self._parts.devices, request.required("device_code")
        device, approval = await devices.poll(code, request.client.client_id)  # 1, 2
        family = await self._family(request, device, approval)  # 3

        async def take() -> Secret | None:  # 4
            return await devices.let_in(device, family, renewable=REFRESH in request.client.grants)

        return Authorization(
            client=request.client,
            subject=family.sub,
            scope=family.scope,
            audience=granted_audience(device.audience, request.parameters.get("resource")),
            rsq=approval.gsq,
            family=family,
            take=take,
        )

    async def _family(self, request: GrantRequest, device: Device, approval: Approval) -> Family:
        user = await self._parts.users.find(approval.sub)
        if user is None or user.disabled:
            raise no_good()
        return new_family(
            self._parts,
            request.client,
            user,
            grant_type=self.grant_type,
            scope=tuple(scope for scope in device.scope if scope in request.client.scopes),
            audience=device.audience,
            gsq=approval.gsq,
            auth_time=approval.auth_time,
            claims=login_claims(approval.sid, approval.amr),
        )
