"""Refresh tokens over HTTP: each for one use, a family that ends together, and revocations that reach all of it."""

import asyncio

import pytest
from sqlalchemy import update

from issuer.store.schema import families, refresh_tokens
from tests.integration.issuer.portal import PASSWORD, Portal, granted, refused, with_passwords
from tests.issuer_under_test import Installation, Replica, on_every_store, rejection, unverified
from verifier_agent import RejectionCode


@pytest.fixture
def installation(installation: Installation) -> Installation:
    return with_passwords(installation)


@pytest.fixture
async def portal(installation: Installation, issuer: Replica) -> Portal:
    client = await installation.client(
        "portal", grants=("password", "refresh_token"), scopes=("read", "write"), audiences=("orders", "billing")
    )
    await issuer.services.users.add("Alice", PASSWORD, claims={"roles": ["admin"], "tenant": "acme"})
    return Portal(issuer, client)


@on_every_store
async def test_a_refresh_token_is_good_for_one_use_and_its_successor_for_the_next(portal: Portal) -> None:
    first = await granted(await portal.log_in())
    second = await granted(await portal.refresh(first["refresh_token"]))
    third = await granted(await portal.refresh(second["refresh_token"]))

    assert len({each["refresh_token"] for each in (first, second, third)}) == 3
    claims = [unverified(each["access_token"]) for each in (first, second, third)]
    assert len({each["grant_id"] for each in claims}) == 1
    assert len({each["rsq"] for each in claims}) == 1
    assert {each["tenant"] for each in claims} == {"acme"}
    assert claims[2]["sub"] == claims[0]["sub"] != "alice"


@on_every_store
async def test_a_used_refresh_token_ends_the_family_at_every_verifier(
    portal: Portal, installation: Installation
) -> None:
    first = await granted(await portal.log_in())
    second = await granted(await portal.refresh(first["refresh_token"]))
    third = await granted(await portal.refresh(second["refresh_token"]))
    async with installation.agent() as agent:
        assert rejection(agent, third["access_token"]) is None

        assert refused(await portal.refresh(first["refresh_token"])) == "invalid_grant"

        while rejection(agent, third["access_token"]) is None:
            await agent.changed()
        for each in (first, second, third):
            assert rejection(agent, each["access_token"]) is RejectionCode.REVOKED
            assert refused(await portal.refresh(each["refresh_token"])) == "invalid_grant"
        again = await granted(await portal.log_in())
        assert rejection(agent, again["access_token"]) is None


@on_every_store
async def test_a_client_whose_answer_was_lost_may_ask_again(portal: Portal) -> None:
    first = await granted(await portal.log_in())
    lost = await granted(await portal.refresh(first["refresh_token"]))
    second = await granted(await portal.refresh(first["refresh_token"]))
    await granted(await portal.refresh(second["refresh_token"]))

    assert refused(await portal.refresh(lost["refresh_token"])) == "invalid_grant"  # whoever found the answer
    assert refused(await portal.refresh(second["refresh_token"])) == "invalid_grant"


async def test_after_the_grace_a_used_token_is_a_stolen_one(portal: Portal, issuer: Replica) -> None:
    first = await granted(await portal.log_in())
    second = await granted(await portal.refresh(first["refresh_token"]))
    async with issuer.services.database.write() as connection:
        await connection.execute(update(refresh_tokens).values(used_at=refresh_tokens.c.used_at - 11))

    assert refused(await portal.refresh(first["refresh_token"])) == "invalid_grant"
    assert refused(await portal.refresh(second["refresh_token"])) == "invalid_grant"


@on_every_store
async def test_of_many_uses_at_once_the_family_has_one_line_of_descent(portal: Portal) -> None:
    first = await granted(await portal.log_in())
    answers = await asyncio.gather(*(portal.refresh(first["refresh_token"]) for _ in range(8)))
    given = [answer.json()["refresh_token"] for answer in answers if answer.status == 200]
    good = []
    for token in given:
        answer = await portal.issuer.form("/oauth2/introspect", portal.client, token=token)
        good += [token] * answer.json()["active"]

    assert len(good) <= 1


@on_every_store
@pytest.mark.parametrize(
    "claims",
    [
        {"client_id": "portal"},
        {"aud": "orders"},
        {"scope": "write"},
        {"tenant": "acme"},
        {"roles": "admin"},
        {},
    ],
    ids=str,
)
async def test_a_revocation_by_selector_ends_the_family_until_it_is_lifted(
    portal: Portal, issuer: Replica, claims: dict[str, str]
) -> None:
    first = await granted(await portal.log_in())
    decided = await issuer.revoke(selector=claims)

    assert refused(await portal.refresh(first["refresh_token"])) == "invalid_grant"
    after = await granted(await portal.log_in())
    await granted(await portal.refresh(after["refresh_token"]))

    lifted = await issuer.admin("POST", f"/revocations/{decided['id']}/lift", {"reason": "a mistake"})
    assert lifted.status == 200, lifted
    await granted(await portal.refresh(first["refresh_token"]))


async def test_a_revocation_of_others_leaves_the_family_alone(portal: Portal, issuer: Replica) -> None:
    first = await granted(await portal.log_in())
    for claims in ({"sub": "bob"}, {"scope": "admin"}, {"aud": "payments"}, {"tenant": "other"}):
        await issuer.revoke(selector=claims)

    await granted(await portal.refresh(first["refresh_token"]))


