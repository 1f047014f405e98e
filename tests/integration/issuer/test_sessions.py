"""Login sessions: begun anew at each login, ended by logout, time and revocations."""

from typing import Any

import pytest
from sqlalchemy import func, select, update

from issuer.families.oldest import oldest_gsq
from issuer.store.schema import sessions
from tests.http_browser import CALLBACK, HttpBrowser, WebClient, http_browser
from tests.issuer_under_test import Answer, Installation, Replica, on_every_store, rejection, unverified
from verifier_agent import RejectionCode

SELECTORS = [
    {"client_id": "web"},
    {"aud": "billing"},
    {"scope": "write"},
    {"tenant": "acme"},
    {"roles": "admin"},
    {"amr": "pwd"},
    {},
]


async def tokens_of(web: WebClient, browser: HttpBrowser, **changes: str | None) -> dict[str, Any]:
    answer = await web.redeem(await web.log_in(browser, **changes))
    assert answer.status == 200, answer
    body: dict[str, Any] = answer.json()
    return body


def refused(answer: Answer) -> bool:
    return answer.status == 400 and answer.json()["error"] == "invalid_grant"


async def is_asked_to_log_in(web: WebClient, browser: HttpBrowser) -> bool:
    return "password" in (await browser.get(web.request())).fields


@on_every_store
async def test_a_revocation_of_the_user_ends_the_session_and_a_lift_brings_it_back(
    web: WebClient, browser: HttpBrowser, issuer: Replica
) -> None:
    sub = unverified((await tokens_of(web, browser))["access_token"])["sub"]
    revocation = await issuer.revoke(selector={"sub": sub})
    assert await is_asked_to_log_in(web, browser)

    assert (await issuer.admin("POST", f"/revocations/{revocation['id']}/lift", {"reason": "mistake"})).status == 200
    assert not await is_asked_to_log_in(web, browser)


@on_every_store
async def test_a_revocation_by_sid_ends_the_session_and_all_that_came_of_it(
    web: WebClient, browser: HttpBrowser, issuer: Replica, installation: Installation
) -> None:
    tokens = await tokens_of(web, browser)
    code = await web.log_in(browser)
    async with http_browser(issuer.url) as elsewhere, installation.agent() as agent:
        others = await tokens_of(web, elsewhere)
        await issuer.revoke(selector={"sid": unverified(tokens["access_token"])["sid"]})

        while rejection(agent, tokens["access_token"]) is None:
            await agent.changed()
        assert rejection(agent, tokens["access_token"]) is RejectionCode.REVOKED
        assert refused(await web.refresh(tokens["refresh_token"]))
        assert refused(await web.redeem(code))
        assert await is_asked_to_log_in(web, browser)
        assert await issuer.services.parts.sessions.find(browser.cookies["tocsin-session"]) is None
        assert "Signed out" in (await browser.get("/oauth2/logout")).text, "there is nobody to ask"

        assert rejection(agent, others["access_token"]) is None
        assert not await is_asked_to_log_in(web, elsewhere)


@on_every_store
@pytest.mark.parametrize("claims", SELECTORS, ids=str)
async def test_a_revocation_that_would_hit_the_tokens_asks_for_a_new_login_and_that_one_is_good(
    web: WebClient, browser: HttpBrowser, issuer: Replica, claims: dict[str, str]
) -> None:
    code = await web.log_in(browser)
    await issuer.revoke(selector=claims)

    assert refused(await web.redeem(code, resource=claims.get("aud"))), "the code was given before"
    assert await is_asked_to_log_in(web, browser)
    tokens = await tokens_of(web, browser)
    assert (await web.refresh(tokens["refresh_token"])).status == 200


async def test_a_revocation_of_what_this_client_does_not_get_is_no_reason_to_log_in(
    web: WebClient, browser: HttpBrowser, issuer: Replica
) -> None:
    await web.log_in(browser)
    await issuer.revoke(selector={"client_id": "demo"})
    await issuer.revoke(selector={"sub": "somebody else"})
    assert not await is_asked_to_log_in(web, browser)


