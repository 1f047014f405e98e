"""Attacks on devices that are let in by somebody elsewhere (RFC 8628 section 5), each by its name."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from issuer.devices import Device
from issuer.devices.user_code import LETTERS
from tests.http_browser import CALLBACK, PASSWORD, HttpBrowser, WebClient, hash_quickly, http_browser
from tests.http_device import GRANT, PAGE, DeviceClient, allow, enter
from tests.issuer_under_test import Answer, Installation, Replica, unverified


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
async def tv(installation: Installation, issuer: Replica) -> DeviceClient:
    """A public client."""
    await installation.client("tv", public=True, grants=(GRANT,), scopes=("read",))
    return DeviceClient(issuer, "tv")


@pytest.fixture
async def alice(issuer: Replica) -> AsyncIterator[HttpBrowser]:
    """The victim's browser."""
    async with http_browser(issuer.url) as opened:
        yield opened


@pytest.fixture
async def mallory(issuer: Replica) -> AsyncIterator[HttpBrowser]:
    """The attacker's."""
    async with http_browser(issuer.url) as opened:
        yield opened


def refused(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["error"]


def guess() -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(8))


async def test_user_code_brute_forcing(tv: DeviceClient, mallory: HttpBrowser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 5.1: however many guesses come at once, ten of them are looked at."""
    codes = await tv.begin()
    await enter(mallory, guess())
    looked_at: list[object] = []
    devices = tv.issuer.services.parts.devices
    before = devices._undecided

    async def watched(connection: object, which: object) -> Device | None:
        looked_at.append(which)
        return await before(connection, which)  # type: ignore[arg-type]

    monkeypatch.setattr(devices, "_undecided", watched)
    entry = await mallory.get(PAGE)
    pages = await asyncio.gather(*(mallory.send(entry, user_code=guess()) for _ in range(30)))
    assert len(looked_at) == 9
    assert sorted({page.status for page in pages}) == [400, 429]
    assert (await mallory.send(entry, user_code=codes["user_code"])).status == 429


async def test_user_code_brute_forcing_without_an_account(tv: DeviceClient, mallory: HttpBrowser) -> None:
    """Section 5.1: who has not logged in is answered the same, whether there is such a code or not."""
    right, entry = (await tv.begin())["user_code"], await mallory.get(PAGE)
    texts = {(await mallory.send(entry, user_code=code)).text for code in (right, guess())}
    assert len(texts) == 1
    assert "Sign in" in texts.pop()


async def test_user_code_brute_forcing_by_way_of_a_victim(tv: DeviceClient, alice: HttpBrowser) -> None:
    """Section 5.1: links to us, which any page can have a browser follow, neither guess nor use guesses up."""
    await enter(alice, guess())
    for _ in range(20):
        assert (await alice.get(f"{PAGE}?user_code={guess()}")).status == 200
    assert "on your device?" in (await enter(alice, (await tv.begin())["user_code"])).text


async def test_device_code_brute_forcing(tv: DeviceClient, alice: HttpBrowser) -> None:
    """Section 5.2: 256 random bits, kept hashed; nothing of it is in what people see."""
    given = [await tv.begin() for _ in range(20)]
    assert len({codes["device_code"] for codes in given}) == 20
    assert all(len(codes["device_code"]) == 43 for codes in given)
    codes = given[0]
    page = await allow(alice, codes["user_code"])
    for text in (page.text, codes["user_code"], codes["verification_uri_complete"]):
        assert codes["device_code"] not in text
    for wrong in (codes["device_code"][:-1] + "!", codes["user_code"], "", "\0", "x" * 5000):
        assert (await tv.poll(wrong)).status == 400
    assert (await tv.poll(codes["device_code"])).status == 200


async def test_a_stolen_device_code_at_another_client(
    tv: DeviceClient, alice: HttpBrowser, installation: Installation
) -> None:
    """Section 5.2, 5.6: it is good for the client that it was given to, and what that one has to prove it proves."""
    console = DeviceClient(tv.issuer, *await installation.client("console", grants=(GRANT,), scopes=("read",)))
    await installation.client("other", public=True, grants=(GRANT,), scopes=("read",))
    codes = await console.begin()
    await allow(alice, codes["user_code"])
    assert refused(await DeviceClient(tv.issuer, "other").poll(codes["device_code"])) == (400, "invalid_grant")
    assert refused(await DeviceClient(tv.issuer, "console").poll(codes["device_code"])) == (401, "invalid_client")
    assert refused(await DeviceClient(tv.issuer, "console", "wrong").poll(codes["device_code"]))[0] == 401
    assert (await console.poll(codes["device_code"])).status == 200


async def test_an_untrustworthy_device_that_asks_for_more_than_its_client_may(
    tv: DeviceClient, installation: Installation
) -> None:
    """Section 5.3: what runs on it is bounded by what its client was registered with."""
    path = "/oauth2/device_authorization"
    assert refused(await tv.ask(path, {"scope": "read admin"})) == (400, "invalid_scope")
    assert refused(await tv.ask(path, {"resource": "https://bank.example"})) == (400, "invalid_target")
    demo = DeviceClient(tv.issuer, *installation.demo)
    assert refused(await demo.ask(path, {})) == (400, "unauthorized_client")
    assert refused(await demo.poll("x")) == (400, "unauthorized_client")


async def test_remote_phishing_by_a_link(tv: DeviceClient, alice: HttpBrowser) -> None:
    """Section 5.4: a link lets nothing in; the code is shown, where it must be shown too, and what it means if not."""
    await allow(alice, (await tv.begin())["user_code"])  # she is logged in, and has let such a client in before
    codes = await tv.begin()
    address = codes["verification_uri_complete"].removeprefix(tv.issuer.url)
    page = await alice.get(address)
    assert "Only go on if the device is yours and in front of you" in page.text
    assert refused(await tv.poll(codes["device_code"])) == (400, "authorization_pending")
    consent = await alice.send(page)
    assert f"Your device must show this code now: {codes['user_code']}" in consent.text
    assert "If somebody sent you this code or the link to this page" in consent.text
    assert refused(await tv.poll(codes["device_code"])) == (400, "slow_down")


async def test_remote_phishing_by_a_form_of_another_site(
    tv: DeviceClient, alice: HttpBrowser, mallory: HttpBrowser
) -> None:
    """Section 5.4: pages of ours count in the browser that they were made for, and from our own site alone."""
    codes = await tv.begin()
    await enter(alice, guess())
    entry, consent = await mallory.get(PAGE), await enter(mallory, codes["user_code"], "mallory")
    for page, fields in ((entry, {"user_code": codes["user_code"]}), (consent, {"decision": "allow"})):
        stolen = await alice.post(page.action, {**page.fields, **fields})
        assert (stolen.status, "another browser" in stolen.text) == (400, True)
    own = await enter(alice, codes["user_code"])
    for site in ("cross-site", "same-site"):
        forged = await alice.post(own.action, {**own.fields, "decision": "allow"}, Sec_Fetch_Site=site)
        assert forged.status == 400
    assert refused(await tv.poll(codes["device_code"])) == (400, "authorization_pending")


async def test_remote_phishing_of_a_form_for_another_purpose(
    tv: DeviceClient, web: WebClient, alice: HttpBrowser
) -> None:
    """Section 5.4: who agreed to one thing has not agreed to the other."""
    codes = await tv.begin()
    decision = await enter(alice, codes["user_code"])
    consent = await alice.get(web.request())
    for action, page in ((decision.action, consent), (consent.action, decision)):
        assert (await alice.post(action, {**page.fields, "decision": "allow"})).status == 400
    assert refused(await tv.poll(codes["device_code"])) == (400, "authorization_pending")


@pytest.fixture
async def web(installation: Installation, issuer: Replica) -> WebClient:
    credentials = await installation.client(
        "web", grants=("authorization_code",), scopes=("read",), redirect_uris=(CALLBACK,)
    )
    return WebClient(issuer, *credentials)


async def test_session_swap_between_question_and_answer(tv: DeviceClient, alice: HttpBrowser) -> None:
    """An answer counts for who was asked: somebody else who has logged in meanwhile is asked anew."""
    codes = await tv.begin()
    asked = await enter(alice, codes["user_code"])
    session = {name: value for name, value in alice.cookies.items() if name.endswith("session")}
    await alice.send(await alice.get("/oauth2/logout"), decision="logout")
    again = await enter(alice, codes["user_code"], "mallory")
    assert "signed in as mallory" in again.text
    assert alice.cookies != session
    page = await alice.send(asked, decision="allow")
    assert "signed in as mallory" in page.text
    assert refused(await tv.poll(codes["device_code"])) == (400, "authorization_pending")


async def test_session_spying(tv: DeviceClient, alice: HttpBrowser, mallory: HttpBrowser) -> None:
    """Section 5.5: who reads the code over a shoulder may be faster, and then the other is told that it is used.

    The device is the spy's then, and bears the spy's name; nothing of the victim's was given.
    """
    codes = await tv.begin()
    asked = await enter(alice, codes["user_code"])
    await allow(mallory, codes["user_code"], "mallory")
    assert "was used already" in (await alice.send(asked, decision="allow")).text
    token = (await tv.poll(codes["device_code"])).json()["access_token"]
    assert unverified(token)["sub"] == (await tv.issuer.services.users.named("mallory")).sub


async def test_non_confidential_clients_get_nothing_without_a_person(tv: DeviceClient) -> None:
    """Section 5.6: anybody may say that they are a public client, and so may begin, and no more."""
    codes = await tv.begin()
    assert refused(await tv.poll(codes["device_code"])) == (400, "authorization_pending")
    answer = await tv.issuer.form("/oauth2/token", None, grant_type=GRANT, device_code=codes["device_code"])
    assert answer.status == 401


async def test_a_store_filled_with_devices_that_nobody_has(tmp_path: Path) -> None:
    """Anybody may begin as a public client, as often as its rate at one address allows."""
    installation = await Installation.create(tmp_path, client_token_rate="1/h burst 3")
    await installation.client("tv", public=True, grants=(GRANT,))
    async with installation.running() as issuer:
        answers = [await DeviceClient(issuer, "tv").ask("/oauth2/device_authorization", {}) for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0


async def test_codes_that_pass_by_on_their_way_are_in_no_log(
    tv: DeviceClient, alice: HttpBrowser, caplog: pytest.LogCaptureFixture
) -> None:
    """Section 5.7: how the code gets to the person is the device's affair; into our logs it does not get."""
    caplog.set_level(logging.DEBUG)
    codes = await tv.begin()
    await allow(alice, codes["user_code"])
    await tv.poll(codes["device_code"])
    own = [f"{record.getMessage()} {record.__dict__}" for record in caplog.records if record.name.startswith("issuer")]
    assert any("device_allowed" in line for line in own)
    for secret in (codes["device_code"], codes["user_code"], codes["user_code"].replace("-", "")):
        assert not [line for line in own if secret in line]


async def test_open_redirection_after_the_login(tv: DeviceClient, alice: HttpBrowser, mallory: HttpBrowser) -> None:
    """Where a login leads to is sealed: no address of the attacker's, and no code of his."""
    codes = await tv.begin()
    login = await mallory.send(await mallory.get(PAGE), user_code=codes["user_code"])
    await alice.get(PAGE)
    stolen = await alice.post(login.action, {**login.fields, "username": "alice", "password": PASSWORD})
    assert (stolen.status, stolen.sent_to) == (400, None)
    forged = await alice.get(f"{PAGE}?request=https://evil.example")
    assert (forged.status, forged.sent_to) == (400, None)
