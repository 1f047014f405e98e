"""Attacks on logins in browsers (RFC 9700 section 4, RFC 6819, OpenID Connect Core section 16), each by its name."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from issuer.users import User
from tests.http_browser import CALLBACK, PASSWORD, HttpBrowser, WebClient, challenge, hash_quickly, http_browser
from tests.issuer_under_test import Answer, Installation, Replica, rejection, unverified

MALLORY = "https://evil.example/callback"


@pytest.fixture
async def installation(tmp_path: Path) -> Installation:
    return await Installation.create(tmp_path)


@pytest.fixture
async def issuer(installation: Installation) -> AsyncIterator[Replica]:
    async with installation.running() as replica:
        hash_quickly(replica)
        await replica.services.users.add("alice", PASSWORD)
        await replica.services.users.add("mallory", PASSWORD)
        yield replica


@pytest.fixture
async def web(installation: Installation, issuer: Replica) -> WebClient:
    """A confidential client."""
    credentials = await installation.client(
        "web", grants=("authorization_code", "refresh_token"), scopes=("read",), redirect_uris=(CALLBACK,)
    )
    return WebClient(issuer, *credentials)


@pytest.fixture
async def native(installation: Installation, issuer: Replica) -> WebClient:
    """A public one, on a loopback port."""
    await installation.client(
        "native",
        public=True,
        grants=("authorization_code", "refresh_token"),
        scopes=("read",),
        redirect_uris=("http://127.0.0.1/callback", "com.example.native:/callback", "https://native.example/cb"),
    )
    return WebClient(issuer, "native", redirect_uri="http://127.0.0.1:51004/callback")


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


def is_refused(answer: Answer, error: str = "invalid_grant") -> bool:
    return answer.status == 400 and answer.json()["error"] == error


@pytest.mark.parametrize(
    "uri",
    [
        MALLORY,
        CALLBACK + "/../evil",
        CALLBACK + "?x=https://evil.example",
        CALLBACK + "#",
        CALLBACK + "%00.evil.example",
        "https://app.example.evil.example/callback",
        "https://app.example@evil.example/callback",
        "https://evil.example\\@app.example/callback",
        "https://app.example:443/callback",
        "https://App.example/callback",
        "http://app.example/callback",
        "//evil.example/callback",
        "/callback",
        "javascript:alert(1)",
        "data:text/html,x",
        "http://127.0.0.1/callback",
        "https://app.example/callback\r\nSet-Cookie: a=b",
        "https://app.example/callbac\u212a",
        "",
    ],
)
async def test_redirect_uri_manipulation(web: WebClient, alice: HttpBrowser, uri: str) -> None:
    """RFC 9700 section 4.1: neither codes nor errors go anywhere but to a registered address."""
    for changes in ({}, {"response_type": "token"}, {"prompt": "none"}):
        page = await alice.get(web.request(redirect_uri=uri, **changes))
        assert page.sent_to is None
        assert page.status == 400
        assert page.answer.headers["Content-Type"].startswith("text/html")


async def test_redirect_uri_of_another_client(web: WebClient, native: WebClient, alice: HttpBrowser) -> None:
    page = await alice.get(web.request(redirect_uri=native.redirect_uri))
    assert (page.sent_to, page.status) == (None, 400)


@pytest.mark.parametrize("client_id", ["nobody", "", "web\0", "web/", "\u202eweb", "x" * 200])
async def test_an_unknown_client_redirects_nowhere(web: WebClient, alice: HttpBrowser, client_id: str) -> None:
    page = await alice.get(web.request(client_id=client_id))
    assert (page.sent_to, page.status) == (None, 400)
    assert web.redirect_uri not in page.text


async def test_parameter_pollution(web: WebClient, alice: HttpBrowser) -> None:
    """Which of two values counts, two programs may see differently."""
    for extra in ("&redirect_uri=https%3A%2F%2Fevil.example%2F", "&client_id=demo"):
        page = await alice.get(web.request() + extra)
        assert (page.sent_to, page.status) == (None, 400)
    for extra in ("&scope=read", "&code_challenge=x", "&prompt=none", "&response_type=code"):
        back = await alice.get(web.request(scope="read", prompt="none") + extra)
        assert back.parameters["error"] == "invalid_request"


async def test_open_redirector_after_login(web: WebClient, alice: HttpBrowser) -> None:
    """RFC 9700 section 4.11.2: where a login leads is sealed, and no parameter of ours is an address."""
    login = await alice.get(web.request())
    for name in ("destination", "next", "return_to", "continue", "redirect_uri", "form_action"):
        login = await alice.send(login, username="alice", password="wrong", **{name: MALLORY})
        assert login.sent_to is None
    consent = await alice.log_in(login)
    back = await alice.send(consent, decision="allow", redirect_uri=MALLORY)
    assert back.sent_to is not None
    assert back.sent_to.startswith(CALLBACK)


async def test_open_redirector_by_error(web: WebClient, mallory: HttpBrowser, alice: HttpBrowser) -> None:
    """RFC 9700 section 4.11.2: a registered attacker may send victims to himself, but to nobody else's address."""
    page = await mallory.get(web.request(redirect_uri=MALLORY, scope="nonsense"))
    assert page.sent_to is None
    page = await alice.get(f"/oauth2/logout?post_logout_redirect_uri={MALLORY}")
    assert page.sent_to is None


