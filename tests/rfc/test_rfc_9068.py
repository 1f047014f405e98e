"""RFC 9068, JWT Profile for Access Tokens: what no test elsewhere holds; docs/conformance.md has all of it."""

import jwt
import pytest

from tests.integration.issuer.portal import Portal, granted
from tests.issuer_under_test import Installation, Replica, ShiftedClock, rejection, unverified

pytestmark = pytest.mark.asyncio(loop_scope="module")

REQUIRED = {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"}


async def test_the_token_of_a_user_is_typed_and_signed_and_has_every_claim_that_is_required(portal: Portal) -> None:
    """Section 2.1: typ at+jwt, signed, never none; section 2.2: REQUIRED claims."""
    token = (await granted(await portal.log_in()))["access_token"]

    header = jwt.get_unverified_header(token)
    assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
    assert unverified(token).keys() >= REQUIRED


async def test_the_subject_is_the_user_or_else_the_client(installation: Installation, portal: Portal) -> None:
    """Section 2.2: sub is the resource owner's identifier where there is one, and otherwise the client's."""
    issuer = portal.issuer
    user = await issuer.services.users.find((unverified((await granted(await portal.log_in()))["access_token"]))["sub"])
    by_itself = unverified(await issuer.token(installation.demo))

    assert user is not None
    assert user.username == "alice"
    assert by_itself["sub"] == by_itself["client_id"] == "demo"


async def test_when_the_user_authenticated_stays_the_same_at_each_refresh(
    installation: Installation, portal: Portal
) -> None:
    """Section 2.2.1: auth_time is of the authentication, and MUST keep it in all tokens that derive from it."""
    clock = ShiftedClock()
    async with installation.running(port=0, clock=clock) as replica:
        there = Portal(replica, portal.client)
        first = await granted(await there.log_in())
        clock.ahead = 30
        second = await granted(await there.refresh(first["refresh_token"]))

    before, after = (unverified(body["access_token"]) for body in (first, second))
    assert before["auth_time"] == after["auth_time"]
    assert after["iat"] >= before["iat"] + 30


async def test_the_scope_that_was_given_is_in_the_token(portal: Portal) -> None:
    """Section 2.2.3: the scope of the request SHOULD be in the token; its values have meaning for the aud."""
    body = await granted(await portal.log_in(scope="read"))

    assert unverified(body["access_token"])["scope"] == body["scope"] == "read"


async def test_the_audience_is_the_resource_that_was_asked_for_or_a_default(portal: Portal) -> None:
    """Section 3: aud MUST be the resource of the request; without one the server MUST use a default."""
    asked = unverified((await granted(await portal.log_in(resource="billing")))["access_token"])
    default = unverified((await granted(await portal.log_in()))["access_token"])

    assert (asked["aud"], default["aud"]) == ("billing", "orders")


async def test_the_key_set_and_the_issuer_of_the_metadata_suffice_to_verify(
    installation: Installation, issuer: Replica
) -> None:
    """Section 4: keys are those of the metadata's jwks_uri, and iss MUST match the metadata's issuer exactly."""
    document = (await issuer.send("GET", "/.well-known/oauth-authorization-server")).json()
    keys = (await issuer.send("GET", document["jwks_uri"].removeprefix(issuer.url))).json()
    token = await issuer.token(installation.demo)

    key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["ES256"], audience="orders", issuer=document["issuer"])
    assert claims["sub"] == "demo"


async def test_an_agent_of_another_service_refuses_the_token(installation: Installation, issuer: Replica) -> None:
    """Section 4: the resource server MUST be among the aud."""
    async with installation.agent(audience="payments") as agent:
        assert rejection(agent, await issuer.token(installation.demo)) == "wrong_audience"
