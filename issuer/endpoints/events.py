"""``GET /events``: the event feed, as server-sent events (WHATWG HTML, section 9.2)."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

import structlog
from aiohttp import web

from events import PositionLost, Stream
from events.log.cursor import format_cursor, parse_cursor
from events.log.feed_settings import SCOPE
from events.log.server_sent import MEDIA_TYPE
from events.streams import FOLLOWED
from issuer.endpoints.admin import authorized
from issuer.endpoints.answers import NO_STORE, error_answer, json_answer
from issuer.endpoints.middleware import REQUEST_ID
from issuer.endpoints.services import SERVICES
from issuer.errors import OAuthError, StoreUnavailable, invalid_request
from issuer.feed.feed import Feed, FeedFull, FellBehind
from issuer.feed.reader import Reader

WATCH_SECONDS: Final = 0.5
"""Between two looks whether a reader may stay."""
OPEN_SECONDS: Final = 8.0
"""Longest that a reader waits for its place to be found."""
WRITE_SECONDS: Final = 10.0
"""Longest that a reader may take for one piece."""
PIECE_BYTES: Final = 64 * 1024
SEND_BUFFER: Final = 256 * 1024
"""What the kernel holds for a reader: its own measure may be many times that."""
RETRY_AFTER: Final = 2

Watch = Callable[[], object]


async def events(request: web.Request) -> web.StreamResponse:
    """Tell what was decided, and go on telling.

    1 whether there is a feed · 2 who asks (RFC 6750), looked at again for as long as the reader stays · 3 whether the
    relay has found the store gone back in time · then as ``tell``.
    """
    services = request.app[SERVICES]

    def may_stay() -> None:
        if services.settings.feed == "off":  # 1
            raise OAuthError("not_found", "there is no event feed here", status=404)
        if services.settings.feed == "token":  # 2
            authorized(request, SCOPE)
        if services.relay.halted is not None:  # 3
            raise OAuthError("temporarily_unavailable", "the issuer has stopped publishing", status=503)

    return await tell(request, services.feed, may_stay)


async def tell(request: web.Request, feed: Feed, may_stay: Watch) -> web.StreamResponse:
    """Serve one reader: which streams, and after what · a place · its positions · what follows.

    Args:
        request: with streams and position, or ``Accept: application/json`` to ask for the heads alone.
        feed: what is told.
        may_stay: raises ``OAuthError`` once the reader may not read (any more).
    """
    may_stay()
    asked = _asked(request)
    try:
        if "application/json" in request.headers.get("Accept", ""):
            async with asyncio.timeout(OPEN_SECONDS):
                heads = await feed.heads()
            return json_answer({"cursor": format_cursor({name: heads[name] for name in asked if name in heads})})
        with feed.place():
            async with asyncio.timeout(OPEN_SECONDS):
                reader = await feed.reader(asked)
            return await _stream(request, feed, reader, may_stay)
    except (FeedFull, TimeoutError):
        answer = error_answer(OAuthError("temporarily_unavailable", "the feed has no room now", status=503))
        answer.headers["Retry-After"] = str(RETRY_AFTER)
        return answer
    except PositionLost as lost:
        words = "this position is not in the store; read the stream from its start"
        return json_answer({"error": "position_lost", "error_description": words, "stream": lost.stream}, status=410)


def _asked(request: web.Request) -> dict[Stream, int | None]:
    """The streams to tell, and for each the position after which to go on.

    Raises:
        OAuthError: ``invalid_request``.
    """
    named = request.query.getall("stream", [])
    if unknown := set(named) - set(FOLLOWED):
        raise invalid_request(f"the feed has no stream {min(unknown)[:32]!r}; it has {', '.join(FOLLOWED)}")
    # The header is the newer one: an EventSource sends it when it comes again to the same address.
    positions = request.headers.getall("Last-Event-ID", []) or request.query.getall("last_event_id", [])
    if len(positions) > 1:
        raise invalid_request("a reader has one position")
    try:
        cursor = parse_cursor("".join(positions))
    except ValueError as error:
        raise invalid_request(str(error)) from error
    return {stream: cursor.get(stream) for stream in FOLLOWED if stream in named or not named}


async def _stream(request: web.Request, feed: Feed, reader: Reader, may_stay: Watch) -> web.StreamResponse:
    response = web.StreamResponse(headers={**NO_STORE, "X-Accel-Buffering": "no", "Content-Type": MEDIA_TYPE})
    if request_id := structlog.contextvars.get_contextvars().get("request_id"):
        response.headers[REQUEST_ID] = request_id  # once it is prepared it is too late
    response.force_close()  # whoever is let go is to find another replica, perhaps
    _bound(request)
    reason = None
    try:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(_watch(request, may_stay))
            await response.prepare(request)
            async with aclosing(feed.chunks(reader)) as chunks:
                async for chunk in chunks:
                    await _write(response, chunk)
            watching.cancel()
    except* OAuthError:
        reason = "not_allowed"
    except* FellBehind:
        reason = "behind"
    except* TimeoutError:
        reason = "stalled"
    except* StoreUnavailable:
        reason = "store"
    except* ConnectionError:
        pass  # it has left by itself
    if reason is not None:
        feed.cut_off[reason] += 1
    await _finish(request, response)
    return response


async def _watch(request: web.Request, may_stay: Watch) -> None:
    """Look again and again whether the reader is there and may stay; what is wrong is raised."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        if request.transport is None or request.transport.is_closing():
            raise ConnectionResetError("the reader has left")
        may_stay()


async def _write(response: web.StreamResponse, chunk: bytes) -> None:
    view = memoryview(chunk)
    for start in range(0, len(view), PIECE_BYTES):
        async with asyncio.timeout(WRITE_SECONDS):
            await response.write(view[start : start + PIECE_BYTES])


async def _finish(request: web.Request, response: web.StreamResponse) -> None:
    """End the answer, or the connection when its peer does not take that in a moment."""
    try:
        async with asyncio.timeout(WATCH_SECONDS):
            await response.write_eof()
    except (TimeoutError, ConnectionError):
        if request.transport is not None:
            request.transport.abort()


def _bound(request: web.Request) -> None:
    """Have the kernel keep little for a reader, and give up one that acknowledges nothing."""
    connection = request.get_extra_info("socket")
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Twice: where there is something to write, our own look comes first, and is counted.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(2 * WRITE_SECONDS * 1000))