async def test_code_injection(web: WebClient, alice: HttpBrowser) -> None:
    """RFC 9700 section 4.5: a stolen code, put into the attacker's own visit to the client, needs its verifier."""
    stolen = await web.log_in(alice)
    attackers = WebClient(
        web.issuer, web.client_id, web.secret
    )  # the client, with the verifier of the attacker's visit
    assert is_refused(await attackers.redeem(stolen))


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge_method": "s256"},
        {"code_challenge": ""},
    ],
    ids=str,
)
async def test_pkce_downgrade(
    web: WebClient, native: WebClient, alice: HttpBrowser, changes: dict[str, str | None]
) -> None:
    """RFC 9700 section 4.8.2: no request without a challenge, and none with a weaker one."""
    for client in (web, native):
        back = await alice.get(client.request(**changes))
        assert back.parameters["error"] == "invalid_request"


async def test_pkce_verifier_that_is_the_challenge(web: WebClient, alice: HttpBrowser) -> None:
    """RFC 7636 section 7.2: whoever has seen the request must not be able to redeem."""
    code = await web.log_in(alice)
    assert is_refused(await web.redeem(code, code_verifier=challenge(web.verifier)))


async def test_code_replay(native: WebClient, alice: HttpBrowser) -> None:
    """RFC 6749 section 4.1.2: a code that is redeemed twice gives nothing, and takes back what it gave."""
    code = await native.log_in(alice)
    first = (await native.redeem(code)).json()
    assert is_refused(await native.redeem(code))
    assert is_refused(await native.refresh(first["refresh_token"]))


async def test_code_replay_by_who_has_only_seen_the_code_ends_nothing(native: WebClient, alice: HttpBrowser) -> None:
    """Whoever finds a used code in a log must not be able to log people out with it."""
    code = await native.log_in(alice)
    tokens = (await native.redeem(code)).json()
    assert is_refused(await native.redeem(code, code_verifier="guess" * 10))
    assert (await native.refresh(tokens["refresh_token"])).status == 200


async def test_mix_up(web: WebClient, alice: HttpBrowser, installation: Installation) -> None:
    """RFC 9700 section 4.4: every answer says whose it is, and the metadata say that it does."""
    metadata = (await web.issuer.send("GET", "/.well-known/oauth-authorization-server")).json()
    assert metadata["authorization_response_iss_parameter_supported"] is True
    for changes in ({"prompt": "none"}, {"response_type": "token"}, {"scope": "x"}):
        assert (await alice.get(web.request(**changes))).parameters["iss"] == metadata["issuer"]
    page = await alice.log_in(await alice.get(web.request()))
    assert (await alice.send(page, decision="deny")).parameters["iss"] == metadata["issuer"]
    await web.log_in(alice)
    assert (await alice.get(web.request())).parameters["iss"] == installation.settings.issuer


