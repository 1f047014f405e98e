"""``/admin/v1/keys``: list, rotate, revoke."""

import asyncio
from contextlib import suppress
from typing import Any, Final

import msgspec
from aiohttp import web

from events import SignedEvent, format_seq
from issuer.endpoints.admin import ACTOR, KEYS, READ, needs, read_body, wait_seconds
from issuer.endpoints.answers import json_answer
from issuer.endpoints.publication import published_within
from issuer.endpoints.services import SERVICES, Services
from issuer.errors import StoreUnavailable, invalid_request
from issuer.keys.key_list import read_list

STANDBY_SECONDS: Final = 2.0
"""How long a rotation waits at least: the standby of one just before it is on its way to the verifiers."""
POLL_SECONDS: Final = 0.1


class RotateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which key to rotate, and why.

    Attributes:
        reason: kept in the audit trail.
        alg: the default algorithm's when absent.
        force: also while not everybody knows the standby; who does not will refuse what it signs until he does.
    """

    reason: str
    alg: str | None = None
    force: bool = False


class RevokeKeyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why the key is revoked."""

    reason: str


@needs(READ)
async def list_all(request: web.Request) -> web.Response:
    """``GET``: every token key with its state; ``id`` is that of the key set, ``listed`` the ``kid``s of the list of
    configuration that is in force, in its order, ``null`` while the store does not tell, and ``passed_over`` the
    state of those that can sign no more.
    """
    services = request.app[SERVICES]
    keys = services.own_agent.verifier.state.keys
    said = {key.kid for key in read_list(services.settings.signing_keys) or ()}
    passed_over = {key.kid: key.state for key in keys.published if key.kid in said and not key.state.verifies}
    listed = None
    with suppress(StoreUnavailable):
        listed = [key.kid for key in await services.keys.listed()]
    return json_answer(
        {"id": format_seq(keys.seq), "keys": _keys(services), "listed": listed, "passed_over": passed_over}
    )


@needs(KEYS)
async def rotate(request: web.Request) -> web.Response:
    """``POST …/rotate``: the standby signs from now on; tokens of the old key go on verifying.

    409 with names while agents have not acknowledged the standby; ``Prefer: wait=n`` waits for them that long.
    """
    body = await read_body(request, RotateBody)
    services = request.app[SERVICES]
    try:
        if not body.force:
            await _known_within(services, body.alg, max(STANDBY_SECONDS, wait_seconds(request)))
        event = await services.keys.rotate(body.alg, reason=body.reason, actor=request[ACTOR], force=body.force)
    except ValueError as error:
        raise invalid_request(str(error)) from error
    return await _decided(request, event)


@needs(KEYS)
async def revoke(request: web.Request) -> web.Response:
    """``POST …/{kid}/revoke``: every token of this key is refused from now on, for good."""
    body = await read_body(request, RevokeKeyBody)
    services = request.app[SERVICES]
    try:
        event = await services.keys.revoke(request.match_info["kid"], reason=body.reason, actor=request[ACTOR])
    except ValueError as error:
        raise invalid_request(str(error)) from error
    return await _decided(request, event)


async def _known_within(services: Services, alg: str | None, seconds: float) -> None:
    """Wait until everybody knows the standby, at most so many seconds; whether they do is decided later.

    Raises:
        NotFound: there are no keys for this algorithm.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while await services.keys.why_not(alg):  # noqa: ASYNC110 - another replica may hear it: the store tells
                await asyncio.sleep(POLL_SECONDS)


async def _decided(request: web.Request, event: SignedEvent) -> web.Response:
    """The answer: ``published`` says whether the log has the new key set; ``Prefer: wait=n`` waits for that."""
    services = request.app[SERVICES]
    services.own_agent.hear(event)
    services.relay.offer(event)
    published = await published_within(services, event.stream, event.seq, wait_seconds(request))
    return json_answer(
        {
            "id": format_seq(event.seq),
            "seq": event.seq,
            "txn": event.txn,
            "published": published,
            "keys": _keys(services),
        }
    )


def _keys(services: Services) -> list[dict[str, Any]]:
    published = services.own_agent.verifier.state.keys.published
    return [{"kid": key.kid, "alg": key.alg, "state": key.state, "changed_at": key.changed_at} for key in published]