async def test_a_disabled_user_is_logged_out_and_cannot_log_in(
    web: WebClient, browser: HttpBrowser, issuer: Replica
) -> None:
    code = await web.log_in(browser)
    assert (await issuer.admin("POST", "/users/alice/disable", {"reason": "left"})).status == 200

    assert refused(await web.redeem(code))
    page = await browser.log_in(await browser.get(web.request()))
    assert "is wrong" in page.text


@on_every_store
async def test_a_login_gives_the_browser_a_new_session_and_ends_the_one_before(
    web: WebClient, browser: HttpBrowser, issuer: Replica
) -> None:
    await web.log_in(browser)
    first = browser.cookies["tocsin-session"]
    await browser.log_in(await browser.get(web.request(prompt="login")))
    assert browser.cookies["tocsin-session"] != first

    browser.plant("tocsin-session", first)
    assert await is_asked_to_log_in(web, browser)
    await issuer.services.parts.sessions.purge()
    async with issuer.services.database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(sessions))).scalar_one() == 1


@pytest.mark.parametrize("column", ["used_at", "expires_at"])
async def test_a_session_ends_when_it_is_not_used_and_when_its_time_is_over(
    web: WebClient, browser: HttpBrowser, issuer: Replica, column: str
) -> None:
    await web.log_in(browser)
    settings = issuer.services.settings
    past = {"used_at": settings.session_idle_lifetime, "expires_at": settings.session_lifetime}[column]
    async with issuer.services.database.write() as connection:
        await connection.execute(update(sessions).values({column: sessions.c[column] - past + 30}))
    assert not await is_asked_to_log_in(web, browser)
    async with issuer.services.database.write() as connection:
        await connection.execute(update(sessions).values({column: sessions.c[column] - past - 61}))
    assert await is_asked_to_log_in(web, browser)
    await issuer.services.parts.sessions.purge()
    async with issuer.services.database.read() as connection:
        assert (await connection.execute(select(sessions))).first() is None


async def test_a_session_that_is_used_lives_on(web: WebClient, browser: HttpBrowser, issuer: Replica) -> None:
    await web.log_in(browser)
    for _ in range(3):  # each time more than half of what it may lie unused
        async with issuer.services.database.write() as connection:
            unused = 0.6 * issuer.services.settings.session_idle_lifetime
            await connection.execute(update(sessions).values(used_at=sessions.c.used_at - unused))
        assert not await is_asked_to_log_in(web, browser)


@pytest.mark.parametrize("wish", [{"prompt": "login"}, {"max_age": "0"}], ids=str)
async def test_a_client_can_have_its_user_log_in_again(
    web: WebClient, browser: HttpBrowser, wish: dict[str, str | None]
) -> None:
    first = unverified((await tokens_of(web, browser))["access_token"])
    page = await browser.get(web.request(**wish))
    assert "password" in page.fields

    back = await browser.log_in(page)
    claims = unverified((await web.redeem(back.parameters["code"])).json()["access_token"])
    assert claims["sid"] != first["sid"]
    assert claims["auth_time"] >= first["auth_time"]


async def test_a_login_that_is_recent_enough_suffices(web: WebClient, browser: HttpBrowser, issuer: Replica) -> None:
    await web.log_in(browser)
    assert "code" in (await browser.get(web.request(max_age="3600"))).parameters
    async with issuer.services.database.write() as connection:
        await connection.execute(update(sessions).values(auth_time=sessions.c.auth_time - 3601))
    assert "password" in (await browser.get(web.request(max_age="3600"))).fields
    back = await browser.get(web.request(max_age="3600", prompt="none"))
    assert back.parameters["error"] == "login_required"


async def test_a_client_may_ask_without_asking_anybody(web: WebClient, browser: HttpBrowser) -> None:
    assert (await browser.get(web.request(prompt="none"))).parameters["error"] == "login_required"
    await web.log_in(browser, scope="read")
    assert "code" in (await browser.get(web.request(prompt="none", scope="read"))).parameters
    assert (await browser.get(web.request(prompt="none"))).parameters["error"] == "consent_required"


