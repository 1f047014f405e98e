"""RFC 8414, Authorization Server Metadata: what no test elsewhere holds; docs/conformance.md has all of it."""

import pytest

from tests.issuer_under_test import Installation, Replica

pytestmark = pytest.mark.asyncio(loop_scope="module")

METADATA = "/.well-known/oauth-authorization-server"
REQUIRED = {"issuer", "token_endpoint", "response_types_supported"}


async def test_the_answer_is_json_with_every_member_that_is_required(
    installation: Installation, issuer: Replica
) -> None:
    """Section 3.2: 200 with application/json; section 2: REQUIRED members."""
    answer = await issuer.send("GET", METADATA)

    assert answer.status == 200
    assert answer.headers["Content-Type"].split(";")[0] == "application/json"
    assert answer.json().keys() >= REQUIRED


async def test_the_issuer_is_the_one_whose_address_was_asked(installation: Installation, issuer: Replica) -> None:
    """Section 3.3: issuer MUST be identical to the identifier that the well-known part was inserted into."""
    document = (await issuer.send("GET", METADATA)).json()

    assert document["issuer"] == installation.settings.issuer == issuer.url


async def test_no_unsigned_assertion_is_advertised_and_algorithms_are_named_where_assertions_are_taken(
    issuer: Replica,
) -> None:
    """Section 2: these lists MUST be there with private_key_jwt, and the value none MUST NOT be used."""
    document = (await issuer.send("GET", METADATA)).json()

    for endpoint in ("token", "revocation", "introspection"):
        if "private_key_jwt" in document[f"{endpoint}_endpoint_auth_methods_supported"]:
            algs = document[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]
            assert algs
            assert "none" not in algs


async def test_no_list_is_empty(issuer: Replica) -> None:
    """Section 3.2: claims with zero elements MUST be omitted from the response."""
    for path in (METADATA, "/.well-known/openid-configuration"):
        document = (await issuer.send("GET", path)).json()

        assert not [name for name, value in document.items() if value == []]
