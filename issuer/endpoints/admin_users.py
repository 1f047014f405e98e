"""``/admin/v1/users/{username}``: disable and enable. Users are added by ``tocsin user``, on the store."""

import msgspec
from aiohttp import web

from events import Selector, format_seq
from issuer.endpoints.admin import ACTOR, REVOKE, needs, read_body
from issuer.endpoints.answers import json_answer
from issuer.endpoints.services import SERVICES
from issuer.errors import invalid_request


class ReasonBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why; kept in the audit trail."""

    reason: str


@needs(REVOKE)
async def disable(request: web.Request) -> web.Response:
    """``POST …/disable``: the user may do nothing any more, and by one event everything of theirs is revoked.

    Enabling them again does not bring that back; lifting the revocation does.
    """
    services = request.app[SERVICES]
    body = await read_body(request, ReasonBody)
    try:
        async with services.database.write() as connection:
            user = await services.users.switch(connection, request.match_info["username"], disabled=True)
            event = await services.revocations.decide(
                connection, Selector.of(sub=user.sub), reason=body.reason, actor=request[ACTOR]
            )
    except ValueError as error:
        raise invalid_request(str(error)) from error
    await services.revocations.enforce(event)
    return json_answer({"sub": user.sub, "username": user.username, "revocation": format_seq(event.seq)})


@needs(REVOKE)
async def enable(request: web.Request) -> web.Response:
    """``POST …/enable``: the user may log in again."""
    services = request.app[SERVICES]
    await read_body(request, ReasonBody)
    async with services.database.write() as connection:
        user = await services.users.switch(connection, request.match_info["username"], disabled=False)
    return json_answer({"sub": user.sub, "username": user.username})
