"""``POST /oauth2/revoke`` (RFC 7009): a client gives back a token of its own."""

from aiohttp import web

from events.digests import token_digest
from issuer.clients import Client
from issuer.endpoints.answers import NO_STORE
from issuer.endpoints.client_authentication import authenticated_client
from issuer.endpoints.form import read_form, required
from issuer.endpoints.limits import count_call
from issuer.endpoints.services import SERVICES, Services
from issuer.errors import OAuthError
from issuer.families.family_store import PREFIX
from issuer.limits.request_limits import Limit
from issuer.self_service import REASON
from verifier_agent import TokenRejected


async def revoke(request: web.Request) -> web.Response:
    """Revoke the token: an event goes out to every verifier. 200 also when there was nothing to revoke.

    A refresh token ends everything that came of the same consent. Which kind it is shows in the token itself, so
    ``token_type_hint`` is not needed (section 2.1: a server may ignore it).
    """
    services = request.app[SERVICES]
    form = await read_form(request)
    async with services.self_service.one_of_few():
        client = await authenticated_client(request, form)
    count_call(request, client, Limit.REVOCATION)
    token = required(form, "token")
    if await _end_family(services, client, token):
        return _done()
    try:
        claims = services.tokens.read(token)
    except TokenRejected:
        return _done()  # RFC 7009 section 2.2: expired, revoked and unknown tokens are no errors
    if claims.client_id != client.client_id:
        raise OAuthError("unauthorized_client", "the token was issued to another client")
    await services.self_service.revoke(client.client_id, token_digest(token), claims.exp)
    return _done()


async def _end_family(services: Services, client: Client, token: str) -> bool:
    """End the family of a refresh token, its access tokens with it (section 2.1); whether it was one."""
    family = await services.families.find(token) if token.startswith(PREFIX) else None
    if family is None:
        return False
    if family.client_id != client.client_id:
        raise OAuthError("unauthorized_client", "the token was issued to another client")
    await services.families.end(family, reason=REASON, actor=f"client {client.client_id}")
    return True


def _done() -> web.Response:
    return web.Response(status=200, headers=NO_STORE)
