"""Which claims of a record a scope lets through: those of its own, and of the right type, whatever the record holds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.openid import released
from issuer.openid.scope_claims import CLAIMS_OF, SCOPES
from issuer.users import User
from issuer.users.standard_claims import STANDARD

OF_ALL = {name for names in CLAIMS_OF.values() for name in names}
FIT: dict[str, Any] = {
    **dict.fromkeys(OF_ALL, "text"),
    "email_verified": True,
    "phone_number_verified": False,
    "updated_at": 1_800_000_000,
    "address": {"locality": "Berlin", "country": "Germany"},
}
ALICE = User(sub="248289761001", username="alice", claims=FIT | {"roles": ["admin"], "tenant": "acme"})

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=3,
)
records = st.dictionaries(
    st.sampled_from([*sorted(OF_ALL), "roles", "tenant", "password", "sub", "iss", "aud"]), anything, max_size=12
)
scopes = st.frozensets(st.sampled_from([*SCOPES, "orders:read", "profile2", "PROFILE"]))


@given(records, scopes)
def test_nothing_but_the_claims_of_a_scope_that_was_granted_gets_out(record: dict[str, Any], scope: set[str]) -> None:
    user = User(sub="1", username="alice", claims=record)
    allowed = {name for each in scope for name in CLAIMS_OF.get(each, ())}

    told = released(user, scope)

    assert told.keys() - {"sub"} <= allowed
    assert told["sub"] == "1"


@given(records, scopes, scopes)
def test_scopes_together_let_through_what_each_does(record: dict[str, Any], one: set[str], other: set[str]) -> None:
    user = User(sub="1", username="alice", claims=record)

    assert released(user, one | other) == released(user, one) | released(user, other)


@given(records)
def test_what_gets_out_is_what_the_record_says_and_never_empty(record: dict[str, Any]) -> None:
    user = User(sub="1", username="alice", claims=record)

    for name, value in released(user, SCOPES).items():
        if name not in ("sub", "preferred_username"):
            assert value == record[name]
        assert value not in (None, "", {}, [])
        if STANDARD.get(name) in (str, bool):
            assert type(value) is STANDARD[name]


@pytest.mark.parametrize("scope", sorted(CLAIMS_OF))
def test_each_scope_lets_all_of_its_own_claims_through(scope: str) -> None:
    assert released(ALICE, {"openid", scope}).keys() == {"sub", *CLAIMS_OF[scope]}


def test_the_scopes_are_those_of_the_standard_and_no_claim_has_two() -> None:
    assert set(SCOPES) == {"openid", "profile", "email", "address", "phone"}
    assert sum(map(len, CLAIMS_OF.values())) == len(OF_ALL)
    assert STANDARD.keys() == OF_ALL


def test_the_user_name_is_told_where_the_record_prefers_none() -> None:
    assert released(User(sub="1", username="alice"), {"profile"}) == {"sub": "1", "preferred_username": "alice"}
    assert released(ALICE, {"profile"})["preferred_username"] == "text"
    assert "preferred_username" not in released(ALICE, {"email"})


@pytest.mark.parametrize(
    ("name", "value"),
    [("email", ""), ("email", None), ("name", 7), ("email_verified", "true"), ("address", {}), ("address", "Berlin")],
)
def test_a_claim_that_is_empty_or_of_another_type_is_left_out(name: str, value: object) -> None:
    told = released(User(sub="1", username="alice", claims=FIT | {name: value}), SCOPES)

    assert told.keys() == {"sub", *OF_ALL} - {name}
