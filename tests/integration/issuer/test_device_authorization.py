"""From a device that asks to be let in, through a person's browser, to its tokens."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select, update

from issuer.devices import DeviceStore, UserCodeGuesses
from issuer.errors import StoreUnavailable
from issuer.store.schema import devices, user_code_guesses
from tests.http_browser import HttpBrowser, WebClient, http_browser
from tests.http_device import GRANT, PAGE, DeviceClient, allow, enter, pass_time
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
async def test_a_person_types_the_code_logs_in_compares_and_the_device_gets_tokens(
    tv: DeviceClient, browser: HttpBrowser, installation: Installation
) -> None:
    codes = await tv.begin(scope="read")
    assert refused(await tv.poll(codes["device_code"])) == "authorization_pending"

    entry = await browser.get(PAGE)
    assert "Enter the code that your device shows" in entry.text
    login = await browser.send(entry, user_code=codes["user_code"].lower().replace("-", " "))
    assert "Films" not in login.text
    consent = await browser.log_in(login)
    assert "Allow Films on your device?" in consent.text
    assert f"Your device must show this code now: {codes['user_code']}" in consent.text
    assert "You are signed in as alice" in consent.text
    assert "“read”" in consent.text
    assert "“write”" not in consent.text
    done = await browser.send(consent, decision="allow")
    assert "Your device is connected" in done.text

    tokens = granted(await tv.poll(codes["device_code"]))
    claims = unverified(tokens["access_token"])
    assert (claims["client_id"], claims["scope"], claims["aud"]) == ("tv", "read", "films")
    assert claims["tenant"] == "acme"
    assert claims.keys() >= {"sid", "auth_time", "grant_id", "rsq"}
    assert "nonce" not in claims
    async with installation.agent(audience="films") as agent:
        assert rejection(agent, tokens["access_token"]) is None
    again = granted(await tv.refresh(tokens["refresh_token"]))
    assert unverified(again["access_token"])["sid"] == claims["sid"]


@on_every_store
async def test_a_device_that_is_refused_is_told_and_cannot_be_let_in_any_more(
    tv: DeviceClient, browser: HttpBrowser
) -> None:
    codes = await tv.begin()
    consent = await enter(browser, codes["user_code"])
    assert "was not let in" in (await browser.send(consent, decision="deny")).text

    assert refused(await tv.poll(codes["device_code"])) == "access_denied"
    late = await browser.send(consent, decision="allow")
    assert (late.status, "Start again on your device" in late.text) == (400, True)
    assert refused(await tv.poll(codes["device_code"])) == "access_denied"


async def test_who_is_logged_in_is_asked_each_time_and_never_for_a_password(
    tv: DeviceClient, browser: HttpBrowser, installation: Installation, issuer: Replica
) -> None:
    """Another consent is no answer to the question whether this is one's device, nor is being of the house."""
    await installation.client("own", public=True, grants=(GRANT,), scopes=("read",), skip_consent=True)
    await allow(browser, (await tv.begin())["user_code"])
    for client in (tv, DeviceClient(issuer, "own")):
        again = await browser.send(await browser.get(PAGE), user_code=(await client.begin())["user_code"])
        assert "on your device?" in again.text


async def test_a_consent_for_a_device_is_none_for_a_browser(
    tv: DeviceClient, browser: HttpBrowser, installation: Installation, issuer: Replica
) -> None:
    both = await installation.client(
        "both", grants=(GRANT, "authorization_code"), scopes=("read",), redirect_uris=("https://app.example/callback",)
    )
    await allow(browser, (await DeviceClient(issuer, *both).begin())["user_code"])
    assert "asks to act for you" in (await browser.get(WebClient(issuer, *both).request())).text


async def test_the_complete_address_fills_the_code_in_and_decides_nothing(
    tv: DeviceClient, browser: HttpBrowser
) -> None:
    """RFC 8628 section 3.3.1."""
    codes = await tv.begin()
    address = codes["verification_uri_complete"].removeprefix(tv.issuer.url)
    page = await browser.get(address)
    assert page.fields["user_code"] == codes["user_code"]
    consent = await browser.log_in(await browser.send(page))
    assert codes["user_code"] in consent.text
    await browser.send(consent, decision="allow")
    assert granted(await tv.poll(codes["device_code"]))


