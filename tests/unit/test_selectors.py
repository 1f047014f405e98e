"""Which tokens a selector hits, and which selectors there cannot be."""

from typing import Any

import msgspec
import pytest

from events import Selector, SelectorInvalid
from events.selectors import MAX_CLAIMS, MAX_NAME, MAX_VALUE

TOKEN: dict[str, Any] = {
    "iss": "https://issuer.example",
    "sub": "alice",
    "aud": ["orders", "billing"],
    "scope": "orders:read orders:write",
    "client_id": "web",
    "level": 1,
    "admin": True,
    "groups": ["staff", 7, None],
    "nothing": None,
}


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sub": "alice"},
        {"sub": "alice", "client_id": "web"},
        {"aud": "orders"},
        {"aud": "billing"},
        {"scope": "orders:write"},
        {"groups": "staff"},
        {"groups": 7},
        {"level": 1},
        {"admin": True},
    ],
)
def test_a_selector_hits_a_token_that_equals_or_contains_each_of_its_values(claims: dict[str, Any]) -> None:
    assert Selector(claims=claims).matches(TOKEN)


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "bob"},
        {"sub": "alice", "client_id": "mobile"},
        {"sub": "Alice"},
        {"aud": "order"},
        {"scope": "orders"},
        {"client_id": "we"},
        {"missing": "alice"},
        {"nothing": "None"},
        {"groups": "staf"},
    ],
)
def test_a_selector_spares_a_token_that_differs_in_one_claim(claims: dict[str, Any]) -> None:
    assert not Selector(claims=claims).matches(TOKEN)


@pytest.mark.parametrize(
    ("wanted", "found", "hit"),
    [
        (1, 1, True),
        (1, 1.0, True),
        (1, True, False),
        (True, 1, False),
        (0, False, False),
        (False, 0, False),
        (False, False, True),
        (1, "1", False),
        ("1", 1, False),
        ("true", True, False),
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_values_are_equal_as_in_json(wanted: Any, found: Any, hit: bool, listed: bool) -> None:
    token = {"level": [found] if listed else found}

    assert Selector(claims={"level": wanted}).matches(token) is hit


@pytest.mark.parametrize("value", [{"sub": "alice"}, [["alice"]], {}, []])
def test_a_value_inside_an_object_or_a_nested_list_is_not_a_member(value: Any) -> None:
    assert not Selector.of(sub="alice").matches({"sub": value})


def test_only_scope_is_read_as_words() -> None:
    assert not Selector.of(note="two").matches({"note": "one two"})
    assert Selector.of(scope="two").matches({"scope": "one two"})


def test_the_empty_selector_is_everything() -> None:
    assert Selector().everything
    assert Selector().matches({})
    assert not Selector.of(sub="alice").everything


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"iss": "https://other.example"}, "claim 'iss' cannot be selected by: a selector belongs to one issuer"),
        ({"rsq": 5}, "claim 'rsq' cannot be selected by: it is what a cutoff is compared with"),
        ({f"claim{n}": "x" for n in range(MAX_CLAIMS + 1)}, f"at most {MAX_CLAIMS} claims, not {MAX_CLAIMS + 1}"),
        ({"": "x"}, f"a claim name has 1 to {MAX_NAME} characters, not 0"),
        ({"n" * (MAX_NAME + 1): "x"}, f"a claim name has 1 to {MAX_NAME} characters, not {MAX_NAME + 1}"),
        ({"sub": ""}, f"claim 'sub': a value has 1 to {MAX_VALUE} characters, not 0"),
        ({"sub": "x" * (MAX_VALUE + 1)}, f"a value has 1 to {MAX_VALUE} characters, not {MAX_VALUE + 1}"),
        ({"scope": "one two"}, "claim 'scope': select by one scope, without spaces"),
        ({"scope": " "}, "claim 'scope': select by one scope, without spaces"),
    ],
)
def test_a_selector_that_cannot_mean_anything_is_refused_with_the_claim_and_the_rule(
    claims: dict[str, Any], message: str
) -> None:
    with pytest.raises(SelectorInvalid) as refused:
        Selector(claims=claims)

    assert message in str(refused.value)


def test_a_selector_at_the_limits_is_allowed() -> None:
    claims: dict[str, str | int | bool] = {f"{n}".ljust(MAX_NAME, "-"): "x" * MAX_VALUE for n in range(MAX_CLAIMS)}

    assert Selector(claims=claims).matches(claims)


@pytest.mark.parametrize("claims", [{"sub": None}, {"sub": ["alice"]}, {"sub": 1.5}, {"sub": {}}, {"iss": "x"}])
def test_a_selector_from_outside_is_held_to_the_same_rules(claims: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"claims": claims}, Selector)


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        (Selector(), "everything"),
        (Selector.of(sub="alice", aud="orders"), "aud=orders sub=alice"),
        (Selector(claims={"sub": "alice"}, issuer="https://other.example"), "sub=alice of https://other.example"),
    ],
)
def test_a_selector_reads_as_its_claims(selector: Selector, text: str) -> None:
    assert str(selector) == text


@pytest.mark.parametrize("name", ["sub", "client_id", "sid", "jti", "aud", "scope"])
def test_a_value_that_no_token_can_have_is_refused_and_not_silently_without_effect(name: str) -> None:
    with pytest.raises(SelectorInvalid, match=f"claim '{name}' is text in every token"):
        Selector(claims={name: 12345})
