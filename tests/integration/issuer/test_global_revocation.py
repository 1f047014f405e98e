"""Global Token Revocation (draft-parecki-oauth-global-token-revocation): everything of one user ends, by one call."""

from typing import Any

import pytest
from sqlalchemy import delete

from events import Stream
from issuer.store.schema import users
from tests.integration.issuer.portal import PASSWORD, Portal, granted, refused, with_passwords
from tests.issuer_under_test import Answer, Installation, Replica, on_every_store, rejection, until, unverified
from tests.outbox_reader import numbers

PATH = "/oauth2/global-token-revocation"


@pytest.fixture
def installation(installation: Installation) -> Installation:
    return with_passwords(installation)


@pytest.fixture
async def portal(installation: Installation, issuer: Replica) -> Portal:
    client = await installation.client("portal", grants=("password", "refresh_token"), audiences=("orders",))
    await issuer.services.users.add("Alice", PASSWORD)
    return Portal(issuer, client)


async def call(issuer: Replica, installation: Installation, body: object, token: str | None = None) -> Answer:
    bearer = token if token is not None else await issuer.token(installation.operator)
    return await issuer.send("POST", PATH, json=body, headers={"Authorization": f"Bearer {bearer}"})


async def revocations(issuer: Replica) -> int:
    return len(await numbers(issuer.services.database, Stream.REVOCATIONS)) - 1


@on_every_store
@pytest.mark.parametrize("name", ["iss_sub", "opaque", "email"])
async def test_all_tokens_of_the_user_end_and_a_new_login_is_good(
    installation: Installation, issuer: Replica, portal: Portal, name: str
) -> None:
    user = await issuer.services.users.add("carol", "a password", claims={"email": "Carol@Example.org"})
    theirs = await granted(await portal.log_in("carol", "a password"))
    others = await granted(await portal.log_in())
    sub_id = {
        "iss_sub": {"format": "iss_sub", "iss": installation.settings.issuer, "sub": user.sub},
        "opaque": {"format": "opaque", "id": user.sub},
        "email": {"format": "email", "email": "carol@example.org"},
    }[name]
    async with installation.agent() as agent:
        answer = await call(issuer, installation, {"sub_id": sub_id})

        assert (answer.status, answer.body) == (204, b"")
        await until(lambda: rejection(agent, theirs["access_token"]) == "revoked", "the agent refuses the token")
        assert rejection(agent, others["access_token"]) is None
    assert refused(await portal.refresh(theirs["refresh_token"])) == "invalid_grant"
    await granted(await portal.refresh(others["refresh_token"]))
    again = await granted(await portal.log_in("carol", "a password"))
    assert await issuer.active(again["access_token"], portal.client)
    await granted(await portal.refresh(again["refresh_token"]))


async def test_every_user_of_an_address_that_several_have_is_meant(
    installation: Installation, issuer: Replica, portal: Portal
) -> None:
    for name in ("dave", "erin"):
        await issuer.services.users.add(name, "a password", claims={"email": "shared@example.org"})
    tokens = [(await granted(await portal.log_in(name, "a password")))["access_token"] for name in ("dave", "erin")]

    sub_id = {"format": "email", "email": "shared@example.org"}
    assert (await call(issuer, installation, {"sub_id": sub_id})).status == 204

    assert [await issuer.active(token, portal.client) for token in tokens] == [False, False]


async def test_a_subject_that_only_families_know_is_found(
    installation: Installation, issuer: Replica, portal: Portal
) -> None:
    given = (await granted(await portal.log_in()))["access_token"]
    async with issuer.services.database.write() as connection:
        await connection.execute(delete(users))

    sub_id = {"format": "opaque", "id": unverified(given)["sub"]}
    assert (await call(issuer, installation, {"sub_id": sub_id})).status == 204

    assert not await issuer.active(given, portal.client)


@on_every_store
async def test_nobody_of_that_name_is_404_and_nothing_is_decided(
    installation: Installation, issuer: Replica, portal: Portal
) -> None:
    alice = (await issuer.services.users.named("alice")).sub
    for sub_id in (
        {"format": "opaque", "id": "nobody"},
        {"format": "opaque", "id": "a\0b"},
        {"format": "opaque", "id": ""},
        {"format": "iss_sub", "iss": "https://other.example", "sub": alice},
        {"format": "email", "email": "nobody@example.org"},
        {"format": "email", "email": "%"},
    ):
        answer = await call(issuer, installation, {"sub_id": sub_id})
        assert (answer.status, answer.json()["error"]) == (404, "not_found"), sub_id
    assert await revocations(issuer) == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"sub_id": "alice"},
        {"sub_id": {}},
        {"sub_id": {"format": "phone_number", "phone_number": "+1"}},
        {"sub_id": {"format": "opaque"}},
        {"sub_id": {"format": "opaque", "id": 7}},
        {"sub_id": {"format": "opaque", "id": "alice", "sub": "bob"}},
        {"sub_id": {"format": "opaque", "id": "alice"}, "more": 1},
        [],
    ],
)
async def test_what_is_no_subject_identifier_known_here_is_400(
    installation: Installation, issuer: Replica, body: object
) -> None:
    answer = await call(issuer, installation, body)

    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")
    assert await revocations(issuer) == 0


@pytest.mark.parametrize("scopes", [("tocsin:read", "tocsin:keys"), ()])
async def test_it_takes_the_scope_that_revoking_takes(
    installation: Installation, issuer: Replica, scopes: tuple[str, ...]
) -> None:
    client = await installation.client("tool", audiences=(installation.settings.issuer,), scopes=scopes)
    body: dict[str, Any] = {"sub_id": {"format": "opaque", "id": "alice"}}

    assert (await call(issuer, installation, body, await issuer.token(client))).status == 403
    assert (await issuer.send("POST", PATH, json=body)).status == 401
    assert await revocations(issuer) == 0


async def test_the_metadata_says_where_it_is_and_how_to_authenticate(issuer: Replica) -> None:
    document = (await issuer.send("GET", "/.well-known/oauth-authorization-server")).json()

    assert document["global_token_revocation_endpoint"] == document["issuer"] + PATH
    assert document["global_token_revocation_endpoint_auth_methods_supported"] == ["Bearer"]
