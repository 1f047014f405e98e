"""UserInfo (OpenID Connect Core section 5.3): what a client may know, and who may not ask."""

from typing import Any

import pytest

from tests.integration.issuer.portal import PASSWORD, Portal, granted, with_passwords
from tests.issuer_under_test import Answer, Installation, Replica, on_every_store, unverified

USERINFO = "/oauth2/userinfo"
ADDRESS = {"locality": "Berlin", "country": "Germany"}
CLAIMS = {
    "name": "Alice Doe",
    "email": "alice@example.com",
    "email_verified": True,
    "phone_number": "+49 30 123",
    "address": ADDRESS,
    "roles": ["admin"],
    "tenant": "acme",
}
ABOUT: dict[str, dict[str, Any]] = {
    "openid": {},
    "openid profile": {"name": "Alice Doe", "preferred_username": "alice"},
    "openid email": {"email": "alice@example.com", "email_verified": True},
    "openid phone address": {"phone_number": "+49 30 123", "address": ADDRESS},
    "openid read": {},
}


@pytest.fixture
def installation(installation: Installation) -> Installation:
    return with_passwords(installation)


@pytest.fixture
async def portal(installation: Installation, issuer: Replica) -> Portal:
    client = await installation.client(
        "portal",
        grants=("password", "refresh_token"),
        scopes=("openid", "profile", "email", "phone", "address", "read"),
    )
    await issuer.services.users.add("Alice", PASSWORD, claims=CLAIMS)
    return Portal(issuer, client)


async def ask(issuer: Replica, token: str, method: str = "GET") -> Answer:
    return await issuer.send(method, USERINFO, headers={"Authorization": f"Bearer {token}"})


def is_refused(answer: Answer, status: int, error: str) -> bool:
    """Whether the answer is an error of RFC 6750 section 3.1, with its challenge."""
    assert (answer.status, answer.json()["error"]) == (status, error), answer
    assert answer.headers["WWW-Authenticate"].startswith(f'Bearer error="{error}"')
    assert answer.headers["Cache-Control"] == "no-store"
    return True


@on_every_store
@pytest.mark.parametrize("scope", ABOUT)
async def test_a_client_is_told_what_the_scopes_of_its_token_let_through(
    portal: Portal, issuer: Replica, scope: str
) -> None:
    body = await granted(await portal.log_in(scope=scope))

    answer = await ask(issuer, body["access_token"])

    assert answer.status == 200, answer
    assert answer.json() == {"sub": unverified(body["id_token"])["sub"], **ABOUT[scope]}
    assert answer.headers["Cache-Control"] == "no-store"


async def test_the_token_comes_by_header_or_in_a_form(portal: Portal, issuer: Replica) -> None:
    token = (await granted(await portal.log_in()))["access_token"]
    in_form = {"access_token": token}
    expected = (await ask(issuer, token)).json()

    for answer in (await ask(issuer, token, "POST"), await issuer.send("POST", USERINFO, data=in_form)):
        assert (answer.status, answer.json()) == (200, expected)


@pytest.mark.parametrize(
    ("method", "how"),
    [
        ("GET", {}),
        ("POST", {}),
        ("GET", {"headers": {"Authorization": "Bearer"}}),
        ("GET", {"headers": {"Authorization": "Basic cG9ydGFsOng="}}),
        ("POST", {"data": {"token": "x"}}),
        ("POST", {"json": {"access_token": "x"}}),
    ],
)
async def test_without_a_token_the_challenge_says_no_more_than_that_one_is_needed(
    issuer: Replica, method: str, how: dict[str, Any]
) -> None:
    answer = await issuer.send(method, USERINFO, **how)

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_token_in_the_address_does_not_count(portal: Portal, issuer: Replica) -> None:
    token = (await granted(await portal.log_in()))["access_token"]

    assert (await issuer.send("GET", f"{USERINFO}?access_token={token}")).status == 401


