"""The access log: one event ``request`` for each answer, and nothing in it that a caller could not be told again.

It names the route and not the address that was asked for, which may hold a user name, a code or a token.
"""

import logging
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from issuer.endpoints.asker import CLIENT_ID, address_of
from verifier_agent.clocks import Clock

log = logging.getLogger(__name__)

CLOCK: Final = web.AppKey("clock", Clock)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
QUIET: Final = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked for all the time, by machines of ours; logged at level DEBUG."""


@web.middleware
async def access_log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Log the answer when it is there: that of a stream when it has ended, and ``null`` for who was cut off."""
    route = route_of(request)
    level = logging.DEBUG if route in QUIET else logging.INFO
    if not log.isEnabledFor(level):
        return await handler(request)
    clock = request.app[CLOCK]
    started, response = clock.boot(), None
    try:
        response = await handler(request)
    finally:
        log.log(
            level,
            "request",
            extra={
                "method": request.method if request.method in METHODS else "other",
                "route": route,
                "status": None if response is None else response.status,
                "seconds": round(clock.boot() - started, 6),
                "bytes": _size(response),
                "client_id": request.get(CLIENT_ID),
                "address": address_of(request).text,
                # By itself too: others log with the standard library alone.
                "request_id": structlog.contextvars.get_contextvars().get("request_id"),
            },
        )
    return response


def route_of(request: web.Request) -> str:
    """The pattern of the route, ``unknown`` where there is none."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"


def _size(response: web.StreamResponse | None) -> int:
    """Bytes of the body, before any compression."""
    if isinstance(response, web.Response) and isinstance(response.body, bytes):
        return len(response.body)
    return 0 if response is None else response.body_length
