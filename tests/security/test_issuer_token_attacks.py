"""Attacks on tokens (RFC 9700 section 4), each by its name; for browsers see ``test_issuer_browser_attacks``."""

from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest

from issuer.openid.id_tokens import left_half
from tests.http_browser import CALLBACK, PASSWORD, HttpBrowser, WebClient, hash_quickly, http_browser
from tests.issuer_under_test import Answer, Credentials, Installation, Replica, rejection, until, unverified

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
SCOPES = ("openid", "read")


@pytest.fixture
async def installation(tmp_path: Path) -> Installation:
    return await Installation.create(tmp_path)


@pytest.fixture
async def issuer(installation: Installation) -> AsyncIterator[Replica]:
    async with installation.running() as replica:
        hash_quickly(replica)
        for name in ("alice", "mallory"):
            await replica.services.users.add(name, PASSWORD)
        yield replica


@pytest.fixture
async def web(installation: Installation, issuer: Replica) -> WebClient:
    grants = ("authorization_code", "refresh_token")
    return WebClient(issuer, *await installation.client("web", grants=grants, scopes=SCOPES, redirect_uris=(CALLBACK,)))


@pytest.fixture
async def alice(issuer: Replica) -> AsyncIterator[HttpBrowser]:
    async with http_browser(issuer.url) as opened:
        yield opened


async def tokens(web: WebClient, browser: HttpBrowser) -> dict[str, str]:
    """What a login gives."""
    answer = await web.redeem(await web.log_in(browser))
    assert answer.status == 200, answer
    body: dict[str, str] = answer.json()
    return body


async def exchanged(issuer: Replica, by: Credentials, token: str, **more: str) -> Answer:
    form = {"subject_token": token, "subject_token_type": ACCESS_TOKEN, **more}
    return await issuer.form("/oauth2/token", by, grant_type=EXCHANGE, **form)


@pytest.mark.parametrize("response_type", ["token", "id_token", "id_token token", "code token", "none"])
async def test_access_token_in_browser_history(web: WebClient, alice: HttpBrowser, response_type: str) -> None:
    """Section 4.3.2: no token goes through a browser, and one in an address counts for nothing."""
    token = (await tokens(web, alice))["access_token"]

    back = await alice.get(web.request(response_type=response_type))
    assert back.parameters["error"] == "unsupported_response_type"
    assert "token" not in back.parameters
    for path in ("/oauth2/userinfo", "/admin/v1/keys"):
        answer = await web.issuer.send("GET", f"{path}?access_token={token}")
        assert answer.status == 401, path


async def test_access_token_injection(web: WebClient, alice: HttpBrowser, issuer: Replica) -> None:
    """Section 4.6: a client that is handed another user's token sees that it is not the one of this login."""
    async with http_browser(issuer.url) as browser:
        page = await browser.log_in(await browser.get(web.request(scope="openid")), "mallory")
        code = (await browser.send(page, decision="allow")).parameters["code"]
        stolen = (await web.redeem(code)).json()["access_token"]
    own = await tokens(web, alice)

    said = unverified(own["id_token"])
    assert jwt.get_unverified_header(own["id_token"])["alg"] == "ES256"
    assert said["at_hash"] == left_half(own["access_token"], "ES256")
    assert said["at_hash"] != left_half(stolen, "ES256")
    headers = {"Authorization": f"Bearer {stolen}"}
    assert (await issuer.send("GET", "/oauth2/userinfo", headers=headers)).json()["sub"] != said["sub"]


async def test_counterfeit_resource_server(installation: Installation, issuer: Replica) -> None:
    """Section 4.9.1: who is sent a token can use it nowhere else, nor turn it into one that he can."""
    counterfeit = await installation.client(
        "counterfeit", grants=(EXCHANGE,), scopes=("orders:read",), audiences=("counterfeit", "orders")
    )
    customer = await installation.client("customer", audiences=("counterfeit",), scopes=("parcels",))
    token = await issuer.token(customer)

    async with installation.agent(audience="orders") as orders:
        assert rejection(orders, token) == "wrong_audience"
    answer = await exchanged(issuer, counterfeit, token, scope="orders:read", resource="orders")
    assert (answer.status, answer.json()["error"]) == (400, "invalid_scope")