async def test_a_narrowed_access_token_is_reached_by_what_it_has_alone(portal: Portal, issuer: Replica) -> None:
    first = await granted(await portal.log_in())
    await issuer.revoke(selector={"scope": "write"})

    assert refused(await portal.refresh(first["refresh_token"])) == "invalid_grant"
    narrowed = await granted(await portal.refresh(first["refresh_token"], scope="read"))
    assert narrowed["scope"] == "read"
    assert refused(await portal.refresh(narrowed["refresh_token"])) == "invalid_grant"


async def test_another_replica_and_a_restarted_one_know_of_the_revocation(
    portal: Portal, installation: Installation, issuer: Replica
) -> None:
    first = await granted(await portal.log_in())
    await issuer.revoke(selector={"tenant": "acme"})
    async with installation.running(port=0) as other:
        elsewhere = Portal(other, portal.client)
        assert refused(await elsewhere.refresh(first["refresh_token"])) == "invalid_grant"


async def test_a_client_gives_its_refresh_token_back_and_all_that_came_of_it_ends(
    portal: Portal, installation: Installation, issuer: Replica
) -> None:
    first = await granted(await portal.log_in())
    second = await granted(await portal.refresh(first["refresh_token"]))
    stranger = await issuer.form("/oauth2/revoke", installation.demo, token=second["refresh_token"])
    assert (stranger.status, stranger.json()["error"]) == (400, "unauthorized_client")

    for _ in range(2):
        gone = await issuer.form(
            "/oauth2/revoke", portal.client, token=second["refresh_token"], token_type_hint="access_token"
        )
        assert (gone.status, gone.body) == (200, b"")

    assert refused(await portal.refresh(second["refresh_token"])) == "invalid_grant"
    assert not await issuer.active(first["access_token"], portal.client)
    assert not await issuer.active(second["refresh_token"], portal.client)


async def test_only_the_client_of_the_family_may_use_it_or_ask_about_it(
    portal: Portal, installation: Installation, issuer: Replica
) -> None:
    other = await installation.client("other", grants=("refresh_token",), scopes=("read",))
    first = await granted(await portal.log_in())

    assert refused(await portal.refresh(first["refresh_token"], other)) == "invalid_grant"
    assert not await issuer.active(first["refresh_token"], other)
    assert await issuer.active(first["refresh_token"], portal.client)
    await granted(await portal.refresh(first["refresh_token"]))


@pytest.mark.parametrize("scope", ["read write admin", "admin", " "])
async def test_nobody_gets_more_than_was_agreed_to(portal: Portal, scope: str) -> None:
    first = await granted(await portal.log_in(scope="read"))

    assert refused(await portal.refresh(first["refresh_token"], scope=scope)) in ("invalid_scope", "invalid_request")
    assert refused(await portal.refresh(first["refresh_token"], scope="write")) == "invalid_scope"
    assert refused(await portal.refresh(first["refresh_token"], resource="payments")) == "invalid_target"
    assert (await granted(await portal.refresh(first["refresh_token"])))["scope"] == "read"


async def test_a_family_ends_by_its_age_and_a_token_by_lying_unused(portal: Portal, issuer: Replica) -> None:
    old, unused = await granted(await portal.log_in()), await granted(await portal.log_in())
    grant = unverified(old["access_token"])["grant_id"]
    async with issuer.services.database.write() as connection:
        await connection.execute(update(families).where(families.c.id == grant).values(expires_at=1.0))
        await connection.execute(update(refresh_tokens).where(refresh_tokens.c.family != grant).values(expires_at=1.0))

    for each in (old, unused):
        assert refused(await portal.refresh(each["refresh_token"])) == "invalid_grant"
    assert await issuer.services.families.purge() == 1


async def test_a_disabled_user_can_do_nothing_until_enabled(
    portal: Portal, installation: Installation, issuer: Replica
) -> None:
    first = await granted(await portal.log_in())
    answer = await issuer.admin("POST", "/users/alice/disable", {"reason": "left"})
    assert answer.status == 200, answer

    assert refused(await portal.refresh(first["refresh_token"])) == "invalid_grant"
    assert refused(await portal.log_in()) == "invalid_grant"
    assert not await issuer.active(first["access_token"], portal.client)

    assert (await issuer.admin("POST", "/users/alice/enable", {"reason": "is back"})).status == 200
    assert refused(await portal.refresh(first["refresh_token"])) == "invalid_grant"
    await granted(await portal.log_in())
    assert (await issuer.admin("POST", "/users/bob/disable", {"reason": "left"})).status == 404
    assert (await issuer.admin("POST", "/users/alice/disable", {"reason": "\0"})).status == 400


@pytest.mark.parametrize(
    ("username", "password"), [("alice", "wrong"), ("nobody", PASSWORD), ("\0", PASSWORD), ("alice", "x" * 5000)]
)
async def test_a_wrong_name_and_a_wrong_password_look_alike(portal: Portal, username: str, password: str) -> None:
    answer = await portal.log_in(username, password)
    assert refused(answer) == "invalid_grant"
    assert answer.json()["error_description"] == "the user name or the password is wrong"


@pytest.mark.parametrize("token", ["tocsin_rt_nothing", "x", "tocsin_rt_\0", "é" * 100])
async def test_what_is_no_refresh_token_is_an_invalid_grant(portal: Portal, token: str) -> None:
    assert refused(await portal.refresh(token)) == "invalid_grant"
