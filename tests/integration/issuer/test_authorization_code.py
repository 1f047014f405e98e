"""From a client's request through login and consent to a code, and from the code to tokens."""

import asyncio
from typing import Any
from urllib.parse import parse_qsl

import pytest
from sqlalchemy import update

from issuer.store.schema import codes
from tests.http_browser import CALLBACK, PASSWORD, HttpBrowser, WebClient, http_browser
from tests.issuer_under_test import Answer, Installation, Replica, on_every_store, rejection, unverified
from verifier_agent import RejectionCode


def granted(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer
    body: dict[str, Any] = answer.json()
    return body


def refused(answer: Answer) -> str:
    assert answer.status == 400, answer
    error: str = answer.json()["error"]
    return error


@on_every_store
async def test_a_user_logs_in_and_agrees_and_the_client_gets_tokens(
    web: WebClient, browser: HttpBrowser, issuer: Replica, installation: Installation
) -> None:
    login = await browser.get(web.request(login_hint="alice", scope="read"))
    assert login.status == 200
    assert "to continue to Orders" in login.text
    assert login.fields["username"] == "alice"
    consent = await browser.log_in(login)
    assert "You are signed in as alice" in consent.text
    assert "app.example" in consent.text
    back = await browser.send(consent, decision="allow")

    assert back.status == 303
    assert back.sent_to is not None
    assert back.sent_to.startswith(CALLBACK + "?")
    assert back.parameters.keys() == {"code", "state", "iss"}
    assert back.parameters["state"] == "s-1"
    assert back.parameters["iss"] == installation.settings.issuer

    tokens = granted(await web.redeem(back.parameters["code"]))
    claims = unverified(tokens["access_token"])
    assert (claims["client_id"], claims["scope"], claims["aud"]) == ("web", "read", "orders")
    assert claims["tenant"] == "acme"
    assert claims.keys() >= {"sid", "auth_time", "grant_id", "rsq"}
    async with installation.agent() as agent:
        assert rejection(agent, tokens["access_token"]) is None
    again = granted(await web.refresh(tokens["refresh_token"]))
    assert unverified(again["access_token"])["sid"] == claims["sid"]


@on_every_store
async def test_a_user_who_is_logged_in_and_has_agreed_is_asked_nothing(web: WebClient, browser: HttpBrowser) -> None:
    first = await web.log_in(browser)
    back = await browser.get(web.request())

    assert back.sent_to is not None, back.text
    assert back.parameters["code"] != first
    narrower = await browser.get(web.request(scope="read"))
    assert "code" in narrower.parameters


async def test_a_scope_that_the_user_has_not_agreed_to_is_asked_for(web: WebClient, browser: HttpBrowser) -> None:
    await web.log_in(browser, scope="read")
    consent = await browser.get(web.request(scope="read write"))
    assert "asks to act for you" in consent.text
    await browser.send(consent, decision="allow")
    assert "code" in (await browser.get(web.request(scope="write"))).parameters


async def test_a_user_who_does_not_agree_is_not_asked_to_log_in_again_and_the_client_is_told(
    web: WebClient, browser: HttpBrowser, installation: Installation
) -> None:
    consent = await browser.log_in(await browser.get(web.request()))
    back = await browser.send(consent, decision="deny")

    assert back.parameters == {
        "error": "access_denied",
        "error_description": "the user does not agree",
        "state": "s-1",
        "iss": installation.settings.issuer,
    }
    assert "asks to act for you" in (await browser.get(web.request())).text


async def test_cancel_means_no_whoever_has_logged_in_in_another_tab_since(
    web: WebClient, browser: HttpBrowser, issuer: Replica
) -> None:
    await issuer.services.users.add("bob", PASSWORD)
    page = await browser.log_in(await browser.get(web.request()), username="bob")
    await browser.send(page, decision="allow")
    alices = await browser.log_in(await browser.get(web.request(prompt="login")))
    assert "signed in as alice" in alices.text
    await browser.log_in(await browser.get(web.request(prompt="login")), username="bob")

    back = await browser.send(alices, decision="deny")
    assert back.parameters["error"] == "access_denied"


async def test_a_client_of_the_house_needs_no_consent_unless_it_asks_for_it(
    web: WebClient, browser: HttpBrowser, installation: Installation, issuer: Replica
) -> None:
    own = await installation.client(
        "own", grants=("authorization_code",), scopes=("read",), redirect_uris=(CALLBACK,), skip_consent=True
    )
    house = WebClient(issuer, *own)
    back = await browser.log_in(await browser.get(house.request()))
    assert "refresh_token" not in granted(await house.redeem(back.parameters["code"]))
    assert "asks to act for you" in (await browser.get(house.request(prompt="consent"))).text


@on_every_store
async def test_a_code_that_is_redeemed_twice_takes_back_what_it_gave(
    web: WebClient, browser: HttpBrowser, installation: Installation
) -> None:
    code = await web.log_in(browser)
    tokens = granted(await web.redeem(code))
    async with installation.agent() as agent:
        assert rejection(agent, tokens["access_token"]) is None
        assert refused(await web.redeem(code)) == "invalid_grant"
        assert not (await web.ask({"token": tokens["access_token"]}, "/oauth2/introspect")).json()["active"]

        while rejection(agent, tokens["access_token"]) is None:
            await agent.changed()
        assert rejection(agent, tokens["access_token"]) is RejectionCode.REVOKED
    assert refused(await web.refresh(tokens["refresh_token"])) == "invalid_grant"
    assert refused(await web.redeem(code)) == "invalid_grant"
    assert "access_token" in granted(await web.redeem(await web.log_in(browser)))


@on_every_store
async def test_of_two_who_redeem_a_code_at_once_neither_keeps_anything(web: WebClient, browser: HttpBrowser) -> None:
    code = await web.log_in(browser)
    answers = await asyncio.gather(*(web.redeem(code) for _ in range(6)))

    won = [answer for answer in answers if answer.status == 200]
    assert len(won) == 1
    assert {refused(answer) for answer in answers if answer.status != 200} == {"invalid_grant"}
    assert refused(await web.refresh(won[0].json()["refresh_token"])) == "invalid_grant"
    assert not (await web.ask({"token": won[0].json()["access_token"]}, "/oauth2/introspect")).json()["active"]


@on_every_store
async def test_a_code_is_good_for_a_minute(web: WebClient, browser: HttpBrowser, issuer: Replica) -> None:
    code = await web.log_in(browser)
    async with issuer.services.database.write() as connection:
        await connection.execute(update(codes).values(expires_at=codes.c.expires_at - 61))
    assert refused(await web.redeem(code)) == "invalid_grant"

    await issuer.services.parts.codes.purge()
    assert await issuer.services.parts.codes.find(code) is None


async def test_a_used_code_is_remembered_for_as_long_as_its_tokens_may_live(
    web: WebClient, browser: HttpBrowser, issuer: Replica
) -> None:
    code = await web.log_in(browser)
    tokens = granted(await web.redeem(code))
    async with issuer.services.database.write() as connection:
        await connection.execute(update(codes).values(expires_at=codes.c.expires_at - 3600))
    await issuer.services.parts.codes.purge()

    assert refused(await web.redeem(code)) == "invalid_grant"
    assert refused(await web.refresh(tokens["refresh_token"])) == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "x" * 43}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"redirect_uri": "https://app.example/other"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"code": "x" * 43}, "invalid_grant"),
        ({"code": "\0"}, "invalid_grant"),
        ({"code": None}, "invalid_request"),
        ({"resource": "elsewhere"}, "invalid_target"),
    ],
    ids=str,
)
async def test_a_code_is_redeemed_by_who_asked_for_it_as_it_was_asked_for_and_stays_good_for_that(
    web: WebClient, browser: HttpBrowser, changes: dict[str, str | None], error: str
) -> None:
    code = await web.log_in(browser)
    assert refused(await web.redeem(code, **changes)) == error
    assert "access_token" in granted(await web.redeem(code))
    assert refused(await web.redeem(code, **changes)) == error
    assert (await web.ask({"grant_type": "authorization_code", "code": code})).status == 400


