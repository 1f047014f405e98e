"""``POST /oauth2/introspect`` (RFC 7662), answered by the issuer's own agent."""

from typing import Any

from aiohttp import web

from issuer.endpoints.answers import json_answer
from issuer.endpoints.client_authentication import authenticated_client
from issuer.endpoints.form import read_form, required
from issuer.endpoints.services import SERVICES
from verifier_agent import TokenRejected


async def introspect(request: web.Request) -> web.Response:
    """Whether the token is active, and what it says. Why it is not active is nobody's business (section 2.2)."""
    services = request.app[SERVICES]
    form = await read_form(request)
    await authenticated_client(request, form, services.clients)
    try:
        claims = services.tokens.read(required(form, "token"))
    except TokenRejected:
        return json_answer({"active": False})
    answer: dict[str, Any] = {**claims.raw, "active": True, "token_type": "Bearer"}
    return json_answer(answer)
