"""``/admin/v1/agents``: list and remove agents; and who has applied what was decided."""

from typing import Any, Final

import msgspec
from aiohttp import web

from events import Stream, format_seq
from events.records import KNOWN
from issuer.endpoints.admin import ACTOR, KEYS, READ, needs, read_body, wait_seconds
from issuer.endpoints.answers import json_answer
from issuer.endpoints.services import SERVICES
from issuer.errors import invalid_request
from issuer.fleet.member import Member, lag, receipt, who_cannot
from issuer.revocations import parse_id

CRITICAL: Final = tuple(name for name, record in KNOWN.items() if record.critical)
"""What this version may send and agents must understand."""


class RemoveBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why the agent is removed."""

    reason: str


@needs(READ)
async def list_all(request: web.Request) -> web.Response:
    """``GET``: every agent with how it stands, and what it lacks of what has been decided."""
    services = request.app[SERVICES]
    members, now = await services.fleet.members()
    state = services.own_agent.verifier.state
    decided = {Stream.KEYS: state.keys.seq, Stream.REVOCATIONS: services.own_agent.rsq}
    lagging = {
        each.id
        for stream, seq in (await services.fleet.expected()).items()
        for each in receipt(members, stream, seq, now, now).laggards
    }
    return json_answer(
        {
            "time": now,
            "decided": {str(stream): format_seq(seq) for stream, seq in decided.items()},
            "counted": sum(member.counts(member.heard_at, now) for member in members),
            "not_understood": {name: agents for name in CRITICAL if (agents := who_cannot(members, name, now))},
            "agents": [_described(member, decided, now, lags=member.id in lagging) for member in members],
        }
    )


@needs(KEYS)
async def remove(request: web.Request) -> web.Response:
    """``POST …/{id}/remove``: nothing waits for this agent any more. If it lives it will enrol again."""
    body = await read_body(request, RemoveBody)
    services = request.app[SERVICES]
    try:
        member = await services.fleet.remove(request.match_info["id"], reason=body.reason, actor=request[ACTOR])
    except ValueError as error:
        raise invalid_request(str(error)) from error
    return json_answer({"id": member.id, "name": member.name})


@needs(READ)
async def revocation_receipts(request: web.Request) -> web.Response:
    """``GET /admin/v1/revocations/{id}/receipts``: who has applied it; ``Prefer: wait=n`` waits until all have."""
    return await _receipts(request, Stream.REVOCATIONS)


@needs(READ)
async def key_receipts(request: web.Request) -> web.Response:
    """``GET /admin/v1/keys/receipts/{id}``: who has applied that key set; ``Prefer`` as for revocations."""
    return await _receipts(request, Stream.KEYS)


async def _receipts(request: web.Request, stream: Stream) -> web.Response:
    seq = parse_id(request.match_info["id"])
    found = await request.app[SERVICES].fleet.receipt(stream, seq, wait_seconds(request))
    return json_answer({"id": format_seq(seq), "seq": seq, **msgspec.to_builtins(found)})


def _described(member: Member, decided: dict[Stream, int], now: float, *, lags: bool) -> dict[str, Any]:
    status = member.status
    return {
        "id": member.id,
        "name": member.name,
        "client_id": member.client_id,
        "standing": member.standing(now),
        "counts": member.counts(member.heard_at, now),
        "lags": lags,
        "applied": {str(stream): format_seq(member.applied(stream)) for stream in decided},
        "lag": {str(stream): lag(seq, member.applied(stream)) for stream, seq in decided.items()},
        "unusable_keys": list(status.unusable_keys),
        "freshness": status.freshness,
        "max_staleness": status.max_staleness,
        "heard_at": member.heard_at,
        "silent_seconds": round(max(now - member.heard_at, 0.0), 3),
        "enrolled_at": member.enrolled_at,
        "version": status.version,
    }
