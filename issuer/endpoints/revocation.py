"""``POST /oauth2/revoke`` (RFC 7009): a client gives back a token of its own."""

from aiohttp import web

from issuer.endpoints.answers import NO_STORE
from issuer.endpoints.client_authentication import authenticated_client
from issuer.endpoints.form import read_form, required
from issuer.endpoints.services import SERVICES
from issuer.errors import OAuthError
from verifier_agent import TokenRejected


async def revoke(request: web.Request) -> web.Response:
    """Revoke the token: an event goes out to every verifier. 200 also when there was nothing to revoke."""
    services = request.app[SERVICES]
    form = await read_form(request)
    client = await authenticated_client(request, form, services.clients)
    token = required(form, "token")
    try:
        claims = services.tokens.read(token)
    except TokenRejected:
        return _done()  # RFC 7009 section 2.2: expired, revoked and unknown tokens are no errors
    if claims.client_id != client.client_id:
        raise OAuthError("unauthorized_client", "the token was issued to another client")
    await services.revocations.revoke_token(
        token, claims.exp, reason="revoked by its client", actor=f"client {client.client_id}"
    )
    return _done()


def _done() -> web.Response:
    return web.Response(status=200, headers=NO_STORE)