async def test_tokens_are_for_the_services_that_were_asked_for(web: WebClient, browser: HttpBrowser) -> None:
    tokens = granted(await web.redeem(await web.log_in(browser, resource="billing")))
    assert unverified(tokens["access_token"])["aud"] == "billing"

    page = await browser.get(web.request(resource="billing") + "&resource=orders")
    code = page.parameters["code"]
    assert unverified(granted(await web.redeem(code, resource="orders"))["access_token"])["aud"] == "orders"


async def test_a_service_that_a_client_has_lost_it_gets_no_more_tokens_for(
    web: WebClient, browser: HttpBrowser, issuer: Replica
) -> None:
    tokens = granted(await web.redeem(await web.log_in(browser)))
    code = await web.log_in(browser)
    assert unverified(tokens["access_token"])["aud"] == "orders"
    await issuer.services.clients.change("web", {"audiences": ("billing",)})

    for given in (granted(await web.redeem(code)), granted(await web.refresh(tokens["refresh_token"]))):
        assert unverified(given["access_token"])["aud"] == "billing"
        again: dict[str, str | None] = {
            "grant_type": "refresh_token",
            "refresh_token": given["refresh_token"],
            "resource": "orders",
        }
        assert refused(await web.ask(again)) == "invalid_target"
        await issuer.services.clients.change("web", {"audiences": ("elsewhere",)})
        assert refused(await web.refresh(given["refresh_token"])) == "invalid_target", "rather than a token for nobody"
        await issuer.services.clients.change("web", {"audiences": ("billing",)})


