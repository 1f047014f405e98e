"""What a record may say of a user, and how it is typed."""

from typing import Any

import pytest

from issuer.users import standard_claims


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("phone_number", "4930123456", "4930123456"),
        ("name", "null", "null"),
        ("birthdate", "1990", "1990"),
        ("email_verified", "true", True),
        ("email_verified", "yes", "yes"),
        ("updated_at", "1800000000", 1_800_000_000),
        ("address", '{"locality": "Berlin"}', {"locality": "Berlin"}),
        ("roles", '["admin"]', ["admin"]),
        ("tenant", "acme", "acme"),
        ("tenant", "007", "007"),
        ("level", "7", 7),
        ("deep", "[" * 10_000, "[" * 10_000),
    ],
)
def test_a_standard_claim_is_read_by_its_type_and_any_other_as_json_where_it_is_that(
    name: str, text: str, value: object
) -> None:
    assert standard_claims.parsed(name, text) == value


@pytest.mark.parametrize(
    ("claims", "named"),
    [
        ({"email_verified": "yes"}, "email_verified"),
        ({"email_verified": 1}, "email_verified"),
        ({"name": 7}, "name"),
        ({"updated_at": True}, "updated_at"),
        ({"address": "Berlin"}, "address"),
        ({"address": {"city": "Berlin"}}, "address"),
        ({"address": {"locality": 1}}, "address"),
        ({"sub": "somebody else"}, "sub"),
    ],
)
def test_a_record_that_clients_could_not_read_is_refused_by_the_claim(claims: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"claim '{named}'"):
        standard_claims.check(claims)


def test_whatever_else_an_application_keeps_is_its_own_business() -> None:
    standard_claims.check({"roles": ["admin"], "level": 7, "name": "Alice", "address": {"postal_code": "10115"}})
