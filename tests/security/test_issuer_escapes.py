"""Ways to come out of a revocation with a good token, were it not for the order in which the issuer looks at things."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest

from issuer.grants import Authorization, GrantRequest
from tests.issuer_under_test import Installation, Replica, rejection, until, unverified


@pytest.fixture
async def installation(tmp_path: Path) -> Installation:
    return await Installation.create(tmp_path)


@pytest.fixture
async def issuer(installation: Installation) -> AsyncIterator[Replica]:
    async with installation.running() as replica:
        yield replica


class HeldUp:
    """A grant that checks its client and then takes its time."""

    grant_type = "client_credentials"

    def __init__(self, issuer: Replica) -> None:
        self._grant = issuer.services.grants["client_credentials"]
        self.checked = asyncio.Event()
        self.go_on = asyncio.Event()
        issuer.services.grants["client_credentials"] = self  # type: ignore[index]

    async def authorize(self, request: GrantRequest) -> Authorization:
        authorization = await self._grant.authorize(request)
        self.checked.set()
        await self.go_on.wait()
        return authorization


async def test_a_token_that_was_granted_just_before_a_revocation_and_signed_just_after_it_is_revoked(
    installation: Installation, issuer: Replica
) -> None:
    async with installation.agent() as agent:
        operators = await issuer.token(installation.operator)
        held_up = HeldUp(issuer)
        asking = asyncio.create_task(issuer.token(installation.demo))
        await held_up.checked.wait()

        answer = await issuer.admin(
            "POST",
            "/revocations",
            {"reason": "x", "selector": {"client_id": "demo"}},
            token=operators,
            Prefer="wait=30",
        )
        held_up.go_on.set()
        token = await asking

        assert unverified(token)["rsq"] < answer.json()["seq"]
        assert not await issuer.active(token, installation.demo)
        await until(lambda: rejection(agent, token) == "revoked", "the agent refuses the token")


async def test_a_request_whose_body_comes_after_the_revocation_is_judged_by_when_it_began(
    installation: Installation, issuer: Replica
) -> None:
    demo = installation.demo
    body = f"grant_type=client_credentials&client_id={demo.client_id}&client_secret={demo.secret}".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", installation.settings.port)
    writer.write(
        b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body[:10])
    )
    await writer.drain()
    await issuer.send("GET", "/livez")  # the issuer has begun with the other request by now

    await issuer.revoke(selector={"client_id": "demo"})
    writer.write(body[10:])
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()

    token = answer.decode().partition('"access_token":"')[2].partition('"')[0]
    assert unverified(token)["client_id"] == "demo"
    assert not await issuer.active(token, demo)


async def test_a_key_that_is_revoked_while_a_token_is_being_made_takes_the_token_with_it(
    installation: Installation, issuer: Replica
) -> None:
    operators = await issuer.token(installation.operator)
    old = jwt.get_unverified_header(operators)["kid"]
    held_up = HeldUp(issuer)
    asking = asyncio.create_task(issuer.token(installation.demo))
    await held_up.checked.wait()

    await issuer.admin("POST", f"/keys/{old}/revoke", {"reason": "leaked"}, token=operators)
    held_up.go_on.set()
    token = await asking

    kid = jwt.get_unverified_header(token)["kid"]
    assert (kid != old) == await issuer.active(token, installation.demo)


@pytest.mark.parametrize("claim", ["rsq", "iat", "exp", "sub", "jti"])
async def test_a_client_cannot_choose_claims_of_its_token_by_parameters(
    installation: Installation, issuer: Replica, claim: str
) -> None:
    usual = unverified(await issuer.token(installation.demo))

    chosen = unverified(await issuer.token(installation.demo, **{claim: "9007199254740991"}))

    assert chosen["rsq"] == usual["rsq"]
    assert "9007199254740991" not in map(str, chosen.values())


async def test_a_revocation_cannot_be_watered_down_by_a_later_one(installation: Installation, issuer: Replica) -> None:
    token = await issuer.token(installation.demo)
    await issuer.revoke(selector={"client_id": "demo"})

    await issuer.revoke(selector={"client_id": "demo"}, issued_before=1)
    later = await issuer.revoke(selector={"client_id": "demo"})
    await issuer.admin("POST", f"/revocations/{later['id']}/lift", {"reason": "x"})

    assert not await issuer.active(token, installation.demo)


async def test_an_expired_admin_token_cannot_be_used_to_lift_what_revoked_it(
    installation: Installation, issuer: Replica
) -> None:
    stolen = await issuer.token(installation.operator)
    revocation = await issuer.revoke(token=stolen)

    answer = await issuer.admin("POST", f"/revocations/{revocation['id']}/lift", {"reason": "x"}, token=stolen)

    assert answer.status == 401
    assert not await issuer.active(stolen, installation.demo)
