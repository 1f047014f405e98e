"""``/admin/v1/revocations``: revoke, list, lift."""

import msgspec
from aiohttp import web

from events import Selector, Stream
from events.selectors import ClaimValue
from issuer.endpoints.admin import ACTOR, READ, REVOKE, needs, query_number, read_body, wait_seconds
from issuer.endpoints.answers import json_answer
from issuer.endpoints.publication import published_within
from issuer.endpoints.services import SERVICES, Services
from issuer.errors import invalid_request
from issuer.revocations import Revocation, parse_id
from verifier_agent import TokenRejected


class RevokeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to revoke: exactly one of ``selector``, ``token`` and ``jti``.

    Attributes:
        reason: why; kept in the audit trail.
        selector: claim to value; ``{}`` is every token.
        token_issuer: whose tokens the selector is about; ours when absent.
        issued_before: seconds since the epoch; absent for everything up to this moment.
        token: a token of ours.
        jti: a token's identifier.
    """

    reason: str
    selector: dict[str, ClaimValue] | None = None
    token_issuer: str | None = None
    issued_before: float | None = None
    token: str | None = None
    jti: str | None = None


class LiftBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why it is taken back."""

    reason: str


@needs(REVOKE)
async def create(request: web.Request) -> web.Response:
    """``POST``: answered when the decision is durable; ``published`` says whether the log has it already.

    With ``Prefer: wait=n`` the answer waits up to n seconds until it has.
    """
    services = request.app[SERVICES]
    body = await read_body(request, RevokeBody)
    try:
        revocation = await _decide(services, body, request[ACTOR])
    except ValueError as error:
        raise invalid_request(str(error)) from error
    if await published_within(services, Stream.REVOCATIONS, revocation.seq, wait_seconds(request)):
        revocation = msgspec.structs.replace(revocation, published=True)
    return json_answer(revocation, status=201, headers={"Location": f"/admin/v1/revocations/{revocation.id}"})


@needs(READ)
async def list_all(request: web.Request) -> web.Response:
    """``GET``: the newest first; ``limit`` up to 1000, ``before`` an id to go on from."""
    limit = query_number(request, "limit", 100, most=1000)
    before = parse_id(request.query["before"]) if "before" in request.query else None
    revocations = await request.app[SERVICES].revocations.list(limit=limit, before=before)
    return json_answer({"revocations": revocations})


@needs(READ)
async def show(request: web.Request) -> web.Response:
    """``GET`` one."""
    return json_answer(await request.app[SERVICES].revocations.get(request.match_info["id"]))


@needs(REVOKE)
async def lift(request: web.Request) -> web.Response:
    """``POST …/lift``: take back exactly this one. ``published`` and ``Prefer: wait=n`` are about the lift."""
    body = await read_body(request, LiftBody)
    services = request.app[SERVICES]
    try:
        lifted = await services.revocations.lift(request.match_info["id"], reason=body.reason, actor=request[ACTOR])
    except ValueError as error:
        raise invalid_request(str(error)) from error
    lift_seq = parse_id(lifted.lifted_by or lifted.id)
    if await published_within(services, Stream.REVOCATIONS, lift_seq, wait_seconds(request)):
        lifted = msgspec.structs.replace(lifted, published=True)
    return json_answer(lifted)


async def _decide(services: Services, body: RevokeBody, actor: str) -> Revocation:
    if [body.selector, body.token, body.jti].count(None) != 2:
        raise invalid_request("name exactly one of selector, token and jti")
    if body.selector is None and (body.issued_before is not None or body.token_issuer is not None):
        raise invalid_request("issued_before and token_issuer go with a selector")
    decide = services.revocations
    if body.token is not None:
        try:
            claims = services.tokens.read(body.token)
        except TokenRejected as error:
            raise invalid_request(f"there is nothing to revoke in this token: {error.code}") from error
        return await decide.revoke_token(body.token, claims.exp, reason=body.reason, actor=actor)
    if body.jti is not None:
        return await decide.revoke_jti(body.jti, reason=body.reason, actor=actor)
    selector = Selector(claims=body.selector or {}, issuer=body.token_issuer)
    return await decide.revoke(selector, reason=body.reason, actor=actor, issued_before=body.issued_before)