async def test_login_csrf(web: WebClient, alice: HttpBrowser, mallory: HttpBrowser) -> None:
    """RFC 6819 section 4.4.1.8: the attacker logs the victim in under his own name; his form is for his browser."""
    login = await mallory.get(web.request())
    filled_in = {**login.fields, "username": "mallory", "password": PASSWORD}
    for _ in range(2):  # without a cookie, and with one of her own
        page = await alice.post("/oauth2/login", filled_in)
        assert page.status == 400
        assert "tocsin-session" not in alice.cookies
        await alice.get(web.request())
    for fields in ({}, {"form": ""}, {"form": "x"}, {"form": login.fields["form"][:-2]}):
        page = await alice.post("/oauth2/login", {"username": "mallory", "password": PASSWORD, **fields})
        assert page.status == 400
    assert "tocsin-session" not in alice.cookies


async def test_login_csrf_across_sites(web: WebClient, alice: HttpBrowser) -> None:
    """Also a form that would be good is not taken when the browser says that another site has sent it."""
    login = await alice.get(web.request())
    filled_in = {**login.fields, "username": "alice", "password": PASSWORD}
    for site in ("cross-site", "same-site"):
        assert (await alice.post("/oauth2/login", filled_in, Sec_Fetch_Site=site)).status == 400
    await alice.post("/oauth2/login", filled_in, Sec_Fetch_Site="same-origin")
    assert "tocsin-session" in alice.cookies


async def test_consent_csrf(web: WebClient, alice: HttpBrowser, mallory: HttpBrowser) -> None:
    """RFC 6819 section 4.4.1.9: nobody agrees for somebody else, nor with a form of another purpose or session."""
    hers = await alice.log_in(await alice.get(web.request()))
    login = await mallory.get(web.request())
    his = await mallory.log_in(login, username="mallory")
    for form in (his.fields["form"], login.fields["form"], "x"):
        page = await alice.post("/oauth2/consent", {"form": form, "decision": "allow"})
        assert (page.sent_to, page.status) == (None, 400)
    assert (await alice.send(hers, decision="allow")).parameters["code"]


async def test_consent_of_a_session_that_has_ended(web: WebClient, alice: HttpBrowser) -> None:
    consent = await alice.log_in(await alice.get(web.request()))
    await alice.log_in(await alice.get(web.request(prompt="login")), username="mallory")
    page = await alice.send(consent, decision="allow")
    assert page.sent_to is None
    assert "signed in as mallory" in page.text, "who has not been asked yet"
    assert page.fields.keys() == {"form"}


async def test_logout_csrf(web: WebClient, alice: HttpBrowser) -> None:
    """An image on any page must not log people out."""
    await web.log_in(alice)
    await alice.get("/oauth2/logout")
    await alice.get("/oauth2/logout?client_id=web")
    await alice.post("/oauth2/logout", {"client_id": "web"})
    await alice.post("/oauth2/logout", {"form": "x", "decision": "logout"})
    assert "code" in (await alice.get(web.request())).parameters


async def test_session_fixation(web: WebClient, alice: HttpBrowser, mallory: HttpBrowser) -> None:
    """The attacker knows the cookies that the victim comes with; those she leaves with he does not."""
    await mallory.log_in(await mallory.get(web.request()), username="mallory")
    planted = mallory.cookies
    for name, value in planted.items():
        alice.plant(name, value)
    await alice.log_in(await alice.get(web.request(prompt="login")))

    assert alice.cookies["tocsin-session"] != planted["tocsin-session"]
    assert "password" in (await mallory.get(web.request())).fields, "his session has ended, and has not become hers"


async def test_a_made_up_session(web: WebClient, alice: HttpBrowser) -> None:
    for value in ("x", "x" * 43, "\\", "' or 1=1", "A" * 5000):
        alice.plant("tocsin-session", value)
        assert "password" in (await alice.get(web.request())).fields


@pytest.mark.parametrize("path", ["/oauth2/authorize", "/oauth2/logout", "/oauth2/continue", "login", "consent"])
async def test_clickjacking(web: WebClient, alice: HttpBrowser, path: str) -> None:
    """RFC 9700 section 4.16: no page can be framed, errors included."""
    page = await alice.get(web.request() if path in ("login", "consent") else path)
    if path == "consent":
        page = await alice.log_in(page)
    policy = page.answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert page.answer.headers["X-Frame-Options"] == "DENY"