@on_every_store
async def test_of_many_polls_at_once_exactly_one_gets_the_tokens(tv: DeviceClient, browser: HttpBrowser) -> None:
    codes = await tv.begin()
    await allow(browser, codes["user_code"])
    answers = await asyncio.gather(*(tv.poll(codes["device_code"]) for _ in range(8)))

    [won] = [answer for answer in answers if answer.status == 200]
    assert {refused(answer) for answer in answers if answer.status != 200} == {"invalid_grant"}
    assert refused(await tv.poll(codes["device_code"])) == "invalid_grant"
    assert granted(await tv.refresh(won.json()["refresh_token"]))


@on_every_store
async def test_of_two_who_decide_at_once_one_has_decided(tv: DeviceClient, browser: HttpBrowser) -> None:
    codes = await tv.begin()
    consent = await enter(browser, codes["user_code"])
    pages = await asyncio.gather(*(browser.send(consent, decision=each) for each in ("allow", "deny") * 2))

    [won] = [page.text for page in pages if page.status == 200]
    answer = await tv.poll(codes["device_code"])
    assert (answer.status == 200) == ("connected" in won)


@on_every_store
async def test_a_device_that_polls_too_fast_must_wait_five_seconds_longer_each_time(
    tv: DeviceClient, browser: HttpBrowser, issuer: Replica
) -> None:
    code = (await tv.begin())["device_code"]
    told = [refused(await tv.poll(code))]
    for seconds in (0, 6, 16, 13, 15):
        await pass_time(issuer, seconds)
        told.append(refused(await tv.poll(code)))
    fine, slow = "authorization_pending", "slow_down"
    assert told == [fine, slow, slow, fine, slow, slow]


@on_every_store
async def test_of_polls_at_once_one_is_in_time(tv: DeviceClient) -> None:
    code = (await tv.begin())["device_code"]
    answers = await asyncio.gather(*(tv.poll(code) for _ in range(5)))
    assert sorted(map(refused, answers)) == ["authorization_pending", *["slow_down"] * 4]


@on_every_store
async def test_both_codes_end_after_ten_minutes_whatever_was_decided(
    tv: DeviceClient, browser: HttpBrowser, issuer: Replica
) -> None:
    unseen, allowed = await tv.begin(), await tv.begin()
    await allow(browser, allowed["user_code"])
    consent = await enter(browser, unseen["user_code"])
    await pass_time(issuer, 601)

    for codes in (unseen, allowed):
        assert refused(await tv.poll(codes["device_code"])) == "expired_token"
    assert "No device shows this code now" in (await enter(browser, unseen["user_code"])).text
    assert "Start again on your device" in (await browser.send(consent, decision="allow")).text


async def test_what_has_ended_is_removed_but_a_device_is_told_for_a_while(tv: DeviceClient, issuer: Replica) -> None:
    async def purged() -> int:
        await issuer.services.parts.devices.purge()
        async with issuer.services.database.read() as connection:
            count: int = (await connection.execute(select(func.count()).select_from(devices))).scalar_one()
        return count

    code = (await tv.begin())["device_code"]
    await pass_time(issuer, 700)
    assert await purged() == 1
    assert refused(await tv.poll(code)) == "expired_token"
    await pass_time(issuer, 600)
    assert await purged() == 0
    assert refused(await tv.poll(code)) == "invalid_grant"


@on_every_store
@pytest.mark.parametrize(
    "selector",
    [{"sub": "alice"}, {"client_id": "tv"}, {"sid": "…"}, {"tenant": "acme"}, {"aud": "films"}, {"amr": "pwd"}, {}],
    ids=str,
)
async def test_a_revocation_between_the_approval_and_the_poll_kills_it_and_a_lift_restores(
    tv: DeviceClient, browser: HttpBrowser, issuer: Replica, selector: dict[str, str]
) -> None:
    codes = await tv.begin()
    await allow(browser, codes["user_code"])
    async with issuer.services.database.read() as connection:
        row = (await connection.execute(select(devices.c.sub, devices.c.sid))).one()
    meant = {"sub": row.sub, "sid": row.sid}
    decided = await issuer.revoke(selector={name: meant.get(name, value) for name, value in selector.items()})

    assert refused(await tv.poll(codes["device_code"])) == "invalid_grant"
    await issuer.admin("POST", f"/revocations/{decided['id']}/lift", {"reason": "a mistake"})
    assert granted(await tv.poll(codes["device_code"]))


