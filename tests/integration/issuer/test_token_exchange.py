"""Token exchange (RFC 8693): never more than the subject token had, and revoked with it."""

from typing import Any

import pytest

from tests.http_browser import HttpBrowser, WebClient
from tests.issuer_under_test import Answer, Credentials, Installation, Replica, rejection, unverified

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


@pytest.fixture
async def service(installation: Installation) -> Credentials:
    return await installation.client(
        "orders-service", grants=(EXCHANGE,), scopes=("orders:read", "stock:read"), audiences=("stock", "orders")
    )


async def exchange(issuer: Replica, by: Credentials, token: str, **more: str) -> Answer:
    form = {"subject_token": token, "subject_token_type": ACCESS_TOKEN, **more}
    return await issuer.form("/oauth2/token", by, grant_type=EXCHANGE, **form)


async def test_a_service_gets_a_token_for_the_next_in_the_name_of_the_same_subject(
    installation: Installation, issuer: Replica, service: Credentials
) -> None:
    subject = await issuer.token(installation.demo)
    answer = await exchange(issuer, service, subject)

    assert answer.status == 200, answer
    body, before = answer.json(), unverified(subject)
    claims: dict[str, Any] = unverified(body["access_token"])
    assert (body["issued_token_type"], body["token_type"], body["scope"]) == (ACCESS_TOKEN, "Bearer", "orders:read")
    assert (claims["sub"], claims["aud"], claims["client_id"]) == ("demo", "stock", "orders-service")
    assert claims["act"] == {"sub": "orders-service"}
    assert claims["exp"] <= before["exp"]
    assert claims["rsq"] <= before["rsq"]


async def test_who_acted_before_is_kept(installation: Installation, issuer: Replica, service: Credentials) -> None:
    stock = await installation.client(
        "stock-service", grants=(EXCHANGE,), scopes=("orders:read",), audiences=("stock",)
    )
    first = (await exchange(issuer, service, await issuer.token(installation.demo))).json()["access_token"]
    second = (await exchange(issuer, stock, first)).json()["access_token"]

    assert unverified(second)["act"] == {"sub": "stock-service", "act": {"sub": "orders-service"}}


async def test_a_revocation_of_the_subject_reaches_what_came_of_its_token(
    installation: Installation, issuer: Replica, service: Credentials
) -> None:
    subject = await issuer.token(installation.demo)
    token = (await exchange(issuer, service, subject)).json()["access_token"]
    await issuer.revoke(selector={"sub": "demo"})

    assert not await issuer.active(token, service)
    refused = await exchange(issuer, service, subject)
    assert (refused.status, refused.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("claims", [{"tenant": "acme"}, {"roles": "admin"}, {"amr": "pwd"}], ids=str)
async def test_a_revocation_by_any_claim_of_its_user_reaches_what_came_of_a_token(
    web: WebClient, browser: HttpBrowser, issuer: Replica, service: Credentials, claims: dict[str, str]
) -> None:
    answer = await web.redeem(await web.log_in(browser))
    token = (await exchange(issuer, service, answer.json()["access_token"])).json()["access_token"]
    assert await issuer.active(token, service)

    await issuer.revoke(selector=claims)
    assert not await issuer.active(token, service)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"scope": "orders:write"}, "invalid_scope"),
        ({"scope": "stock:read"}, "invalid_scope"),
        ({"resource": "payments"}, "invalid_target"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"),
        ({"actor_token": "x", "actor_token_type": ACCESS_TOKEN}, "invalid_request"),
        ({"subject_token": "garbage"}, "invalid_request"),
    ],
)
async def test_what_would_be_more_or_cannot_be_is_refused(
    installation: Installation, issuer: Replica, service: Credentials, more: dict[str, str], error: str
) -> None:
    subject = await issuer.token(installation.demo)
    answer = await issuer.form(
        "/oauth2/token",
        service,
        **{"grant_type": EXCHANGE, "subject_token": subject, "subject_token_type": ACCESS_TOKEN, **more},
    )
    assert (answer.status, answer.json()["error"]) == (400, error), answer


async def test_a_token_that_was_not_sent_to_a_service_is_of_no_use_to_it(
    installation: Installation, issuer: Replica
) -> None:
    thief = await installation.client("thief", grants=(EXCHANGE,), scopes=("orders:read",), audiences=("elsewhere",))
    answer = await exchange(issuer, thief, await issuer.token(installation.demo))

    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


async def test_agents_take_exchanged_tokens(installation: Installation, issuer: Replica, service: Credentials) -> None:
    token = (await exchange(issuer, service, await issuer.token(installation.demo))).json()["access_token"]
    async with installation.agent(audience="stock") as agent:
        assert rejection(agent, token) is None