async def test_prompt_consent_asks_again_once(web: WebClient, browser: HttpBrowser) -> None:
    await web.log_in(browser)
    page = await browser.get(web.request(prompt="consent"))
    assert "asks to act for you" in page.text
    assert "code" in (await browser.send(page, decision="allow")).parameters

    page = await browser.get(web.request(prompt="login consent"))
    page = await browser.log_in(page)
    assert "asks to act for you" in page.text
    assert "code" in (await browser.send(page, decision="allow")).parameters


@pytest.mark.parametrize("filled_in", [{"username": "", "password": "x"}, {"username": "alice", "password": ""}])
async def test_a_form_without_name_or_password_says_what_is_missing(
    web: WebClient, browser: HttpBrowser, filled_in: dict[str, str]
) -> None:
    page = await browser.send(await browser.get(web.request()), **filled_in)
    assert page.status == 400
    assert "Enter your user name and your password." in page.text
    assert page.fields["username"] == filled_in["username"]
    assert page.fields["password"] == ""


async def test_revocations_are_kept_for_sessions_and_codes_as_they_are_for_families(
    web: WebClient, browser: HttpBrowser, issuer: Replica
) -> None:
    """What every replica forgets is older than the oldest of them; a new replica learns of all that is not."""
    own_agent, standing = issuer.services.own_agent, issuer.services.standing
    await browser.log_in(await browser.get(web.request()))  # and no code is given
    gsq = own_agent.rsq
    await issuer.revoke(selector={"client_id": "somebody"})
    assert await issuer.services.families.oldest_gsq(own_agent.rsq) == gsq

    standing.forget(await issuer.services.families.oldest_gsq(own_agent.rsq))
    assert len(standing) == 1
    async with issuer.services.database.read() as connection:
        assert (await connection.execute(oldest_gsq())).scalar_one() == gsq

    session = await issuer.services.parts.sessions.find(browser.cookies["tocsin-session"])
    assert session is not None
    await issuer.services.parts.sessions.end(session, reason="x", actor="y")
    assert await issuer.services.families.oldest_gsq(own_agent.rsq) == own_agent.rsq


async def test_a_code_holds_revocations_when_its_session_is_gone(
    web: WebClient, browser: HttpBrowser, issuer: Replica
) -> None:
    code = await web.log_in(browser)
    gsq = issuer.services.own_agent.rsq
    async with issuer.services.database.write() as connection:
        await connection.execute(update(sessions).values(ended_at=0.0))
    await issuer.revoke(selector={"client_id": "web"})
    issuer.services.standing.forget(await issuer.services.families.oldest_gsq(issuer.services.own_agent.rsq))

    assert await issuer.services.families.oldest_gsq(gsq) == gsq
    assert refused(await web.redeem(code))


async def test_a_second_replica_knows_sessions_codes_and_forms_of_the_first(
    web: WebClient, browser: HttpBrowser, installation: Installation
) -> None:
    async with installation.running(port=0) as second:
        login = await browser.get(web.request())
        async with http_browser(second.url) as there:
            for name, value in browser.cookies.items():
                there.plant(name, value)
            back = await there.send(await there.log_in(login), decision="allow")
            assert (
                await WebClient(second, web.client_id, web.secret, verifier=web.verifier).redeem(
                    back.parameters["code"]
                )
            ).status == 200
            assert not await is_asked_to_log_in(web, there)


async def test_a_client_sees_where_a_session_came_from(
    web: WebClient, browser: HttpBrowser, installation: Installation, issuer: Replica
) -> None:
    other = WebClient(
        issuer,
        *await installation.client(
            "other", grants=("authorization_code",), redirect_uris=(CALLBACK,), skip_consent=True
        ),
    )
    first = unverified((await tokens_of(web, browser))["access_token"])
    second = unverified((await tokens_of(other, browser))["access_token"])
    assert first["sid"] == second["sid"]
    assert first["grant_id"] != second["grant_id"]
