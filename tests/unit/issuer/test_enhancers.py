"""What an application may add to a token, and what it may not."""

from collections.abc import Mapping
from typing import Any

import pytest

from issuer.clients import Client
from issuer.grants import Authorization
from issuer.tokens.enhancers import RESERVED, enhanced

AUTHORIZATION = Authorization(
    client=Client(client_id="web"), subject="alice", scope=(), audience=("orders",), rsq=1, claims={"tenant": "acme"}
)


class Adds:
    def __init__(self, claims: Mapping[str, Any]) -> None:
        self._claims = claims

    async def enhance(self, authorization: Authorization) -> Mapping[str, Any]:
        return {**self._claims, "for": authorization.subject}


async def test_enhancers_add_to_the_claims_of_the_grant_and_a_later_one_wins() -> None:
    claims = await enhanced(AUTHORIZATION, [Adds({"plan": "free", "region": "eu"}), Adds({"plan": "paid"})])

    assert claims == {"tenant": "acme", "plan": "paid", "region": "eu", "for": "alice"}


@pytest.mark.parametrize("claim", sorted(RESERVED))
async def test_a_reserved_claim_cannot_be_set_and_both_are_named(claim: str) -> None:
    with pytest.raises(ValueError, match=f"Adds must not set {claim}"):
        await enhanced(AUTHORIZATION, [Adds({claim: "x"})])


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "rsq"])
def test_what_decides_over_a_token_and_what_revokes_it_is_reserved(claim: str) -> None:
    assert claim in RESERVED


async def test_without_enhancers_there_are_the_claims_of_the_grant_alone() -> None:
    assert await enhanced(AUTHORIZATION, []) == {"tenant": "acme"}
