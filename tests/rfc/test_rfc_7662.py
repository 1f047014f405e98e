"""RFC 7662, OAuth 2.0 Token Introspection: what no test elsewhere holds; docs/conformance.md has all of it."""

import pytest

from tests.integration.issuer.portal import Portal, granted
from tests.issuer_under_test import Installation, Replica

pytestmark = pytest.mark.asyncio(loop_scope="module")

INTROSPECT = "/oauth2/introspect"


async def test_it_is_asked_by_post_alone(installation: Installation, issuer: Replica) -> None:
    """Section 2.1: an HTTP POST with parameters in a form."""
    token = await issuer.token(installation.demo)

    answer = await issuer.send("GET", f"{INTROSPECT}?token={token}")

    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "device_secret"])
@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_a_token_is_found_whatever_the_hint_says(issuer: Replica, portal: Portal, kind: str, hint: str) -> None:
    """Section 2.1: a server that does not find it by the hint MUST search all kinds that it supports."""
    token = (await granted(await portal.log_in()))[kind]

    answer = await issuer.form(INTROSPECT, portal.client, token=token, token_type_hint=hint)

    assert answer.json()["active"] is True


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_a_used_up_or_revoked_token_is_inactive_and_nothing_more_is_said(
    issuer: Replica, portal: Portal, kind: str
) -> None:
    """Section 2.2: no further information on an inactive token; section 4: revocation MUST be determined."""
    token = (await granted(await portal.log_in()))[kind]
    await issuer.form("/oauth2/revoke", portal.client, token=token)

    answer = await issuer.form(INTROSPECT, portal.client, token=token)

    assert (answer.status, answer.json()) == (200, {"active": False})


@pytest.mark.parametrize("audiences", [("payments",), ("payments", "shipping")])
async def test_a_service_that_the_token_is_not_for_learns_nothing(
    installation: Installation, issuer: Replica, audiences: tuple[str, ...]
) -> None:
    """Section 4: whether the token can be used at the service that asks MUST be determined."""
    token = await issuer.token(installation.demo)
    service = await installation.client(f"service-of-{len(audiences)}", audiences=audiences)

    answer = await issuer.form(INTROSPECT, service, token=token)

    assert (answer.status, answer.json()) == (200, {"active": False})


async def test_a_service_that_the_token_is_for_and_an_operator_learn_what_it_says(
    installation: Installation, issuer: Replica
) -> None:
    """Section 2.2, and section 4."""
    token = await issuer.token(installation.demo)
    service = await installation.client("orders-service", audiences=("shipping", "orders"))
    named = await installation.client("billing", audiences=("shipping",))

    assert await issuer.active(token, service)
    assert await issuer.active(token, installation.operator)
    assert await issuer.active(await issuer.token(installation.demo, resource="billing"), named)