async def test_another_client_cannot_redeem_the_code(
    web: WebClient, browser: HttpBrowser, installation: Installation, issuer: Replica
) -> None:
    other = await installation.client("other", grants=("authorization_code",), redirect_uris=(CALLBACK,))
    thief = WebClient(issuer, *other, verifier=web.verifier)
    code = await web.log_in(browser)
    assert refused(await thief.redeem(code)) == "invalid_grant"
    assert "access_token" in granted(await web.redeem(code))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"scope": "read admin"}, "invalid_scope"),
        ({"resource": "elsewhere"}, "invalid_target"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"request": "eyJ.x.y"}, "request_not_supported"),
        ({"request_uri": "https://app.example/r"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"prompt": "none"}, "login_required"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "select_account"}, "account_selection_required"),
        ({"prompt": "create"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"nonce": "n" * 513}, "invalid_request"),
        ({"nonce": "a\0b"}, "invalid_request"),
    ],
    ids=str,
)
async def test_what_is_wrong_with_a_request_is_told_to_its_client(
    web: WebClient, browser: HttpBrowser, installation: Installation, changes: dict[str, str | None], error: str
) -> None:
    back = await browser.get(web.request(**changes))

    assert back.status == 303
    assert back.sent_to is not None
    assert back.sent_to.startswith(CALLBACK + "?")
    assert back.parameters["error"] == error
    assert back.parameters["state"] == "s-1"
    assert back.parameters["iss"] == installation.settings.issuer


async def test_a_repeated_parameter_is_told_to_the_client_and_a_repeated_state_is_not_sent_back(
    web: WebClient, browser: HttpBrowser
) -> None:
    back = await browser.get(web.request() + "&scope=read&scope=write")
    assert back.parameters["error"] == "invalid_request"
    back = await browser.get(web.request() + "&state=s-2")
    assert back.parameters.keys() == {"error", "error_description", "iss"}


async def test_a_client_without_the_grant_is_told_so(
    browser: HttpBrowser, web: WebClient, installation: Installation, issuer: Replica
) -> None:
    other = await installation.client("other", grants=("refresh_token",), redirect_uris=(CALLBACK,))
    back = await browser.get(WebClient(issuer, *other).request())
    assert back.parameters["error"] == "unauthorized_client"


async def test_a_request_by_form_is_as_good(web: WebClient, browser: HttpBrowser) -> None:
    await web.log_in(browser)
    address, _, query = web.request().partition("?")
    page = await browser.post(address, dict(parse_qsl(query)))
    assert page.sent_to is not None, page.text
    page = await browser.post(address, {"client_id": "x" * 5000})
    assert page.status == 400


