"""What pages of any origin may read (CORS): public documents, and answers to a bearer token, which no browser adds."""

from typing import Final

from aiohttp import web

from issuer.endpoints.admin import Handler
from issuer.endpoints.middleware import errors

_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "7200",
}


def for_any_origin(handler: Handler) -> Handler:
    """Let pages of any origin read the answers of a handler, its errors too. It must not look at cookies."""

    async def readable(request: web.Request) -> web.StreamResponse:
        response = await errors(request, handler)
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Access-Control-Expose-Headers"] = "WWW-Authenticate"
        return response

    return readable


@for_any_origin
async def preflight(_request: web.Request) -> web.StreamResponse:
    """``OPTIONS``: what a browser asks before it sends a bearer token somewhere else."""
    return web.Response(status=204, headers=_PREFLIGHT)
