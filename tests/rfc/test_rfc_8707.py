"""RFC 8707, Resource Indicators: what no test elsewhere holds; docs/conformance.md has all of it."""

import pytest

from tests.integration.issuer.portal import Portal, granted, refused
from tests.issuer_under_test import Installation, unverified

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORDERS, BILLING = "https://orders.example/api", "https://billing.example/"


@pytest.mark.parametrize(
    "resource", ["https://elsewhere.example/", ORDERS + "#part", ORDERS + "/", "no uri at all", "//x"]
)
async def test_a_resource_that_the_client_may_not_use_or_that_is_none_is_an_invalid_target(
    installation: Installation, portal: Portal, resource: str
) -> None:
    """Section 2: an absolute URI without a fragment; what is unknown or malformed is answered invalid_target."""
    client = await installation.client(f"of-{len(resource)}", audiences=(ORDERS, BILLING))

    answer = await portal.issuer.form("/oauth2/token", client, grant_type="client_credentials", resource=resource)

    assert refused(answer) == "invalid_target"


async def test_the_token_is_for_the_resource_alone(installation: Installation, portal: Portal) -> None:
    """Section 2: the aud of the token is what was asked for, compared exactly."""
    client = await installation.client("of-both", audiences=(ORDERS, BILLING))

    claims = unverified(await portal.issuer.token(client, resource=BILLING))

    assert claims["aud"] == BILLING


async def test_a_refresh_may_ask_for_one_of_the_resources_that_were_granted_and_for_no_other(portal: Portal) -> None:
    """Section 2.2: a subset of what was granted; the refresh token stays good for all of it."""
    first = await granted(await portal.log_in(resource="billing"))

    same = await granted(await portal.refresh(first["refresh_token"], resource="billing"))
    other = await portal.refresh(same["refresh_token"], resource="orders")

    assert unverified(same["access_token"])["aud"] == "billing"
    assert refused(other) == "invalid_target"