async def test_content_security_policy_injection(
    installation: Installation, alice: HttpBrowser, web: WebClient
) -> None:
    """What a client has registered becomes part of a header, and must not add anything to it."""
    with pytest.raises(ValueError, match="redirect URI"):
        await installation.client("evil", redirect_uris=("https://a.example;script-src *",), grants=())
    policy = (await alice.get(web.request())).answer.headers["Content-Security-Policy"]
    assert policy.count(";") == 4


async def test_cross_site_scripting(installation: Installation, issuer: Replica, alice: HttpBrowser) -> None:
    script = "<script>alert(1)</script>"
    credentials = await installation.client(
        "evil", name=script, grants=("authorization_code",), redirect_uris=(CALLBACK,)
    )
    client = WebClient(issuer, *credentials)
    pages = [
        await alice.get(client.request(login_hint=f'"{script}', state=script)),
        await alice.get(client.request(redirect_uri=f"https://{script}")),
        await alice.get(f"/oauth2/logout?post_logout_redirect_uri={script}&state={script}"),
    ]
    pages.append(await alice.log_in(pages[0], username=script))
    pages.append(await alice.log_in(pages[0]))
    for page in pages:
        assert b"<script" not in page.answer.body


async def test_credential_leakage_by_referrer(web: WebClient, alice: HttpBrowser) -> None:
    """RFC 9700 section 4.2."""
    login = await alice.get(web.request())
    consent = await alice.log_in(login)
    back = await alice.send(consent, decision="allow")
    for page in (login, consent, back):
        assert page.answer.headers["Referrer-Policy"] == "no-referrer"
        assert page.answer.headers["Cache-Control"] == "no-store"


async def test_307_redirect(web: WebClient, alice: HttpBrowser) -> None:
    """RFC 9700 section 4.12: a redirect that repeats the POST would hand the password to the client."""
    assert (await alice.log_in(await alice.get(web.request()))).status == 200
    await web.log_in(alice)
    back = await alice.send(await alice.get(web.request(prompt="consent")), decision="allow")
    assert back.status == 303


async def test_client_impersonation_on_a_loopback_port(native: WebClient, alice: HttpBrowser) -> None:
    """RFC 8252 section 8.6: any program can listen on a port, so a consent of before is not enough there."""
    await native.log_in(alice)
    assert "asks to act for you" in (await alice.get(native.request())).text
    assert (await alice.get(native.request(prompt="none"))).parameters["error"] == "consent_required"
    sure = WebClient(native.issuer, "native", redirect_uri="https://native.example/cb")
    assert "code" in (await alice.get(sure.request())).parameters


async def test_client_impersonation_at_the_token_endpoint(
    web: WebClient, native: WebClient, alice: HttpBrowser, installation: Installation
) -> None:
    """A public client proves nothing, so what needs a proof is not for it; and nobody passes for a confidential one."""
    code = await web.log_in(alice)
    pretender = WebClient(web.issuer, "web", verifier=web.verifier)
    answer = await pretender.redeem(code)
    assert (answer.status, answer.json()["error"]) == (401, "invalid_client")
    for grant in ("client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"):
        answer = await native.ask({"grant_type": grant})
        assert is_refused(answer, "unauthorized_client")
        with pytest.raises(ValueError, match="not for public clients"):
            await installation.client("eager", public=True, grants=(grant,))
    answer = await native.ask({"token": "x"}, "/oauth2/introspect")
    assert (answer.status, answer.json()["error"]) == (401, "invalid_client")
    answer = await native.ask({"grant_type": "refresh_token", "refresh_token": "x", "client_secret": "guess"})
    assert (answer.status, answer.json()["error"]) == (401, "invalid_client")


async def test_a_public_client_gives_back_its_own_tokens_alone(
    web: WebClient, native: WebClient, alice: HttpBrowser
) -> None:
    others = (await web.redeem(await web.log_in(alice))).json()
    own = (await native.redeem(await native.log_in(alice))).json()
    answer = await native.ask({"token": others["refresh_token"]}, "/oauth2/revoke")
    assert is_refused(answer, "unauthorized_client")
    assert (await native.ask({"token": own["refresh_token"]}, "/oauth2/revoke")).status == 200
    assert is_refused(await native.refresh(own["refresh_token"]))
    assert (await web.refresh(others["refresh_token"])).status == 200


