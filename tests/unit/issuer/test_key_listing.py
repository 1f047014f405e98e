"""What a list of configuration makes of the keys that there are, and which of them is to sign."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from events import KeyState
from issuer.keys.life_cycle import (
    KeyPolicy,
    Postpone,
    Retire,
    Rotate,
    Situation,
    TokenKey,
    gate,
    heir,
    listed_first,
    steps,
)
from issuer.keys.listing import REMOVED, Wanted, listing

NOON = 1_800_000_000.0
PENDING, ACTIVE, RETIRING, RETIRED, REVOKED = (
    KeyState.PENDING,
    KeyState.ACTIVE,
    KeyState.RETIRING,
    KeyState.RETIRED,
    KeyState.REVOKED,
)


def key(kid: str, state: KeyState, rank: int | None = None, **more: Any) -> TokenKey:
    usual: dict[str, Any] = {"alg": "ES256", "changed_at": NOON - 3600, "published_seq": 5}
    return TokenKey(kid=kid, state=state, rank=rank, **usual | more)


def wanted(*kids: str) -> list[Wanted]:
    return [Wanted(kid, "ES256") for kid in kids]


def situation(*keys: TokenKey, **changes: Any) -> Situation:
    usual: dict[str, Any] = {"published": 10, "members": (), "now": NOON, "dead_before": NOON - 86_400}
    return Situation(keys=keys, **usual | changes)


VAULT = (key("vault", ACTIVE), key("standby", PENDING))


def test_keys_of_a_list_are_added_in_its_order_and_the_vaults_own_stay() -> None:
    found = listing(VAULT, wanted("a", "b"))

    assert found is not None
    assert (found.added, found.ranks, found.unlisted) == (("a", "b"), {"a": 0, "b": 1}, ())
    assert found.tells


def test_a_list_that_is_in_force_changes_nothing() -> None:
    assert listing((key("a", ACTIVE, 0), key("b", RETIRING, 1), *VAULT[1:]), wanted("a", "b")) is None
    assert listing(VAULT, []) is None


def test_another_order_tells_nobody_anything_by_itself() -> None:
    found = listing((key("a", ACTIVE, 0), key("b", PENDING, 1)), wanted("b", "a"))

    assert found is not None
    assert found.ranks == {"b": 0, "a": 1}
    assert not found.tells


def test_a_key_that_is_taken_out_verifies_until_its_tokens_have_expired() -> None:
    found = listing((key("a", ACTIVE, 0), key("b", PENDING, 1), key("c", RETIRING, 2)), wanted("a"))

    assert found is not None
    assert set(found.unlisted) == {"b", "c"}
    assert found.retiring == ("b",), "it may have signed elsewhere; c ceased to sign when it did"


def test_the_key_that_signs_gives_way_when_the_whole_list_is_taken_out() -> None:
    found = listing((key("a", ACTIVE, 0), key("standby", PENDING)), [])

    assert found is not None
    assert (found.due, found.retiring) == (("a",), ())
    assert steps(
        situation(key("a", ACTIVE, due_since=NOON, due_reason=REMOVED), key("standby", PENDING)), KeyPolicy()
    ) == [Rotate(alg="ES256", reason=REMOVED)]


def test_a_key_that_comes_first_again_is_not_to_give_way_any_more() -> None:
    keys = (key("a", ACTIVE, 1, due_since=NOON - 60, due_reason="signing_keys has b first"), key("b", PENDING, 0))

    found = listing(keys, wanted("a", "b"))

    assert found is not None
    assert found.undue == ("a",)


def test_a_revoked_or_retired_key_is_passed_over_and_named_and_never_comes_back() -> None:
    keys = (key("a", REVOKED), key("b", RETIRED), *VAULT)

    found = listing(keys, wanted("a", "b", "c"))

    assert found is not None
    assert found.passed_over == {"a": REVOKED, "b": RETIRED}
    assert (found.added, found.ranks) == (("c",), {"c": 2})


# -- who signs


def test_the_first_of_the_list_is_to_sign_and_waits_as_any_key_does() -> None:
    first = key("a", PENDING, 0, published_seq=5, changed_at=NOON - 60)
    policy = KeyPolicy(jwks_lead_time=100.0)

    assert steps(situation(first, *VAULT), KeyPolicy()) == [
        Rotate(alg="ES256", reason="signing_keys has a first", listed=True)
    ]
    [step] = steps(situation(first, *VAULT, published=4), KeyPolicy())
    assert isinstance(step, Postpone)
    [step] = steps(situation(first, *VAULT), policy)
    assert isinstance(step, Postpone)
    assert "40 s more" in step.why_not


def test_a_key_that_signed_before_may_sign_again_without_waiting_for_the_jwks() -> None:
    found = situation(key("a", RETIRING, 0, changed_at=NOON - 1), key("b", ACTIVE, 1))

    assert gate(found.keys[0], found, KeyPolicy(jwks_lead_time=100.0)).is_open
    assert steps(found, KeyPolicy(jwks_lead_time=100.0)) == [
        Rotate(alg="ES256", reason="signing_keys has a first", listed=True)
    ]


def test_policies_do_not_rotate_a_key_that_the_list_has_first() -> None:
    found = situation(key("a", ACTIVE, 0), key("b", PENDING, 1), key("standby", PENDING))
    policy = KeyPolicy(rotate_every=1.0, rotate_after_signatures=1)

    assert steps(found, policy) == []
    assert [step.reason for step in steps(situation(*VAULT), policy) if isinstance(step, Rotate)] == [
        "it has signed for 1 s (rotate_every)"
    ]


def test_a_key_of_the_list_does_not_retire_however_old_its_last_token_is() -> None:
    old: dict[str, Any] = {"changed_at": NOON - 90_000}

    assert steps(situation(key("a", RETIRING, 1, **old), key("b", ACTIVE, 0)), KeyPolicy()) == []
    assert steps(situation(key("a", RETIRING, **old), key("b", ACTIVE, 0)), KeyPolicy()) == [Retire(kid="a")]


def test_in_an_emergency_the_next_of_the_list_signs_and_after_all_of_them_the_vaults_standby() -> None:
    first, second, standby = key("b", PENDING, 1), key("c", RETIRING, 2), key("standby", PENDING)

    assert heir([standby, second, first], "ES256") == first
    assert heir([standby, second], "ES256") == second
    assert heir([standby, key("old", RETIRING)], "ES256") == standby
    assert heir([key("old", RETIRING)], "ES256") is None


def test_each_algorithm_has_a_first_of_its_own() -> None:
    keys = [
        key("a", ACTIVE, 0),
        key("b", PENDING, 1, alg="EdDSA"),
        key("c", ACTIVE, alg="EdDSA"),
        key("d", ACTIVE, alg="RS256"),
    ]

    assert [listed_first(keys, alg).kid for alg in ("ES256", "EdDSA")] == ["a", "b"]  # type: ignore[union-attr]
    assert listed_first(keys, "RS256") is None


STATES = st.sampled_from([PENDING, ACTIVE, RETIRING, RETIRED, REVOKED])


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.tuples(STATES, st.none() | st.integers(0, 9))),
    st.permutations("abcdefgh"),
    st.integers(0, 8),
)
def test_a_list_that_was_put_into_force_is_in_force(
    there: dict[str, tuple[KeyState, int | None]], order: list[str], count: int
) -> None:
    keys = [key(kid, state, rank if state not in (RETIRED, REVOKED) else None) for kid, (state, rank) in there.items()]

    found = listing(keys, wanted(*order[:count]))

    ranks = {key.kid: key.rank for key in keys if key.rank is not None} if found is None else found.ranks
    after = [key(each.kid, each.state, ranks.get(each.kid)) for each in keys]
    after += [key(kid, PENDING, ranks[kid]) for kid in (found.added if found else ())]
    assert listing(after, wanted(*order[:count])) is None
    usable = [kid for kid in order[:count] if there.get(kid, (PENDING,))[0] not in (RETIRED, REVOKED)]
    first = listed_first(after, "ES256")
    assert (None if first is None else first.kid) == (usable[0] if usable else None)
