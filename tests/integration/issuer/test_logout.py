"""RP-Initiated Logout: who may end a session without being asked, and where the browser goes afterwards."""

import dataclasses
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from tests.http_browser import HttpBrowser, WebClient
from tests.issuer_under_test import Installation, Replica, on_every_store, rejection, unverified
from verifier_agent import RejectionCode

BYE = "https://app.example/bye"


async def tokens_of(web: WebClient, browser: HttpBrowser) -> dict[str, Any]:
    answer = await web.redeem(await web.log_in(browser))
    assert answer.status == 200, answer
    body: dict[str, Any] = answer.json()
    return body


async def id_token(issuer: Replica, access_token: str, *, typ: str = "JWT", **changes: Any) -> str:
    """An ID token for the session of an access token, signed by the issuer."""
    said = unverified(access_token)
    claims = {"iss": said["iss"], "sub": said["sub"], "aud": said["client_id"], "sid": said["sid"], "exp": 1, "iat": 0}
    key = await issuer.services.keys.signing.active(issuer.services.own_agent.verifier.state.keys.published)
    return key.sign(claims | changes, typ)


def logout(**parameters: str) -> str:
    return f"/oauth2/logout?{urlencode(parameters)}"


async def is_logged_in(web: WebClient, browser: HttpBrowser) -> bool:
    return "code" in (await browser.get(web.request(prompt="none"))).parameters


@on_every_store
async def test_a_client_that_shows_its_id_token_logs_its_user_out_and_gets_the_browser_back(
    web: WebClient, browser: HttpBrowser, issuer: Replica
) -> None:
    tokens = await tokens_of(web, browser)
    hint, held = await id_token(issuer, tokens["access_token"]), browser.cookies["tocsin-session"]
    page = await browser.get(logout(id_token_hint=hint, post_logout_redirect_uri=BYE, state="a b"))

    assert page.sent_to == f"{BYE}?state=a+b"
    assert "tocsin-session" not in browser.cookies
    browser.plant("tocsin-session", held)
    assert not await is_logged_in(web, browser)
    assert (await web.refresh(tokens["refresh_token"])).status == 200, "tokens live on unless a setting says otherwise"


@pytest.mark.parametrize(
    "how",
    [
        {"typ": "at+jwt"},
        {"iss": "https://elsewhere.example"},
        {"sub": "somebody else"},
        {"sid": "another session"},
        {"aud": ["web", "other"]},
    ],
    ids=str,
)
async def test_without_an_id_token_of_this_session_the_person_is_asked(
    web: WebClient, browser: HttpBrowser, issuer: Replica, how: dict[str, Any]
) -> None:
    hint = await id_token(issuer, (await tokens_of(web, browser))["access_token"], **how)
    page = await browser.get(logout(id_token_hint=hint, client_id="web", post_logout_redirect_uri=BYE))
    assert "Sign out?" in page.text
    assert "Orders asks to sign you out" in page.text
    assert await is_logged_in(web, browser)

    page = await browser.send(page, decision="logout")
    assert page.sent_to == BYE
    assert not await is_logged_in(web, browser)


@pytest.mark.parametrize("hint", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
async def test_a_hint_that_is_no_token_is_no_hint(web: WebClient, browser: HttpBrowser, hint: str) -> None:
    await web.log_in(browser)
    assert "Sign out?" in (await browser.get(logout(id_token_hint=hint))).text


async def test_a_person_may_stay_and_may_leave_by_themselves(web: WebClient, browser: HttpBrowser) -> None:
    await web.log_in(browser)
    page = await browser.send(await browser.get(logout()), decision="stay")
    assert "Still signed in" in page.text
    assert await is_logged_in(web, browser)

    page = await browser.send(await browser.get(logout()), decision="logout")
    assert "Signed out" in page.text
    assert not await is_logged_in(web, browser)
    assert "Signed out" in (await browser.get(logout())).text


@pytest.mark.parametrize(
    "parameters",
    [
        {"post_logout_redirect_uri": BYE},
        {"post_logout_redirect_uri": "https://evil.example/", "client_id": "web"},
        {"post_logout_redirect_uri": BYE + "/", "client_id": "web"},
        {"post_logout_redirect_uri": BYE, "client_id": "nobody"},
        {"post_logout_redirect_uri": "https://app.example/callback", "client_id": "web"},
    ],
    ids=str,
)
async def test_the_browser_goes_only_to_where_the_client_has_registered(
    web: WebClient, browser: HttpBrowser, parameters: dict[str, str]
) -> None:
    await web.log_in(browser)
    page = await browser.get(logout(**parameters))
    assert page.status == 400
    assert page.sent_to is None
    assert await is_logged_in(web, browser)


async def test_a_hint_of_another_client_than_named_is_refused(
    web: WebClient, browser: HttpBrowser, issuer: Replica
) -> None:
    hint = await id_token(issuer, (await tokens_of(web, browser))["access_token"], aud="other")
    assert (await browser.get(logout(id_token_hint=hint, client_id="web"))).status == 400
    assert (await browser.get(logout(id_token_hint=hint) + "&id_token_hint=x")).status == 400


async def test_a_logout_by_form_is_as_good(web: WebClient, browser: HttpBrowser, issuer: Replica) -> None:
    hint = await id_token(issuer, (await tokens_of(web, browser))["access_token"])
    page = await browser.post("/oauth2/logout", {"id_token_hint": hint, "post_logout_redirect_uri": BYE})
    assert page.sent_to == BYE
    assert not await is_logged_in(web, browser)


async def test_codes_that_were_not_redeemed_end_with_the_session(web: WebClient, browser: HttpBrowser) -> None:
    code = await web.log_in(browser)
    await browser.send(await browser.get(logout()), decision="logout")
    assert (await web.redeem(code)).status == 400


class TestRevoking:
    """With ``logout_revokes_tokens``."""

    @pytest.fixture
    async def installation(self, installation: Installation) -> Installation:
        settings = msgspec.structs.replace(installation.settings, logout_revokes_tokens=True)
        return dataclasses.replace(installation, settings=settings)

    @on_every_store
    async def test_logging_out_takes_back_every_token_of_the_session_everywhere(
        self, web: WebClient, browser: HttpBrowser, installation: Installation
    ) -> None:
        tokens = await tokens_of(web, browser)
        async with installation.agent() as agent:
            assert rejection(agent, tokens["access_token"]) is None
            await browser.send(await browser.get(logout()), decision="logout")
            while rejection(agent, tokens["access_token"]) is None:
                await agent.changed()
            assert rejection(agent, tokens["access_token"]) is RejectionCode.REVOKED
        assert (await web.refresh(tokens["refresh_token"])).status == 400
        assert "refresh_token" in await tokens_of(web, browser)
