"""``/admin/v1/revocations``: revoke, list, lift."""

from typing import Final

import msgspec
from aiohttp import web

from events import Selector, Stream
from events.digests import BATCH_LIMIT, DIGEST_BYTES
from events.selectors import ClaimValue
from issuer.endpoints.admin import (
    ACTOR,
    READ,
    REVOKE,
    idempotency_key,
    needs,
    query_number,
    read_body,
    wait_seconds,
)
from issuer.endpoints.answers import json_answer
from issuer.endpoints.publication import published_within
from issuer.endpoints.services import SERVICES, Services
from issuer.errors import invalid_request
from issuer.revocations import Revocation, parse_id
from verifier_agent import TokenRejected

MAX_BODY_BYTES: Final = BATCH_LIMIT * DIGEST_BYTES * 4 // 3 + 16 * 1024
"""Of a revocation: the largest batch in base64, and room for its reason."""


class RevokeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to revoke: exactly one of ``selector``, ``token``, ``jti`` and ``digests``.

    Attributes:
        reason: why; kept in the audit trail.
        selector: claim to value; ``{}`` is every token.
        token_issuer: whose tokens the selector is about; ours when absent.
        issued_before: seconds since the epoch; absent for everything up to this moment.
        token: a token of ours.
        jti: a token's identifier.
        digests: in base64 a packed batch, see ``events.digests.pack_digests``.
    """

    reason: str
    selector: dict[str, ClaimValue] | None = None
    token_issuer: str | None = None
    issued_before: float | None = None
    token: str | None = None
    jti: str | None = None
    digests: bytes | None = None


class LiftBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why it is taken back."""

    reason: str


@needs(REVOKE)
async def create(request: web.Request) -> web.Response:
    """``POST``: answered when the decision is durable; ``published`` says whether the log has it already.

    With ``Prefer: wait=n`` the answer waits up to n seconds until it has. Digests that were revoked under the same
    ``Idempotency-Key`` before are answered 200, with that revocation.
    """
    services = request.app[SERVICES]
    body = await read_body(request, RevokeBody, most_bytes=MAX_BODY_BYTES)
    try:
        revocation, new = await _decide(services, body, request[ACTOR], idempotency_key(request))
    except ValueError as error:
        raise invalid_request(str(error)) from error
    if await published_within(services, Stream.REVOCATIONS, revocation.seq, wait_seconds(request)):
        revocation = msgspec.structs.replace(revocation, published=True)
    location = {"Location": f"/admin/v1/revocations/{revocation.id}"}
    return json_answer(revocation, status=201 if new else 200, headers=location)


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


async def _decide(services: Services, body: RevokeBody, actor: str, key: str | None) -> tuple[Revocation, bool]:
    """The revocation, and whether it is a new one."""
    if [body.selector, body.token, body.jti, body.digests].count(None) != 3:
        raise invalid_request("name exactly one of selector, token, jti and digests")
    if body.selector is None and (body.issued_before is not None or body.token_issuer is not None):
        raise invalid_request("issued_before and token_issuer go with a selector")
    if body.digests is not None:
        return await services.revocations.revoke_digests(body.digests, reason=body.reason, actor=actor, key=key)
    if key is not None:
        raise invalid_request("Idempotency-Key goes with digests")
    return await _decide_one(services, body, actor), True


async def _decide_one(services: Services, body: RevokeBody, actor: str) -> Revocation:
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
