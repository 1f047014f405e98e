"""``/admin/v1/clients/{client_id}``: disable, enable, delete. Clients are added and changed by ``tocsin client``."""

from contextlib import AbstractAsyncContextManager

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from events import Selector, format_seq
from issuer.endpoints.admin import ACTOR, REVOKE, needs, read_body
from issuer.endpoints.admin_users import ReasonBody
from issuer.endpoints.answers import json_answer
from issuer.endpoints.services import SERVICES
from issuer.errors import Conflict, invalid_request


@needs(REVOKE)
async def disable(request: web.Request) -> web.Response:
    """``POST …/disable``: the client may do nothing any more, and by one event all of its tokens are revoked.

    Enabling it again does not bring them back; lifting the revocation does.
    """
    clients = request.app[SERVICES].clients
    return await _end(request, clients.switched(request.match_info["client_id"], disabled=True))


@needs(REVOKE)
async def delete(request: web.Request) -> web.Response:
    """``POST …/delete``: nothing is left of the client, and by one event all of its tokens are revoked."""
    return await _end(request, request.app[SERVICES].clients.deleted(request.match_info["client_id"]))


@needs(REVOKE)
async def enable(request: web.Request) -> web.Response:
    """``POST …/enable``: the client may ask for tokens again."""
    services, client_id = request.app[SERVICES], request.match_info["client_id"]
    await read_body(request, ReasonBody)
    async with services.clients.switched(client_id, disabled=False):
        pass
    return json_answer({"client_id": client_id})


async def _end(request: web.Request, change: AbstractAsyncContextManager[AsyncConnection]) -> web.Response:
    """Revoke everything of a client's in the transaction that changes its record."""
    services, client_id = request.app[SERVICES], request.match_info["client_id"]
    body = await read_body(request, ReasonBody)
    if request[ACTOR] == f"client {client_id}" or request[ACTOR].endswith(f" by {client_id}"):
        raise Conflict("a client may not end itself: nobody could take that back")
    try:
        async with change as connection:
            event = await services.revocations.decide(
                connection, Selector.of(client_id=client_id), reason=body.reason, actor=request[ACTOR]
            )
    except ValueError as error:
        raise invalid_request(str(error)) from error
    await services.revocations.enforce(event)
    return json_answer({"client_id": client_id, "revocation": format_seq(event.seq)})
