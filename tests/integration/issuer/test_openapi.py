"""The OpenAPI document as it is served, and the issuer held against it: nothing undescribed, no fault."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final
from uuid import uuid4

import pytest
import pytest_asyncio
import schemathesis
from schemathesis import GenerationMode

from events.log.feed_settings import SCOPE as FEED
from issuer.clients import DEVICE_GRANT
from issuer.endpoints.admin import SCOPES
from issuer.endpoints.agents import SCOPE as AGENT
from issuer.openapi import document
from tests.http_browser import CALLBACK, challenge, hash_quickly
from tests.integration.issuer.portal import PASSWORD, Portal, granted, with_passwords
from tests.integration.issuer.stranger import Stranger
from tests.issuer_under_test import Credentials, Installation, Replica

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA: Final = schemathesis.openapi.from_dict(document("http://127.0.0.1"))
OPERATIONS: Final = {each.label: each for each in (found.ok() for found in SCHEMA.get_all_operations())}  # type: ignore[union-attr]
GUARDED: Final = {
    label: operation.definition.raw["security"][0]["bearer"]
    for label, operation in OPERATIONS.items()
    if "bearer" in operation.definition.raw.get("security", [{}])[0]
}
TRIED: Final = [
    (label, mode)
    for label, operation in OPERATIONS.items()
    for mode in GenerationMode
    # Where there is nothing to get wrong, there is one mode.
    if mode is GenerationMode.POSITIVE or operation.body or any(operation.iter_parameters())
]
OURS: Final = (*SCOPES, FEED, AGENT)
OPENID: Final = "openid"
IN_ADDRESSES: Final = {
    "response_type": "code",
    "redirect_uri": CALLBACK,
    "code_challenge": challenge("a verifier of a client"),
    "code_challenge_method": "S256",
    "prompt": "login",
    "max_age": "60",
}
OUT_OF_REACH: Final = (
    "GET /admin/v1/config",  # a program gave this issuer its settings, and it does not know where they come from
    "GET /oauth2/continue",  # it takes a browser that has been there before, as do the forms below
    *("POST /oauth2/login", "POST /oauth2/consent", "POST /oauth2/device", "POST /oauth2/device/decision"),
    *("POST /agents", "POST /agents/status", "POST /admin/v1/agents/{id}/remove"),  # they take an agent's signature
)
"""Operations that no stranger succeeds with."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return with_passwords(await Installation.create(tmp_path_factory.mktemp("described")))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def issuer(installation: Installation) -> AsyncIterator[Replica]:
    async with installation.running() as replica:
        yield replica


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def portal(installation: Installation, issuer: Replica) -> Portal:
    hash_quickly(issuer)
    await issuer.services.users.add("alice", PASSWORD, sub="alice")
    return Portal(issuer, await installation.client("portal", grants=("password",), scopes=(OPENID,)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def someone(installation: Installation) -> Credentials:
    """A client that may ask for something by whatever form."""
    return await installation.client("someone", grants=("client_credentials", DEVICE_GRANT), scopes=("read",))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everything(installation: Installation) -> Credentials:
    """A client that may have every scope of ours."""
    return await installation.client("everything", audiences=(installation.settings.issuer,), scopes=OURS)


def called_from_a_thread(call: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    """A function for another thread, while this one runs the loop."""
    loop = asyncio.get_running_loop()
    return lambda *given: asyncio.run_coroutine_threadsafe(call(*given), loop).result()


async def test_it_is_served_to_everybody_and_names_this_issuer(installation: Installation, issuer: Replica) -> None:
    answer = await issuer.send("GET", "/admin/v1/openapi.json", headers={"Origin": "https://elsewhere.example"})

    assert answer.status == 200
    assert answer.json() == document(installation.settings.issuer)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cache-Control"].startswith("public, max-age=")


@pytest.mark.parametrize("label", GUARDED)
async def test_a_call_takes_the_scopes_that_are_described_and_no_others(
    issuer: Replica, portal: Portal, everything: Credentials, label: str
) -> None:
    method, path = label.replace("{id}", "1.2").replace("{", "").replace("}", "").split(" ")
    (needed,) = GUARDED[label]

    async def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        return (await issuer.send(method, path, headers=headers)).status

    wrong = await issuer.token(everything, scope=" ".join({*OURS} - {needed}))
    assert await status(wrong) == 403
    if needed == OPENID:
        right = (await granted(await portal.log_in(scope=OPENID)))["access_token"]
    else:
        right = await issuer.token(everything, scope=needed)
    assert await status(right) not in (401, 403)


@pytest.mark.parametrize(("label", "mode"), TRIED, ids=str)
async def test_every_answer_is_one_that_is_described(
    installation: Installation,
    issuer: Replica,
    portal: Portal,
    someone: Credentials,
    everything: Credentials,
    label: str,
    mode: GenerationMode,
) -> None:
    """Requests as they are described, and ones that differ in a place."""
    operation = OPERATIONS[label]
    users_token = await granted(await portal.log_in(scope=OPENID)) if GUARDED.get(label) == [OPENID] else {}

    async def bearer() -> str:
        return users_token.get("access_token") or await issuer.token(everything)  # the last may have revoked itself

    async def known(name: str) -> str | None:
        if "/keys/receipts/" in label:
            return str((await issuer.admin("GET", "/keys")).json()["id"])
        if name == "id":
            return str((await issuer.revoke(selector={"sub": "nobody"}))["id"])
        if name == "kid":
            return str((await issuer.admin("GET", "/keys")).json()["keys"][0]["kid"])
        if name == "client_id":
            web = {"grants": ("authorization_code",), "redirect_uris": (CALLBACK,)}
            return (await installation.client(f"client-{uuid4()}", **web)).client_id
        if name == "name":
            return issuer.services.pages.stylesheet_name
        if name == "username":
            return (await issuer.services.users.add(f"user-{uuid4()}", None)).username
        return IN_ADDRESSES.get(name)

    stranger = Stranger(issuer.url, someone, called_from_a_thread(bearer), called_from_a_thread(known))
    await asyncio.to_thread(stranger.try_out, operation, mode)

    if mode is GenerationMode.POSITIVE and label not in OUT_OF_REACH:
        assert min(stranger.seen) < 400, stranger.seen