async def test_a_token_that_comes_twice_is_an_invalid_request(portal: Portal, issuer: Replica) -> None:
    token = (await granted(await portal.log_in()))["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    answer = await issuer.send("POST", USERINFO, headers=bearer, data={"access_token": token})

    assert is_refused(answer, 400, "invalid_request")


async def test_a_token_without_scope_openid_is_not_enough(portal: Portal, issuer: Replica) -> None:
    body = await granted(await portal.log_in(scope="profile email"))

    answer = await ask(issuer, body["access_token"])

    assert is_refused(answer, 403, "insufficient_scope")
    assert 'scope="openid"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("token", ["x", "a.b.c", "eyJ.eyJ.", "\u00e9", "x" * 7000])
async def test_what_is_no_token_is_an_invalid_one(issuer: Replica, token: str) -> None:
    assert is_refused(await ask(issuer, token), 401, "invalid_token")


@on_every_store
async def test_a_revocation_counts_from_its_answer_on_and_a_lift_restores(portal: Portal, issuer: Replica) -> None:
    token = (await granted(await portal.log_in()))["access_token"]
    decided = await issuer.revoke(selector={"sub": unverified(token)["sub"]})
    assert is_refused(await ask(issuer, token), 401, "invalid_token")

    await issuer.admin("POST", f"/revocations/{decided['id']}/lift", {"reason": "a mistake"})
    assert (await ask(issuer, token)).status == 200


async def test_a_token_that_its_client_gave_back_is_refused(portal: Portal, issuer: Replica) -> None:
    body = await granted(await portal.log_in())
    assert (await issuer.form("/oauth2/revoke", portal.client, token=body["refresh_token"])).status == 200

    assert is_refused(await ask(issuer, body["access_token"]), 401, "invalid_token")


@on_every_store
@pytest.mark.parametrize("what", ["disable", "delete"])
async def test_nothing_is_told_of_a_user_who_is_disabled_or_gone_even_if_the_revocation_is_lifted(
    portal: Portal, issuer: Replica, what: str
) -> None:
    body = await granted(await portal.log_in())
    answer = await issuer.admin("POST", f"/users/alice/{what}", {"reason": "has left"})
    assert answer.status == 200, answer
    assert is_refused(await ask(issuer, body["access_token"]), 401, "invalid_token")

    await issuer.admin("POST", f"/revocations/{answer.json()['revocation']}/lift", {"reason": "a mistake"})
    assert await issuer.active(body["access_token"], portal.client)
    assert is_refused(await ask(issuer, body["access_token"]), 401, "invalid_token")
    assert (await portal.refresh(body["refresh_token"])).status == 400
    assert (await portal.log_in()).status == 400


async def test_a_deleted_user_is_gone_and_the_name_is_free(portal: Portal, issuer: Replica) -> None:
    first = await issuer.services.users.named("alice")
    assert (await issuer.admin("POST", "/users/alice/delete", {"reason": "asked for it"})).status == 200
    assert (await issuer.admin("POST", "/users/alice/delete", {"reason": "asked for it"})).status == 404

    second = await issuer.services.users.add("alice", PASSWORD)
    assert second.sub != first.sub
    await granted(await portal.log_in())


async def test_a_changed_record_is_told_at_once(portal: Portal, issuer: Replica) -> None:
    token = (await granted(await portal.log_in()))["access_token"]
    changes = {"email": "doe@example.com"}
    await issuer.services.users.set_claims("Alice", changes, without=["name", "no such claim"])

    said = (await ask(issuer, token)).json()
    assert said["email"] == "doe@example.com"
    assert "name" not in said
    assert said["address"] == ADDRESS


async def test_pages_of_any_origin_may_ask_with_a_bearer_token(portal: Portal, issuer: Replica) -> None:
    token = (await granted(await portal.log_in()))["access_token"]
    origin = {"Origin": "https://app.example"}
    asking = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}

    preflight = await issuer.send("OPTIONS", USERINFO, headers=origin | asking)
    good = await issuer.send("GET", USERINFO, headers={**origin, "Authorization": f"Bearer {token}"})
    bad = await issuer.send("GET", USERINFO, headers={**origin, "Authorization": "Bearer x"})

    assert preflight.status == 204
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    for answer in (preflight, good, bad):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
    assert bad.headers["Access-Control-Expose-Headers"] == "WWW-Authenticate"