@on_every_store
async def test_tokens_of_an_old_login_are_hit_by_a_revocation_that_their_replica_has_not_heard_of(
    tv: DeviceClient, browser: HttpBrowser, installation: Installation
) -> None:
    """They claim to know no more than was known at the login (``rsq``), so agents refuse them."""
    codes = await tv.begin()
    await allow(browser, codes["user_code"])
    standing = tv.issuer.services.tokens._standing
    heard, standing.ended_by = standing.ended_by, lambda *_: None  # type: ignore[method-assign]
    revocation = await tv.issuer.revoke(selector={"client_id": "tv"})
    token = granted(await tv.poll(codes["device_code"]))["access_token"]
    standing.ended_by = heard  # type: ignore[method-assign]
    assert unverified(token)["rsq"] < revocation["seq"]
    async with installation.agent(audience="films") as agent:
        while rejection(agent, token) is None:
            await agent.changed()
        assert rejection(agent, token) is RejectionCode.REVOKED


async def test_who_logged_in_before_a_revocation_must_log_in_again_to_let_a_device_in(
    tv: DeviceClient, browser: HttpBrowser, issuer: Replica
) -> None:
    first = await tv.begin()
    consent = await enter(browser, first["user_code"])
    await issuer.revoke(selector={"client_id": "tv"})

    login = await browser.send(consent, decision="allow")
    assert "password" in login.fields
    assert refused(await tv.poll(first["device_code"])) == "authorization_pending"
    await browser.send(await browser.log_in(login), decision="allow")
    assert granted(await tv.poll(first["device_code"]))


@on_every_store
async def test_what_a_device_rests_on_is_not_forgotten_before_it_has_its_tokens(
    tv: DeviceClient, browser: HttpBrowser, issuer: Replica
) -> None:
    codes = await tv.begin()
    await allow(browser, codes["user_code"])
    page = await browser.get("/oauth2/logout")
    await browser.send(page, decision="logout")
    await issuer.services.parts.sessions.purge()
    await issuer.revoke(selector={"client_id": "tv"})
    known = issuer.services.own_agent.rsq

    assert await issuer.services.families.oldest_gsq(known) < known
    assert refused(await tv.poll(codes["device_code"])) == "invalid_grant"


async def test_a_logout_after_the_approval_does_not_take_it_back(tv: DeviceClient, browser: HttpBrowser) -> None:
    """Somebody lets a device in at a machine that is not theirs, and logs out: that is what should be done."""
    codes = await tv.begin()
    await allow(browser, codes["user_code"])
    await browser.send(await browser.get("/oauth2/logout"), decision="logout")
    assert granted(await tv.poll(codes["device_code"]))


async def test_a_user_who_was_disabled_meanwhile_lets_nothing_in(
    tv: DeviceClient, browser: HttpBrowser, issuer: Replica
) -> None:
    codes = await tv.begin()
    await allow(browser, codes["user_code"])
    disabled = await issuer.admin("POST", "/users/alice/disable", {"reason": "has left"})
    await issuer.admin("POST", f"/revocations/{disabled.json()['revocation']}/lift", {"reason": "she alone, then"})
    assert refused(await tv.poll(codes["device_code"])) == "invalid_grant"


async def test_what_a_client_lost_meanwhile_it_does_not_get(
    tv: DeviceClient, browser: HttpBrowser, issuer: Replica
) -> None:
    codes = await tv.begin()
    await allow(browser, codes["user_code"])
    await issuer.services.clients.change("tv", {"scopes": ("read",), "grants": (GRANT,)})
    tokens = granted(await tv.poll(codes["device_code"]))
    assert tokens["scope"] == "read"
    assert "refresh_token" not in tokens


