"""ID tokens and UserInfo put to other uses than to tell a client who has logged in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.issuer.portal import PASSWORD, Portal, granted, with_passwords
from tests.issuer_under_test import AUDIENCE, Installation, Replica, rejection, unverified
from verifier_agent import RejectionCode

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPES = ("access_token", "id_token", "jwt")


@pytest.fixture
async def installation(tmp_path: Path) -> Installation:
    return with_passwords(await Installation.create(tmp_path))


@pytest.fixture
async def issuer(installation: Installation) -> AsyncIterator[Replica]:
    async with installation.running() as replica:
        yield replica


@pytest.fixture
async def portal(installation: Installation, issuer: Replica) -> Portal:
    """A client whose identifier is what a service takes for its audience: the ID token's ``aud`` is that too."""
    scopes = ("openid", "profile", "orders:read")
    client = await installation.client(AUDIENCE, grants=("password", EXCHANGE), scopes=scopes)
    await issuer.services.users.add("alice", PASSWORD)
    return Portal(issuer, client)


async def test_id_token_as_an_access_token_at_a_service(portal: Portal, installation: Installation) -> None:
    """The same issuer, key and audience; the type alone tells them apart (RFC 9068 section 4)."""
    body = await granted(await portal.log_in())
    assert unverified(body["id_token"])["aud"] == unverified(body["access_token"])["aud"] == AUDIENCE
    async with installation.agent() as agent:
        assert rejection(agent, body["access_token"], audience=AUDIENCE) is None

        assert rejection(agent, body["id_token"], audience=AUDIENCE) is RejectionCode.WRONG_TYPE
        assert rejection(agent, body["id_token"], audience=None) is RejectionCode.WRONG_TYPE


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/oauth2/userinfo"), ("GET", "/admin/v1/keys"), ("GET", "/events")]
)
async def test_id_token_as_a_bearer_token_at_the_issuer(
    portal: Portal, issuer: Replica, method: str, path: str
) -> None:
    body = await granted(await portal.log_in())

    answer = await issuer.send(method, path, headers={"Authorization": f"Bearer {body['id_token']}"})

    assert (answer.status, answer.json()["error"]) == (401, "invalid_token")


@pytest.mark.parametrize("named", TYPES)
async def test_id_token_exchanged_for_an_access_token(portal: Portal, issuer: Replica, named: str) -> None:
    body = await granted(await portal.log_in())
    form = {
        "grant_type": EXCHANGE,
        "subject_token": body["id_token"],
        "subject_token_type": f"urn:ietf:params:oauth:token-type:{named}",
    }

    answer = await issuer.form("/oauth2/token", portal.client, **form)

    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


async def test_id_token_introspected_as_if_it_were_active(portal: Portal, issuer: Replica) -> None:
    body = await granted(await portal.log_in())
    assert await issuer.active(body["access_token"], portal.client)

    assert not await issuer.active(body["id_token"], portal.client)


async def test_id_token_presented_as_a_client_assertion(portal: Portal, issuer: Replica) -> None:
    body = await granted(await portal.log_in())
    form = {
        "grant_type": "password",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": body["id_token"],
    }

    answer = await issuer.form("/oauth2/token", None, **form)

    assert (answer.status, answer.json()["error"]) == (401, "invalid_client")


async def test_client_whose_identifier_is_that_of_a_user_asks_who_it_is(
    installation: Installation, issuer: Replica
) -> None:
    """A client that impersonates a resource owner (RFC 9700 section 4.15)."""
    await issuer.services.users.add("victim", PASSWORD, sub="4711", claims={"email": "victim@example.com"})
    impostor = await installation.client("4711", scopes=("openid", "email"))
    token = await issuer.token(impostor)
    assert unverified(token)["sub"] == "4711"

    answer = await issuer.send("GET", "/oauth2/userinfo", headers={"Authorization": f"Bearer {token}"})

    assert (answer.status, answer.json()["error"]) == (401, "invalid_token")
    assert b"victim" not in answer.body


async def test_service_that_was_sent_a_token_reads_more_of_its_user_than_the_scopes_say(
    portal: Portal, issuer: Replica
) -> None:
    without = await granted(await portal.log_in(scope="orders:read"))
    answer = await issuer.send(
        "GET", "/oauth2/userinfo", headers={"Authorization": f"Bearer {without['access_token']}"}
    )

    assert (answer.status, answer.json()["error"]) == (403, "insufficient_scope")


async def test_id_token_revoked_in_the_hope_that_it_revokes_nothing_or_everything(
    portal: Portal, issuer: Replica
) -> None:
    body = await granted(await portal.log_in())

    answer = await issuer.form("/oauth2/revoke", portal.client, token=body["id_token"])

    assert answer.status == 200
    assert await issuer.active(body["access_token"], portal.client)