async def test_a_redirect_uri_keeps_its_own_query(
    browser: HttpBrowser, web: WebClient, installation: Installation, issuer: Replica
) -> None:
    uri = "https://app.example/callback?tenant=a%2Fb"
    credentials = await installation.client("query", grants=("authorization_code",), redirect_uris=(uri,))
    back = await browser.get(WebClient(issuer, *credentials, redirect_uri=uri).request(prompt="none"))
    assert back.sent_to is not None
    assert back.sent_to.startswith(uri + "&error=login_required")


async def test_with_the_store_away_the_person_is_told(
    web: WebClient, browser: HttpBrowser, issuer: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    from issuer.errors import StoreUnavailable  # noqa: PLC0415 - of this test alone

    async def away(*_: object) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(issuer.services.clients, "find", away)
    page = await browser.get(web.request())
    assert page.status == 503
    assert "cannot do this right now" in page.text


async def test_two_browsers_are_two_sessions(web: WebClient, browser: HttpBrowser, issuer: Replica) -> None:
    tokens = granted(await web.redeem(await web.log_in(browser)))
    async with http_browser(issuer.url) as another:
        others = granted(await web.redeem(await web.log_in(another)))
    sids = {unverified(each["access_token"])["sid"] for each in (tokens, others)}
    assert len(sids) == 2


async def test_a_consent_to_no_scope_at_all_is_remembered_too(
    browser: HttpBrowser, web: WebClient, installation: Installation, issuer: Replica
) -> None:
    credentials = await installation.client("bare", grants=("authorization_code",), redirect_uris=(CALLBACK,))
    bare = WebClient(issuer, *credentials)
    page = await browser.log_in(await browser.get(bare.request()))
    assert "Know who you are" in page.text
    await browser.send(page, decision="allow")
    assert "code" in (await browser.get(bare.request(prompt="none"))).parameters


async def test_what_is_told_to_a_client_has_no_character_that_rfc_6749_forbids(
    web: WebClient, browser: HttpBrowser
) -> None:
    back = await browser.get(web.request() + "&%22%5C=1&%22%5C=2")
    assert back.parameters["error_description"] == "a parameter is repeated"


async def test_nobody_but_the_user_of_an_id_token_hint_will_do(
    browser: HttpBrowser, web: WebClient, issuer: Replica
) -> None:
    """Or a client that renews silently would go on as whoever has logged in since."""
    await issuer.services.clients.change("web", {"scopes": ("openid", "read")})
    await issuer.services.users.add("bob", PASSWORD)
    hint = granted(await web.redeem(await web.log_in(browser)))["id_token"]
    assert "code" in (await browser.get(web.request(prompt="none", id_token_hint=hint))).parameters
    page = await browser.log_in(await browser.get(web.request(prompt="login")), username="bob")
    await browser.send(page, decision="allow")
    assert "code" in (await browser.get(web.request(prompt="none"))).parameters

    silent = await browser.get(web.request(prompt="none", id_token_hint=hint))
    assert silent.parameters["error"] == "login_required"
    login = await browser.get(web.request(id_token_hint=hint))
    assert (await browser.log_in(login, username="bob")).parameters["error"] == "login_required"
    assert "code" in (await browser.log_in(await browser.get(web.request(id_token_hint=hint)))).parameters
    assert "code" in (await browser.get(web.request(prompt="none", id_token_hint="x.y.z"))).parameters, "no hint"


async def test_an_id_token_has_the_nonce_and_the_session_of_the_login_and_ends_it(
    browser: HttpBrowser, web: WebClient, installation: Installation, issuer: Replica
) -> None:
    credentials = await installation.client(
        "portal", grants=("authorization_code",), scopes=("openid",), redirect_uris=(CALLBACK,), skip_consent=True
    )
    portal = WebClient(issuer, *credentials)
    back = await browser.log_in(await browser.get(portal.request(nonce="n-1")))
    tokens = granted(await portal.redeem(back.parameters["code"]))
    said, access = unverified(tokens["id_token"]), unverified(tokens["access_token"])
    assert (said["nonce"], said["sid"], said["amr"]) == ("n-1", access["sid"], ["pwd"])

    page = await browser.get(f"/oauth2/logout?id_token_hint={tokens['id_token']}")
    assert "Signed out" in page.text
    assert (await browser.get(portal.request(prompt="none"))).parameters["error"] == "login_required"
