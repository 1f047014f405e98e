"""Health: alive, and able to do its work."""

from aiohttp import web

from issuer.endpoints.answers import json_answer
from issuer.endpoints.draining import DRAINING
from issuer.endpoints.services import SERVICES
from issuer.errors import StoreUnavailable


async def livez(_request: web.Request) -> web.Response:
    """``GET /livez``: the process answers."""
    return json_answer({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """``GET /readyz``: 200 while tokens can be issued and revoked; a log that is away is only told.

    503 too in a process that is about to stop, while it still does all of it.
    """
    if request.app[DRAINING].begun:
        return json_answer({"status": "stopping"}, status=503)
    services = request.app[SERVICES]
    checks = {"relay": str(services.relay.state)}
    if services.relay.halted is not None:
        checks["relay_halted"] = services.relay.halted
    try:
        if await services.own_agent.catch_up():
            services.relay.look()  # who else looks finds nothing new any more
        checks["store"] = "ok"
    except StoreUnavailable:
        checks["store"] = "unavailable"
    checks["keys"] = "ok" if services.own_agent.verifier.state.keys.seq else "none"
    ready = checks["store"] == "ok" and checks["keys"] == "ok"
    return json_answer({"status": "ok" if ready else "unavailable", **checks}, status=200 if ready else 503)
