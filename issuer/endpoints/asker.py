"""Who asks, as far as it is known: told once, for all that want to know later in a request."""

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from issuer.endpoints.services import SERVICES
from issuer.proxies import ClientAddress

ADDRESS: Final = web.RequestKey("address", ClientAddress)
"""From where the request comes."""
CLIENT_ID: Final = web.RequestKey("client_id", str)
"""Of the client that has authenticated, or that its token was given to."""


@web.middleware
async def addresses(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find out who asks, by the connection and, from a trusted proxy, by its header."""
    proxies = request.app[SERVICES].proxies
    request[ADDRESS] = proxies.client(request.remote, request.headers.getall(proxies.header, ()))
    return await handler(request)
