"""Libraries that others have written, against the issuer: from discovery by way of the grants to revocation."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from issuer.clients import DEVICE_GRANT, Client
from tests.clients.programs import STEPS, Missing, command
from tests.http_browser import CALLBACK, PASSWORD, HttpBrowser, hash_quickly, http_browser
from tests.integration.issuer.robot import KEYS, Robot
from tests.issuer_under_test import AUDIENCE, Installation, Replica
from tests.services.search import services_are_required

SECONDS = 90.0
NAME = "Alice Doe"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


@pytest.fixture(params=["python", "node", "go"])
def program(request: pytest.FixtureRequest) -> list[str]:
    """The command of one of them."""
    try:
        return command(request.param)
    except Missing as missing:
        if services_are_required(os.environ):
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture
async def installation(tmp_path: Path) -> Installation:
    return await Installation.create(tmp_path)


@pytest.fixture
async def issuer(installation: Installation) -> AsyncIterator[Replica]:
    async with installation.running() as replica:
        hash_quickly(replica)
        await replica.services.users.add("alice", PASSWORD, claims={"name": NAME})
        yield replica


@pytest.fixture
async def order(installation: Installation, issuer: Replica, tmp_path: Path) -> Path:
    """What a program is told: where, and as whom."""
    scopes = ("openid", "profile", "orders:read")
    web = await installation.client(
        "web", grants=("authorization_code", "refresh_token"), scopes=scopes, redirect_uris=(CALLBACK,)
    )
    machine = await installation.client("machine", grants=("client_credentials", EXCHANGE), scopes=("orders:read",))
    television = Client(client_id="television", public=True, grants=(DEVICE_GRANT,), scopes=("orders:read",))
    await issuer.services.clients.add_without_secret(television)
    await Robot.register(installation, issuer)
    path = tmp_path / "order.json"
    path.write_bytes(
        msgspec.json.encode(
            {
                "issuer": issuer.url,
                "audience": AUDIENCE,
                "name": NAME,
                "robot": {"client_id": machine.client_id, "client_secret": machine.secret},
                "device": {"client_id": "television"},
                "signing": {"client_id": "robot", "jwk": KEYS["ES256"]},
                "web": {"client_id": web.client_id, "client_secret": web.secret, "redirect_uri": CALLBACK},
            }
        )
    )
    return path


@asynccontextmanager
async def running(arguments: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that ends with the test, whatever happens."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*arguments, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def visited(browser: HttpBrowser, address: str) -> str:
    """Where a person's browser is sent who logs in and agrees."""
    page = await browser.log_in(await browser.get(address))
    page = await browser.send(page, decision="allow")
    assert page.sent_to is not None, page.text
    return page.sent_to


async def let_in(browser: HttpBrowser, address: str) -> None:
    """A person who is logged in goes where a device says, compares the code and agrees."""
    page = await browser.send(await browser.get(address))
    page = await browser.send(page, decision="allow")
    assert "connected" in page.text


async def test_a_library_goes_through_everything(program: list[str], order: Path, issuer: Replica) -> None:
    steps = []
    async with (
        asyncio.timeout(SECONDS),
        running([*program, str(order)]) as process,
        http_browser(issuer.url) as browser,
    ):
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stderr is not None
        async for line in process.stdout:
            said, _, rest = line.decode().strip().partition(" ")
            if said == "done":
                steps.append(rest)
            elif said == "go":
                process.stdin.write((await visited(browser, rest)).encode() + b"\n")
            elif said == "device":
                await let_in(browser, rest)
                process.stdin.write(b"back\n")
        complaint = (await process.stderr.read()).decode()
        assert (await process.wait(), tuple(steps)) == (0, STEPS), complaint