async def test_compromised_resource_server(installation: Installation, issuer: Replica) -> None:
    """Section 4.9.2: a token of other services is nothing to one that was broken into, wherever it got it from."""
    broken_into = await installation.client(
        "parcels", grants=(EXCHANGE,), scopes=("orders:read",), audiences=("parcels",)
    )
    token = await issuer.token(installation.demo)

    answer = await exchanged(issuer, broken_into, token)

    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")
    assert not await issuer.active(token, broken_into)


async def test_misuse_of_a_stolen_access_token(web: WebClient, alice: HttpBrowser, installation: Installation) -> None:
    """Section 4.10: it is for one service, has the scope that was asked for, and dies when it is given back."""
    body = (await web.redeem(await web.log_in(alice, scope="read"))).json()
    stolen = body["access_token"]
    async with installation.agent() as service, installation.agent(audience="billing") as other:
        assert rejection(other, stolen) == "wrong_audience"
        assert rejection(service, stolen, scope="write") == "insufficient_scope"
        assert rejection(service, stolen) is None

        await web.ask({"token": stolen}, "/oauth2/revoke")

        await until(lambda: rejection(service, stolen) == "revoked", "the service refuses the stolen token")


async def test_refresh_token_theft(web: WebClient, alice: HttpBrowser, installation: Installation) -> None:
    """Section 4.14: a token that was used before ends everything, for the thief and at every verifier."""
    first = await tokens(web, alice)
    second = (await web.refresh(first["refresh_token"])).json()
    third = (await web.refresh(second["refresh_token"])).json()

    again = await web.refresh(first["refresh_token"])

    assert (again.status, again.json()["error"]) == (400, "invalid_grant")
    await all_are_dead(web, installation, first, second, third)


async def test_refresh_token_theft_within_the_grace(
    web: WebClient, alice: HttpBrowser, installation: Installation
) -> None:
    """Section 4.14: a thief who is as quick as a client whose answer was lost has it until the client comes again."""
    first = await tokens(web, alice)
    clients = (await web.refresh(first["refresh_token"])).json()
    thiefs = (await web.refresh(first["refresh_token"])).json()

    again = await web.refresh(clients["refresh_token"])

    assert (again.status, again.json()["error"]) == (400, "invalid_grant")
    await all_are_dead(web, installation, first, clients, thiefs)


async def all_are_dead(web: WebClient, installation: Installation, *given: dict[str, str]) -> None:
    """Neither can anything be refreshed, nor does a service take any of the access tokens."""
    for body in given:
        assert (await web.refresh(body["refresh_token"])).status == 400
    async with installation.agent() as service:
        await until(
            lambda: {rejection(service, body["access_token"]) for body in given} == {"revoked"},
            "the service refuses them all",
        )


async def test_client_impersonating_a_resource_owner(
    web: WebClient, alice: HttpBrowser, installation: Installation, issuer: Replica
) -> None:
    """Section 4.15: a client that is named like a user's sub gets a token that speaks for no user."""
    sub = unverified((await tokens(web, alice))["access_token"])["sub"]
    impostor = await installation.client(sub, scopes=SCOPES)

    token = await issuer.token(impostor)

    answer = await issuer.send("GET", "/oauth2/userinfo", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status, answer.json()["error"]) == (401, "invalid_token")
    assert unverified(token)["client_id"] == sub  # by which services tell them apart (RFC 9068 section 5)


@pytest.mark.parametrize("response_mode", ["web_message", "fragment", "form_post", "jwt"])
async def test_in_browser_communication(web: WebClient, alice: HttpBrowser, response_mode: str) -> None:
    """Section 4.17: nothing is posted between windows: no such response mode, and no page of ours may run a script."""
    back = await alice.get(web.request(response_mode=response_mode))
    page = await alice.get(web.request())

    assert (back.status, back.parameters["error"]) == (303, "invalid_request")
    assert "default-src 'none'" in page.answer.headers["Content-Security-Policy"]
    assert "script-src" not in page.answer.headers["Content-Security-Policy"]
    assert b"<script" not in page.answer.body
