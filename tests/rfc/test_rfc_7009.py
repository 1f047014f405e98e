"""RFC 7009, OAuth 2.0 Token Revocation: what no test elsewhere holds; docs/conformance.md has all of it."""

import pytest

from tests.integration.issuer.portal import Portal, granted, refused
from tests.issuer_under_test import Installation, Replica

pytestmark = pytest.mark.asyncio(loop_scope="module")

REVOKE = "/oauth2/revoke"


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "device_secret", ""])
@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_a_token_is_found_whatever_the_hint_says(issuer: Replica, portal: Portal, kind: str, hint: str) -> None:
    """Section 2.1: a server that does not find it by the hint MUST search all kinds that it supports."""
    token = (await granted(await portal.log_in()))[kind]

    answer = await issuer.form(REVOKE, portal.client, token=token, token_type_hint=hint)

    assert (answer.status, answer.body) == (200, b"")
    assert not await issuer.active(token, portal.client)


async def test_a_refresh_token_is_no_good_from_the_moment_of_the_answer(issuer: Replica, portal: Portal) -> None:
    """Section 2: implementations MUST support it for refresh tokens; section 2.1: it takes place immediately."""
    body = await granted(await portal.log_in())

    answer = await issuer.form(REVOKE, portal.client, token=body["refresh_token"])

    assert answer.status == 200
    assert refused(await portal.refresh(body["refresh_token"])) == "invalid_grant"
    assert not await issuer.active(body["access_token"], portal.client)


async def test_the_refresh_token_of_another_client_stays_good(
    installation: Installation, issuer: Replica, portal: Portal
) -> None:
    """Section 2.1: the server verifies whether the token was issued to the client; if not, it refuses."""
    token = (await granted(await portal.log_in()))["refresh_token"]

    answer = await issuer.form(REVOKE, installation.demo, token=token)

    assert refused(answer) == "unauthorized_client"
    assert (await portal.refresh(token)).status == 200


async def test_a_request_without_a_token_is_told_so(installation: Installation, issuer: Replica) -> None:
    """Section 2.1: token is REQUIRED; section 2.2.1: errors are those of RFC 6749 section 5.2."""
    assert refused(await issuer.form(REVOKE, installation.demo)) == "invalid_request"


async def test_it_is_asked_by_post_and_a_token_in_the_address_is_not_read(
    installation: Installation, issuer: Replica
) -> None:
    """Section 2.1: the client sends parameters in the body of a POST."""
    token = await issuer.token(installation.demo)

    by_get = await issuer.send("GET", f"{REVOKE}?token={token}")
    in_address = await issuer.form(f"{REVOKE}?token={token}", installation.demo)

    assert (by_get.status, by_get.headers["Allow"]) == (405, "POST")
    assert in_address.status == 400
    assert await issuer.active(token, installation.demo)