async def test_a_client_that_was_disabled_while_a_person_was_asked_is_not_let_in(
    tv: DeviceClient, browser: HttpBrowser, issuer: Replica
) -> None:
    codes = await tv.begin()
    consent = await enter(browser, codes["user_code"])
    await issuer.services.clients.change("tv", {"disabled": True})
    assert "Start again on your device" in (await browser.send(consent, decision="allow")).text
    assert "No device shows this code now" in (await enter(browser, codes["user_code"])).text


async def test_a_service_may_be_named_when_asking_and_when_fetching(tv: DeviceClient, browser: HttpBrowser) -> None:
    codes = await tv.begin(resource="billing")
    await allow(browser, codes["user_code"])
    assert refused(await tv.poll(codes["device_code"], resource="films")) == "invalid_target"
    assert unverified(granted(await tv.poll(codes["device_code"]))["access_token"])["aud"] == "billing"

    codes = await tv.begin()
    await allow(browser, codes["user_code"])
    token = granted(await tv.poll(codes["device_code"], resource="billing"))["access_token"]
    assert unverified(token)["aud"] == "billing"


async def test_a_device_that_asks_who_it_is_gets_an_id_token(
    tv: DeviceClient, browser: HttpBrowser, issuer: Replica
) -> None:
    """OpenID Connect Core section 2; there is no ``nonce`` in a device's request."""
    await issuer.services.clients.change("tv", {"scopes": ("openid", "read")})
    codes = await tv.begin()
    await allow(browser, codes["user_code"])
    tokens = granted(await tv.poll(codes["device_code"]))
    said, access = unverified(tokens["id_token"]), unverified(tokens["access_token"])
    assert (said["aud"], said["sub"], said["sid"], said["amr"]) == ("tv", access["sub"], access["sid"], ["pwd"])
    assert said["auth_time"] == access["auth_time"]
    assert "nonce" not in said


async def test_what_is_no_code_is_said_at_once(tv: DeviceClient, browser: HttpBrowser) -> None:
    page = await browser.send(await browser.get(PAGE), user_code="12345678")
    assert (page.status, "Enter the eight letters" in page.text) == (400, True)


async def test_a_user_code_that_is_taken_is_not_given_twice(issuer: Replica, tv: DeviceClient) -> None:
    drawn = iter(["WDJBMJHT", "WDJBMJHT", "BCDFGHJK", *["WDJBMJHT"] * 9])
    database = issuer.services.database
    store = DeviceStore(database, issuer.services.families, UserCodeGuesses(database), lambda: next(drawn))
    given = [(await store.begin("tv", ("read",), ("films",))).user_code for _ in range(2)]
    assert given == ["WDJBMJHT", "BCDFGHJK"]
    with pytest.raises(StoreUnavailable):
        await store.begin("tv", ("read",), ("films",))


@on_every_store
async def test_ten_wrong_codes_count_for_all_sessions_of_a_user_and_for_nobody_else(
    tv: DeviceClient, browser: HttpBrowser, issuer: Replica
) -> None:
    await issuer.services.users.add("bob", "correct horse battery staple")
    right = (await tv.begin())["user_code"]
    for _ in range(5):
        assert "No device shows this code now" in (await enter(browser, "BBBB-BBBB")).text
    assert "on your device?" in (await enter(browser, right)).text
    async with http_browser(issuer.url) as elsewhere:
        for _ in range(5):
            assert (await enter(elsewhere, "BBBB-BBBB")).status == 400
    for code in (right, "BBBB-BBBB"):
        page = await enter(browser, code)
        assert (page.status, "Too many codes were wrong" in page.text) == (429, True)
    async with http_browser(issuer.url) as other:
        assert "on your device?" in (await enter(other, right, "bob")).text

    async with issuer.services.database.write() as connection:
        await connection.execute(update(user_code_guesses).values(ends_at=0))
    assert "on your device?" in (await enter(browser, right)).text
    await issuer.services.parts.devices.purge()
    async with issuer.services.database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(user_code_guesses))).scalar_one() == 1
