"""Who asks, as far as it is known: told once, for all that want to know later in a request."""

from typing import Final

from aiohttp import web

from issuer.endpoints.services import SERVICES
from issuer.proxies import ClientAddress

_ADDRESS: Final = web.RequestKey("address", ClientAddress)
CLIENT_ID: Final = web.RequestKey("client_id", str)
"""Of the client that has authenticated, or that its token was given to."""


def address_of(request: web.Request) -> ClientAddress:
    """From where the request comes: found out once, by the connection and, from a trusted proxy, by its header."""
    known = request.get(_ADDRESS)
    if known is None:
        proxies = request.app[SERVICES].proxies
        known = request[_ADDRESS] = proxies.client(request.remote, request.headers.getall(proxies.header, ()))
    return known
