"""``POST /oauth2/device_authorization`` (RFC 8628 section 3.1): a device without a browser asks to be let in."""

from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from issuer.clients import DEVICE_GRANT
from issuer.devices.device import GOOD_FOR_SECONDS, INTERVAL_SECONDS
from issuer.devices.user_code import shown
from issuer.endpoints.answers import json_answer
from issuer.endpoints.client_authentication import authenticated_client
from issuer.endpoints.form import read_form
from issuer.endpoints.limits import count_call
from issuer.endpoints.services import SERVICES
from issuer.errors import OAuthError
from issuer.grants.grant import granted_audience, granted_scope
from issuer.limits.request_limits import Limit

PAGE: Final = "/oauth2/device"


async def device_authorization(request: web.Request) -> web.Response:
    """Give a device its codes, in this order.

    1 parameters · 2 client authentication, as at the token endpoint · 3 whether the client may use the grant · 4 what
    it asks for · 5 the codes.
    """
    services = request.app[SERVICES]
    form = await read_form(request)  # 1
    client = await authenticated_client(request, form)  # 2
    count_call(request, client, Limit.TOKEN)
    if DEVICE_GRANT not in client.grants:  # 3
        raise OAuthError("unauthorized_client", "this client may not use the device authorization grant")
    scope = granted_scope(client.scopes, form.get("scope"))  # 4
    audience = client.audiences or (services.settings.audience,)
    if "resource" in form:
        audience = granted_audience(audience, form["resource"])
    codes = await services.parts.devices.begin(client.client_id, scope, audience)  # 5
    page, user_code = f"{services.settings.issuer}{PAGE}", shown(codes.user_code)
    return json_answer(
        {
            "device_code": codes.device_code.reveal(),
            "user_code": user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?{urlencode({'user_code': user_code})}",
            "expires_in": int(GOOD_FOR_SECONDS),
            "interval": INTERVAL_SECONDS,
        }
    )
