"""An issuer for each test, on SQLite unless the test is marked ``on_every_store``."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.http_browser import CALLBACK, PASSWORD, HttpBrowser, WebClient, hash_quickly, http_browser
from tests.http_device import GRANT, DeviceClient
from tests.issuer_under_test import Installation, Replica, Store


@pytest.fixture
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the store is: a file, or an empty database on a real PostgreSQL."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
async def installation(tmp_path: Path, store_url: str) -> Installation:
    """Keys, tables and two clients; nothing runs yet."""
    return await Installation.create(tmp_path, store=store_url)


@pytest.fixture
async def issuer(installation: Installation) -> AsyncIterator[Replica]:
    """The installation's issuer, running."""
    async with installation.running() as replica:
        yield replica


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """A store with its outbox, and no issuer."""
    created = await Store.create(store_url)
    yield created
    await created.close()


@pytest.fixture
def quick_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a relay look, beat and try again without making the tests wait."""
    for name in ("BEAT_SECONDS", "LOOK_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(f"issuer.outbox.relay.{name}", 0.05)


@pytest.fixture
async def web(installation: Installation, issuer: Replica) -> WebClient:
    """A web application that users log in to, and a user, alice, who has never been there."""
    credentials = await installation.client(
        "web",
        name="Orders",
        grants=("authorization_code", "refresh_token"),
        scopes=("read", "write"),
        audiences=("orders", "billing"),
        redirect_uris=(CALLBACK,),
        post_logout_redirect_uris=("https://app.example/bye",),
    )
    hash_quickly(issuer)
    await issuer.services.users.add("alice", PASSWORD, claims={"roles": ["admin"], "tenant": "acme"})
    return WebClient(issuer, *credentials)


@pytest.fixture
async def tv(installation: Installation, web: WebClient) -> DeviceClient:
    """A public client on a device; ``web`` has brought alice."""
    await installation.client(
        "tv",
        name="Films",
        public=True,
        grants=(GRANT, "refresh_token"),
        scopes=("read", "write"),
        audiences=("films", "billing"),
    )
    return DeviceClient(web.issuer, "tv")


@pytest.fixture
async def browser(issuer: Replica) -> AsyncIterator[HttpBrowser]:
    """A person's browser, which has never been at the issuer."""
    async with http_browser(issuer.url) as opened:
        yield opened
