"""A server in place of an issuer's feed that answers as an attacker would."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

from events.log import EventLog, open_log

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SECRET = "S3cret-of-the-agents"
TOKEN = "t0ken-of-the-agents"


class HostileFeed:
    """What is asked of it, and what it answers.

    Attributes:
        asked: path and ``Authorization`` of each request.
        feed: answers at ``/events``.
        token: answers at ``/oauth2/token``.
        sent: octets of endless answers that were taken.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.feed: Handler = self.says(b"event: level\ndata: {}\n\n")
        self.token: Handler = gives_token
        self.sent = 0
        self._server = TestServer(self._app(), host="127.0.0.1")

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator["HostileFeed"]:
        """On any port of this machine."""
        hostile = cls()
        async with hostile._server:
            yield hostile

    @property
    def origin(self) -> str:
        """Where it is."""
        return str(self._server.make_url("")).rstrip("/")

    @asynccontextmanager
    async def log(self, *, credentials: bool = False) -> AsyncIterator[EventLog]:
        """A victim's log."""
        who = f"agents:{SECRET}@" if credentials else ""
        log = open_log(f"http://{who}{self.origin.removeprefix('http://')}/events")
        try:
            yield log
        finally:
            await log.close()

    def says(self, *pieces: bytes, end: bool = False) -> Handler:
        """An event stream of these pieces, and then silence or its end."""

        async def handler(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            for piece in pieces:
                await response.write(piece)
            if not end:
                await self._until_left(request)
            return response

        return handler

    def says_for_ever(self, start: bytes, piece: bytes, content_type: str = "text/event-stream") -> Handler:
        """``start``, and ``piece`` again and again for as long as somebody takes it."""

        async def handler(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": content_type})
            await response.prepare(request)
            await response.write(start)
            while True:
                await response.write(piece)
                self.sent += len(piece)

        return handler

    def answers(self, status: int, body: bytes = b"", **headers: str) -> Handler:
        """A whole answer."""

        async def handler(_request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

        return handler

    async def hangs(self, request: web.Request) -> web.StreamResponse:
        """Take the request, and never answer."""
        await self._until_left(request)
        return web.Response()

    async def _until_left(self, request: web.Request) -> None:
        while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)

    def _app(self) -> web.Application:
        async def dispatch(request: web.Request) -> web.StreamResponse:
            self.asked.append((request.path, request.headers.get("Authorization", "")))
            try:
                return await (self.token if request.path.endswith("/token") else self.feed)(request)
            except ConnectionError:
                return web.Response()

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", dispatch)
        return app


async def gives_token(_request: web.Request) -> web.StreamResponse:
    """As an issuer does."""
    return web.json_response({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 900})


def events(*said: tuple[str, str, str]) -> bytes:
    """Name, id and data of each."""
    return "".join(f"event: {name}\nid: {cursor}\ndata: {data}\n\n" for name, cursor, data in said).encode()


LEVEL: Sequence[tuple[str, str, str]] = [("level", "r1.1", "{}")]
