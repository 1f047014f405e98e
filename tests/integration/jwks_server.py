"""A foreign issuer on this machine, over real HTTP, that can be made to misbehave."""

import asyncio
from collections.abc import Awaitable, Callable
from ssl import SSLContext
from typing import Final, Self

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.unit.jwks.foreign_issuer import jwks

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

OIDC: Final = "/realms/shop/.well-known/openid-configuration"
CERTS: Final = "/realms/shop/certs"


class JwksServer(TestServer):
    """Answers like an issuer, with a few keys, unless told to do otherwise.

    Attributes:
        asked: paths, in order.
        kids: of the keys that are published now.
        instead: by path, who answers in its place.
        headers: put on the key set.
        ended: set when a misbehaving handler has been left by its client.
    """

    def __init__(self, tls: SSLContext | None = None) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        super().__init__(app, host="127.0.0.1", scheme="https" if tls else "http")
        self._tls = tls
        self.asked: list[str] = []
        self.kids = ["one"]
        self.instead: dict[str, Handler] = {}
        self.headers: dict[str, str] = {}
        self.ended = asyncio.Event()
        self.sent = 0

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start_server(ssl=self._tls)
        return self

    @property
    def issuer(self) -> str:
        """Its name."""
        return str(self.make_url("/realms/shop"))

    @property
    def jwks_uri(self) -> str:
        """Where its keys are."""
        return str(self.make_url(CERTS))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path in self.instead:
            return await self.instead[request.path](request)
        if request.path == OIDC:
            return web.json_response({"issuer": self.issuer, "jwks_uri": self.jwks_uri})
        if request.path == CERTS:
            return self._certs(request)
        raise web.HTTPNotFound

    def _certs(self, request: web.Request) -> web.StreamResponse:
        etag = '"' + ".".join(self.kids) + '"'
        headers = {"ETag": etag} | self.headers
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=jwks(*self.kids), headers=headers)

    # -- misbehaviour

    async def hang(self, request: web.Request) -> web.StreamResponse:
        """Never answer."""
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()
        raise AssertionError(request)

    async def announce(self, request: web.Request) -> web.StreamResponse:
        """Announce a long answer, and send nothing of it."""
        response = web.StreamResponse(headers={"Content-Length": "1000000000"})
        await response.prepare(request)
        return await self.hang(request)

    async def trickle(self, request: web.Request) -> web.StreamResponse:
        """Begin a good answer, and never come to its end."""
        response = await self._begin(request)
        try:
            while True:
                await response.write(b" ")
                await asyncio.sleep(0.002)
        finally:
            self.ended.set()

    async def flood(self, request: web.Request) -> web.StreamResponse:
        """Never stop, as fast as can be."""
        response = await self._begin(request)
        try:
            while True:
                await response.write(b" " * 65_536)
                self.sent += 65_536
        finally:
            self.ended.set()

    async def break_off(self, request: web.Request) -> web.StreamResponse:
        """Announce more than comes."""
        response = web.StreamResponse(headers={"Content-Length": "5000"})
        await response.prepare(request)
        await response.write(jwks("one"))
        assert request.transport is not None
        request.transport.close()
        return response

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        return response


def answering(body: bytes, status: int = 200, **headers: str) -> Handler:
    """Answers always the same."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return handler
