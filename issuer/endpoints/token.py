"""``POST /oauth2/token`` (RFC 6749 section 3.2)."""

from aiohttp import web

from issuer.endpoints.answers import json_answer
from issuer.endpoints.client_authentication import authenticated_client
from issuer.endpoints.form import read_form, required
from issuer.endpoints.limits import count_call
from issuer.endpoints.services import SERVICES
from issuer.errors import OAuthError
from issuer.grants import GrantRequest
from issuer.grants.grant import CREDENTIALS
from issuer.limits.request_limits import Limit


async def token(request: web.Request) -> web.Response:
    """Issue a token, in this order.

    1 knowledge of revocations, before anything is looked up · 2 parameters · 3 client authentication ·
    4 the grant, and whether the client may use it · 5 the grant's decision · 6 the token, stamped with 1.
    """
    services = request.app[SERVICES]
    rsq = services.own_agent.rsq  # 1
    form = await read_form(request)  # 2
    client = await authenticated_client(request, form)  # 3
    count_call(request, client, Limit.TOKEN)
    grant = services.grants.get(required(form, "grant_type"))  # 4
    if grant is None:
        raise OAuthError("unsupported_grant_type", "there is no such grant here")
    if grant.grant_type not in client.grants:
        raise OAuthError("unauthorized_client", "this client may not use this grant")
    parameters = {name: value for name, value in form.items() if name not in CREDENTIALS}
    authorization = await grant.authorize(GrantRequest(client=client, parameters=parameters, rsq=rsq))  # 5
    return json_answer(await services.tokens.create(authorization))  # 6