async def test_account_enumeration(web: WebClient, alice: HttpBrowser) -> None:
    """A wrong name and a wrong password look alike, but for the name that was typed in."""
    login = await alice.get(web.request())
    pages = [await alice.log_in(login, username=name, password="wrong") for name in ("alice", "nobody")]
    texts = [
        re.sub(r'name="form" value="[^"]*"', "", page.answer.body.decode()).replace("nobody", "alice") for page in pages
    ]
    assert texts[0] == texts[1]
    assert {page.status for page in pages} == {400}


async def test_secrets_are_kept_hashed(web: WebClient, alice: HttpBrowser, tmp_path: Path) -> None:
    """Whoever reads the store can neither redeem a code nor take over a session."""
    code = await web.log_in(alice)
    for file in tmp_path.glob("store.db*"):
        content = file.read_bytes()
        assert code.encode() not in content
        assert alice.cookies["tocsin-session"].encode() not in content
        assert PASSWORD.encode() not in content


async def test_revocation_between_the_password_and_the_session(
    web: WebClient, alice: HttpBrowser, issuer: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race of the design: what is known is read before the password is looked at, so the session comes up dead."""
    log_in = issuer.services.users.log_in
    checked, go_on = asyncio.Event(), asyncio.Event()

    async def held_up(username: str, password: str, **more: Any) -> User | None:
        user = await log_in(username, password, **more)
        checked.set()
        await go_on.wait()
        return user

    login = await alice.get(web.request())
    monkeypatch.setattr(issuer.services.users, "log_in", held_up)
    going = asyncio.create_task(alice.log_in(login))
    await checked.wait()
    await issuer.revoke(selector={"client_id": "web"})
    go_on.set()

    page = await going
    assert "password" in page.fields, "she must log in again"


@pytest.mark.parametrize("prompt", [None, "none"])
async def test_logout_while_a_code_is_given(
    web: WebClient, alice: HttpBrowser, issuer: Replica, monkeypatch: pytest.MonkeyPatch, prompt: str | None
) -> None:
    """A logout ends the codes of its session; one that is about to be given must not slip through behind it."""
    await web.log_in(alice)
    codes, sessions = issuer.services.parts.codes, issuer.services.parts.sessions
    session = await sessions.find(alice.cookies["tocsin-session"])
    assert session is not None
    give = codes.give

    async def after_the_logout(*arguments: Any) -> Any:
        await sessions.end(session, reason="logged out", actor="user")
        return await give(*arguments)

    monkeypatch.setattr(codes, "give", after_the_logout)
    page = await alice.get(web.request(prompt=prompt))
    if prompt is None:
        assert "password" in page.fields
    else:
        assert page.parameters["error"] == "login_required"


async def test_revocation_while_a_code_is_redeemed(
    web: WebClient, alice: HttpBrowser, issuer: Replica, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found good, and revoked before it is used up: the tokens claim to know no more than the login did."""
    codes = issuer.services.parts.codes
    redeem = codes.redeem
    checked, go_on = asyncio.Event(), asyncio.Event()

    async def held_up(*arguments: Any, **more: Any) -> Any:
        checked.set()
        await go_on.wait()
        return await redeem(*arguments, **more)

    code = await web.log_in(alice)
    monkeypatch.setattr(codes, "redeem", held_up)
    redeeming = asyncio.create_task(web.redeem(code))
    await checked.wait()
    async with installation.agent() as agent:
        sub = (await issuer.services.users.named("alice")).sub
        decided = await issuer.revoke(selector={"sub": sub})
        go_on.set()
        answer = await redeeming

        assert answer.status == 200, "too late to notice here"
        token = answer.json()["access_token"]
        assert unverified(token)["rsq"] < decided["seq"]
        while rejection(agent, token) is None:
            await agent.changed()
    assert is_refused(await web.refresh(answer.json()["refresh_token"]))
