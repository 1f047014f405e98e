"""``/admin/v1/users/{username}``: disable, enable, delete. Users are added by ``tocsin user``, on the store."""

from contextlib import AbstractAsyncContextManager

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from events import Selector, format_seq
from issuer.endpoints.admin import ACTOR, REVOKE, needs, read_body
from issuer.endpoints.answers import json_answer
from issuer.endpoints.services import SERVICES
from issuer.errors import invalid_request
from issuer.users import User


class ReasonBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why; kept in the audit trail."""

    reason: str


@needs(REVOKE)
async def disable(request: web.Request) -> web.Response:
    """``POST …/disable``: the user may do nothing any more, and by one event everything of theirs is revoked.

    Enabling them again does not bring that back; lifting the revocation does.
    """
    users = request.app[SERVICES].users
    return await _ended(request, users.switched(request.match_info["username"], disabled=True))


@needs(REVOKE)
async def delete(request: web.Request) -> web.Response:
    """``POST …/delete``: the user's record is gone for good, and by one event everything of theirs is revoked.

    Lifting the revocation brings nothing back: without the record nothing is renewed or told.
    """
    return await _ended(request, request.app[SERVICES].users.deleted(request.match_info["username"]))


@needs(REVOKE)
async def enable(request: web.Request) -> web.Response:
    """``POST …/enable``: the user may log in again."""
    services = request.app[SERVICES]
    await read_body(request, ReasonBody)
    async with services.users.switched(request.match_info["username"], disabled=False) as (_, user):
        pass
    return json_answer({"sub": user.sub, "username": user.username})


async def _ended(
    request: web.Request, change: AbstractAsyncContextManager[tuple[AsyncConnection, User]]
) -> web.Response:
    """Revoke everything of a user's in the transaction that changes their record."""
    services = request.app[SERVICES]
    body = await read_body(request, ReasonBody)
    try:
        async with change as (connection, user):
            event = await services.revocations.decide(
                connection, Selector.of(sub=user.sub), reason=body.reason, actor=request[ACTOR]
            )
    except ValueError as error:
        raise invalid_request(str(error)) from error
    await services.revocations.enforce(event)
    return json_answer({"sub": user.sub, "username": user.username, "revocation": format_seq(event.seq)})
