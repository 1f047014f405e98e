"""The sidecar's HTTP application."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from verifier_agent.agent import Agent
from verifier_agent.configuration import parse_seconds
from verifier_agent.errors import TokenRejected, VerificationUnavailable
from verifier_agent.hot.following import Following
from verifier_agent.sidecar.metrics import AgentMetrics

AGENT = web.AppKey("agent", Agent)
METRICS = web.AppKey("metrics", AgentMetrics)
FOLLOWED: Final[web.AppKey[Following | None]] = web.AppKey("followed")

FRESHNESS: Final = "Tocsin-Freshness"
"""Seconds since everything was known, in every answer of ``/verify``."""
CALLER: Final = "Tocsin-Caller"
"""Best the address of who sent the token, if the service says so: it keeps apart who names keys that do not exist."""
_NO_STORE: Final = {"Cache-Control": "no-store"}


def create_app(agent: Agent, followed: Following | None = None) -> web.Application:
    """The application; the agent starts and stops with it.

    Args:
        agent: not started yet.
        followed: what keeps its settings up to date, if anything does.
    """
    app = web.Application(client_max_size=16 * 1024)
    app[AGENT] = agent
    app[METRICS] = AgentMetrics(agent)
    app[FOLLOWED] = followed

    async def running(_app: web.Application) -> AsyncIterator[None]:
        async with agent:
            yield

    app.cleanup_ctx.append(running)
    app.add_routes(
        [
            web.get("/verify", verify),
            web.post("/verify", verify),
            web.get("/status", status),
            web.get("/config", config),
            web.get("/livez", livez),
            web.get("/readyz", readyz),
            web.get("/metrics", metrics),
        ]
    )
    return app


async def verify(request: web.Request) -> web.Response:
    """``GET`` or ``POST /verify[?audience=…][&scope=…][&max_staleness=…]``: judge the bearer token of this request.

    200 with its claims · 401, or 403 for want of scope (RFC 6750 section 3) · 503 when nothing can be said.
    Parameters that are repeated, unknown or no good are 400, and so is a missing audience that no setting names. A
    token that names a key of a foreign issuer which may be new waits for it, two seconds at most.
    """
    agent, counts = request.app[AGENT], request.app[METRICS]
    try:
        asked = _asked(request)
    except ValueError as error:
        return _answer(agent, {"error": "invalid_request", "error_description": str(error)}, 400)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        counts.count("no_token")
        return _answer(agent, {"error": "invalid_token"}, 401, {"WWW-Authenticate": "Bearer"})
    try:
        claims = await agent.verify_or_wait(token.strip(), caller=request.headers.get(CALLER), **asked)
    except TokenRejected as error:
        counts.count(error.code)
        challenge = f'Bearer error="{error.error}", error_description="{error.description}"'
        body = {"error": error.error, "error_description": error.description, "code": error.code}
        return _answer(agent, body, error.status, {"WWW-Authenticate": challenge})
    except VerificationUnavailable as error:
        counts.count("unavailable")
        body = {"error": "temporarily_unavailable", "code": error.code}
        return _answer(agent, body, 503, {"Retry-After": "1"})
    except ValueError:  # no audience anywhere
        return _answer(agent, {"error": "invalid_request", "error_description": "name an audience"}, 400)
    counts.count("verified")
    return _answer(agent, claims.raw, 200)


async def status(request: web.Request) -> web.Response:
    """``GET /status``: what the agent knows, and how well."""
    return _answer(request.app[AGENT], msgspec.to_builtins(request.app[AGENT].status()), 200)


async def config(request: web.Request) -> web.Response:
    """``GET /config``: what settings are in force, where each came from, and what was refused and why."""
    agent, followed = request.app[AGENT], request.app[FOLLOWED]
    if followed is None:
        return _answer(agent, {"error": "not_found"}, 404)
    return _answer(agent, msgspec.to_builtins(followed.report()), 200)


async def livez(request: web.Request) -> web.Response:
    """``GET /livez``: the process answers."""
    return _answer(request.app[AGENT], {"status": "ok"}, 200)


async def readyz(request: web.Request) -> web.Response:
    """``GET /readyz``: 200 once everything has been known."""
    ready = request.app[AGENT].freshness() is not None
    return _answer(request.app[AGENT], {"status": "ok" if ready else "starting"}, 200 if ready else 503)


async def metrics(request: web.Request) -> web.Response:
    """``GET /metrics``, for Prometheus."""
    body = generate_latest(request.app[METRICS].registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _asked(request: web.Request) -> dict[str, Any]:
    """What the parameters ask of the token and of our knowledge.

    Raises:
        ValueError: they are no good; the message says why.
    """
    query = request.query
    if set(query) - {"audience", "scope", "max_staleness"} or len(query) != len(set(query)):
        raise ValueError("audience, scope and max_staleness, once each")
    max_staleness = query.get("max_staleness")
    return {
        "audience": query.get("audience", UNSET),
        "scope": query.get("scope"),
        "max_staleness": None if max_staleness is None else parse_seconds(max_staleness),
    }


def _answer(
    agent: Agent, body: Mapping[str, object], status: int, headers: Mapping[str, str] | None = None
) -> web.Response:
    freshness = agent.freshness()
    return web.Response(
        body=msgspec.json.encode(dict(body)),
        status=status,
        content_type="application/json",
        headers={**_NO_STORE, FRESHNESS: "never" if freshness is None else f"{freshness:.3f}", **(headers or {})},
    )
