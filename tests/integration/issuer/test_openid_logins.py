"""ID tokens of logins in a browser: the nonce and the session go through, and at logout they say who is meant."""

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.http_browser import CALLBACK, HttpBrowser, WebClient, http_browser
from tests.integration.issuer.portal import granted
from tests.issuer_under_test import Installation, Replica, on_every_store, unverified

CONFIGURATION = "/.well-known/openid-configuration"
BYE = "https://app.example/bye"


@pytest.fixture
async def app(web: WebClient, installation: Installation, issuer: Replica) -> WebClient:
    """A client of OpenID Connect, beside the one that alice knows already."""
    credentials = await installation.client(
        "app",
        grants=("authorization_code", "refresh_token"),
        scopes=("openid", "profile", "read"),
        redirect_uris=(CALLBACK,),
        post_logout_redirect_uris=(BYE,),
    )
    return WebClient(issuer, *credentials)


async def id_token_of(app: WebClient, browser: HttpBrowser, **changes: str | None) -> dict[str, Any]:
    body = await granted(await app.redeem(await app.log_in(browser, **changes)))
    return unverified(body["id_token"])


@on_every_store
async def test_the_nonce_of_the_request_comes_back_in_the_id_token(
    app: WebClient, browser: HttpBrowser, issuer: Replica
) -> None:
    body = await granted(await app.redeem(await app.log_in(browser, scope="openid read", nonce="n-0S6_WzA2Mj")))
    claims, access = unverified(body["id_token"]), unverified(body["access_token"])
    again = await granted(await app.refresh(body["refresh_token"]))

    assert (claims["nonce"], claims["aud"], claims["amr"]) == ("n-0S6_WzA2Mj", "app", ["pwd"])
    assert [claims[name] for name in ("sub", "sid", "auth_time")] == [
        access[name] for name in ("sub", "sid", "auth_time")
    ]
    assert "nonce" not in access
    advertised = (await issuer.send("GET", CONFIGURATION)).json()["claims_supported"]
    assert claims.keys() <= set(advertised)
    of_refresh = unverified(again["id_token"])
    assert of_refresh.keys() == claims.keys() - {"nonce"}
    for name in ("iss", "sub", "aud", "sid", "auth_time"):
        assert of_refresh[name] == claims[name]


async def test_each_request_gets_its_own_nonce_or_none_within_one_login(app: WebClient, browser: HttpBrowser) -> None:
    found = [await id_token_of(app, browser, nonce=nonce) for nonce in ("first", None, "third")]

    assert [claims.get("nonce") for claims in found] == ["first", None, "third"]
    assert len({claims["sid"] for claims in found}) == 1
    assert len({claims["auth_time"] for claims in found}) == 1


async def test_two_browsers_are_two_sessions(app: WebClient, browser: HttpBrowser, issuer: Replica) -> None:
    async with http_browser(issuer.url) as elsewhere:
        one, other = await id_token_of(app, browser), await id_token_of(app, elsewhere)

    assert one["sub"] == other["sub"]
    assert one["sid"] != other["sid"]


async def test_a_request_without_scope_openid_gets_no_id_token(app: WebClient, browser: HttpBrowser) -> None:
    body = await granted(await app.redeem(await app.log_in(browser, scope="read", nonce="n")))

    assert "id_token" not in body


async def test_an_id_token_of_ours_is_a_hint_whom_to_log_out_and_an_access_token_is_none(
    app: WebClient, browser: HttpBrowser
) -> None:
    body = await granted(await app.redeem(await app.log_in(browser, scope="openid")))
    asked = {"post_logout_redirect_uri": BYE, "state": "s"}

    unknown = await browser.get(f"/oauth2/logout?{urlencode({**asked, 'id_token_hint': body['access_token']})}")
    assert unknown.sent_to is None
    known = await browser.get(f"/oauth2/logout?{urlencode({**asked, 'id_token_hint': body['id_token']})}")
    assert known.sent_to == f"{BYE}?state=s"
