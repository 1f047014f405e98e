"""``POST /oauth2/introspect`` (RFC 7662), answered by the issuer's own agent."""

from typing import Any

from aiohttp import web

from issuer.clients import Client
from issuer.endpoints.admin import READ
from issuer.endpoints.answers import json_answer
from issuer.endpoints.client_authentication import confidential_client
from issuer.endpoints.form import read_form, required
from issuer.endpoints.limits import count_call
from issuer.endpoints.services import SERVICES, Services
from issuer.families.family_store import PREFIX
from issuer.limits.request_limits import Limit
from issuer.tokens.recipients import was_sent_to
from verifier_agent import TokenRejected


async def introspect(request: web.Request) -> web.Response:
    """Whether the token is active, and what it says, in this order. Why it is not is nobody's business (section 2.2).

    1 who asks (section 2.1) · 2 a refresh token, which only its own client may ask about · 3 good now (section 4) ·
    4 it can be used at a service of whoever asks, or is theirs (section 4); operators may ask about any.
    """
    services = request.app[SERVICES]
    form = await read_form(request)
    client = await confidential_client(request, form)  # 1
    count_call(request, client, Limit.INTROSPECTION)
    token = required(form, "token")
    if token.startswith(PREFIX):  # 2
        return json_answer(await _refresh_token(services, client, token))
    try:
        claims = services.tokens.read(token)  # 3
    except TokenRejected:
        return json_answer({"active": False})
    if READ not in client.scopes and not was_sent_to(client, claims, services.settings.audience):  # 4
        return json_answer({"active": False})
    answer: dict[str, Any] = {**claims.raw, "active": True, "token_type": "Bearer"}
    return json_answer(answer)


async def _refresh_token(services: Services, client: Client, token: str) -> dict[str, Any]:
    """Of a refresh token: to whom it belongs, and to nobody else, whether it may be used still."""
    family = await services.families.usable(token)
    if family is None or family.client_id != client.client_id or not services.tokens.stands(family):
        return {"active": False}
    return {
        "active": True,
        "client_id": family.client_id,
        "sub": family.sub,
        "scope": " ".join(family.scope),
        "exp": int(family.expires_at),
        "token_type": "refresh_token",
    }
