"""An issuer with an application and a user, for a browser to go through."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web
from playwright.async_api import Page

from tests.http_browser import PASSWORD, WebClient, hash_quickly
from tests.http_device import GRANT, DeviceClient
from tests.issuer_under_test import Installation, Replica

CALLBACK: Final = "http://127.0.0.1/callback"
SCOPES: Final = ("openid", "profile", "orders:read", "offline_access")


@dataclass
class Journey:
    """From an application to its issuer and back.

    Attributes:
        issuer: the issuer.
        client: the application; it listens on a loopback port of its own.
        device: a television.
        arrivals: what the browser brought back, query by query.
        elsewhere: address of a page on another site.
        shown_elsewhere: what stands on it.
    """

    issuer: Replica
    client: WebClient
    device: DeviceClient
    arrivals: list[dict[str, str]]
    elsewhere: str
    shown_elsewhere: list[str]

    def request(self, **changes: str | None) -> str:
        """The address that the application sends its user to."""
        return self.issuer.url + self.client.request(**changes)

    async def log_in(self, page: Page) -> None:
        """Fill in the login page in front of us, as a user does."""
        await page.get_by_label("User name").fill("alice")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()


@asynccontextmanager
async def prepared_journey(folder: Path) -> AsyncIterator[Journey]:
    """Everything running, nobody logged in."""
    installation = await Installation.create(folder)
    arrivals: list[dict[str, str]] = []

    async def callback(request: web.Request) -> web.Response:
        arrivals.append(dict(request.query))
        return web.Response(
            text="<!doctype html><title>Orders</title><h1>Back in the application</h1>", content_type="text/html"
        )

    shown_elsewhere: list[str] = []

    async def another_site(_request: web.Request) -> web.Response:
        return web.Response(text=shown_elsewhere[-1], content_type="text/html")

    app = web.Application()
    app.router.add_get("/elsewhere", another_site)
    app.router.add_get("/callback", callback)
    app.router.add_get("/bye", callback)
    runner = web.AppRunner(app, shutdown_timeout=1.0, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        own = f"http://127.0.0.1:{runner.addresses[0][1]}"
        credentials = await installation.client(
            "orders",
            name="Orders",
            grants=("authorization_code", "refresh_token"),
            scopes=SCOPES,
            redirect_uris=(CALLBACK,),
            post_logout_redirect_uris=(f"{own}/bye",),
        )
        await installation.client("films", name="Films", public=True, grants=(GRANT,), scopes=("openid", "films:watch"))
        async with installation.running() as issuer:
            hash_quickly(issuer)
            await issuer.services.users.add("alice", PASSWORD)
            client = WebClient(issuer, *credentials, redirect_uri=f"{own}/callback")
            # To a browser localhost and 127.0.0.1 are two sites.
            elsewhere = f"{own.replace('127.0.0.1', 'localhost')}/elsewhere"
            device = DeviceClient(issuer, "films")
            yield Journey(issuer, client, device, arrivals, elsewhere, shown_elsewhere)
    finally:
        await runner.cleanup()
