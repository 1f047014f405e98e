"""RFC 8693, Token Exchange: what no test elsewhere holds; docs/conformance.md has all of it."""

import pytest

from tests.issuer_under_test import Installation, Replica

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


@pytest.mark.parametrize("left_out", ["subject_token", "subject_token_type"])
async def test_the_subject_token_and_its_type_are_needed(
    installation: Installation, issuer: Replica, left_out: str
) -> None:
    """Section 2.1: both are REQUIRED."""
    client = await installation.client(f"without-{left_out}", grants=(EXCHANGE,))
    form = {"subject_token": "a.b.c", "subject_token_type": ACCESS_TOKEN}
    del form[left_out]

    answer = await issuer.form("/oauth2/token", client, grant_type=EXCHANGE, **form)

    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")
    assert left_out in answer.json()["error_description"]


@pytest.mark.parametrize("more", [{"actor_token_type": ACCESS_TOKEN}, {"actor_token": "x", "actor_token_type": "y"}])
async def test_an_actor_token_or_its_type_alone_is_refused(
    installation: Installation, issuer: Replica, more: dict[str, str]
) -> None:
    """Section 2.1: actor_token_type MUST NOT be there without actor_token; here who acts is always the client."""
    client = await installation.client(f"acting-{len(more)}", grants=("client_credentials", EXCHANGE))
    form = {"subject_token": await issuer.token(client), "subject_token_type": ACCESS_TOKEN, **more}

    answer = await issuer.form("/oauth2/token", client, grant_type=EXCHANGE, **form)

    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


async def test_the_answer_says_what_was_issued_and_holds_no_refresh_token(
    installation: Installation, issuer: Replica
) -> None:
    """Section 2.2.1: access_token, issued_token_type and token_type are REQUIRED."""
    client = await installation.client("exchanging", grants=("client_credentials", EXCHANGE, "refresh_token"))
    form = {"subject_token": await issuer.token(client), "subject_token_type": ACCESS_TOKEN}

    answer = await issuer.form("/oauth2/token", client, grant_type=EXCHANGE, **form)

    body = answer.json()
    assert body.keys() == {"access_token", "issued_token_type", "token_type", "expires_in", "scope"}
    assert (body["issued_token_type"], body["token_type"]) == (ACCESS_TOKEN, "Bearer")
