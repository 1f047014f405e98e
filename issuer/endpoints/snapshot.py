"""``GET /snapshot``: all that agents must know, sealed, for them to start from."""

import asyncio
from typing import Final

import structlog
from aiohttp import web

from events.log.feed_settings import SCOPE
from issuer.endpoints.admin import authorized
from issuer.endpoints.answers import error_answer
from issuer.endpoints.middleware import REQUEST_ID
from issuer.endpoints.services import SERVICES
from issuer.errors import OAuthError
from issuer.outbox.snapshots import MadeSnapshot, TooManyReaders

READ_SECONDS: Final = 60.0
"""Longest that a reader may take for all of it."""
PIECE_BYTES: Final = 64 * 1024
RETRY_AFTER: Final = 5


async def snapshot(request: web.Request) -> web.StreamResponse:
    """The seal in one line, then the bytes that it names.

    1 whether there is a feed, to which this belongs · 2 who asks (RFC 6750) · 3 whether the relay has found the store
    gone back in time · then what is newest, unless the reader has it (RFC 9110 section 13.1.2).
    """
    services = request.app[SERVICES]
    if services.settings.feed == "off":  # 1
        raise OAuthError("not_found", "there is no event feed here", status=404)
    if services.settings.feed == "token":  # 2
        authorized(request, SCOPE)
    if services.relay.halted is not None:  # 3
        raise OAuthError("temporarily_unavailable", "the issuer has stopped publishing", status=503)
    try:
        with services.snapshots.place():
            made = await services.snapshots.newest()
            known = {tag.value for tag in request.if_none_match or ()}
            if made.sha256 in known:
                return web.Response(status=304, headers=_headers(made))
            return await _send(request, made)
    except TooManyReaders:
        answer = error_answer(OAuthError("temporarily_unavailable", "too many read a snapshot now", status=503))
        answer.headers["Retry-After"] = str(RETRY_AFTER)
        return answer


async def _send(request: web.Request, made: MadeSnapshot) -> web.StreamResponse:
    """Write it at the pace at which it is read; who is too slow is cut off, and sees that by the length."""
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream", **_headers(made)})
    if request_id := structlog.contextvars.get_contextvars().get("request_id"):
        response.headers[REQUEST_ID] = request_id  # once it is prepared it is too late
    response.content_length = len(made.seal) + 1 + made.size
    try:
        async with asyncio.timeout(READ_SECONDS):
            await response.prepare(request)
            await response.write(made.seal + b"\n")
            for piece in made.pieces:
                view = memoryview(piece)
                for start in range(0, len(view), PIECE_BYTES):
                    await response.write(view[start : start + PIECE_BYTES])
            await response.write_eof()
    except (TimeoutError, ConnectionError):
        if request.transport is not None:
            request.transport.abort()
    return response


def _headers(made: MadeSnapshot) -> dict[str, str]:
    return {"Cache-Control": "private, no-cache", "ETag": f'"{made.sha256}"'}
