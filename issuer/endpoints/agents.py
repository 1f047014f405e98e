"""``/agents``: where verifier agents enrol, and say how they are when they cannot write to the event log."""

from typing import Final

import msgspec
from aiohttp import web

from issuer.endpoints.admin import authorized, read_body
from issuer.endpoints.answers import json_answer
from issuer.endpoints.services import SERVICES
from issuer.errors import OAuthError
from issuer.fleet.statuses import MAX_STATUS_BYTES, StatusCode, StatusInvalid

SCOPE: Final = "tocsin.agent"
_UNKNOWN: Final = (StatusCode.UNKNOWN_AGENT, StatusCode.REMOVED)


class EnrolBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who enrols.

    Attributes:
        jwk: the agent's public key.
        status: its first status, signed with that key: so nobody enrols another's.
    """

    jwk: dict[str, str]
    status: str


async def enrol(request: web.Request) -> web.Response:
    """``POST``: let the agent be counted. The same key is the same agent, however often it enrols."""
    who = authorized(request, SCOPE)
    body = await read_body(request, EnrolBody)
    if not body.status.isascii():
        raise OAuthError("invalid_request", "the status is no signed event")
    agent, after = await request.app[SERVICES].fleet.enrol(
        who.removeprefix("client "), body.jwk, body.status.encode("ascii")
    )
    return json_answer({"agent": agent, "after": after})


async def status(request: web.Request) -> web.Response:
    """``POST …/status``: take one signed status. 404 when the agent is to enrol (again)."""
    authorized(request, SCOPE)
    raw = await request.clone(client_max_size=MAX_STATUS_BYTES).read()
    try:
        await request.app[SERVICES].fleet.take(raw)
    except StatusInvalid as error:
        missing = error.code in _UNKNOWN
        raise OAuthError(
            "not_found" if missing else "invalid_request",
            f"the status was refused: {error.code}",
            status=404 if missing else 400,
        ) from error
    return json_answer({}, status=202)
