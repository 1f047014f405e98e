"""The memory of tokens that were verified before."""

from typing import Any

import pytest

from events import KeyState
from tests.simulator import IssuerSimulator, Listener
from verifier_agent.verified_tokens import VerifiedTokens

ENTRY: Any = object()


def remember(tokens: VerifiedTokens, *texts: str) -> None:
    for text in texts:
        tokens.add(text, ENTRY, tokens.current)


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_no_more_are_held_than_there_is_room_for(size: int) -> None:
    tokens = VerifiedTokens(size)
    for number in range(100):
        remember(tokens, str(number))

        assert len(tokens) <= size
        assert str(number) in tokens.current


def test_nothing_is_remembered_without_room() -> None:
    tokens = VerifiedTokens(0)
    remember(tokens, "token")

    assert len(tokens) == 0


def test_a_token_in_use_stays_through_a_flood_of_tokens_used_once() -> None:
    tokens = VerifiedTokens(100)
    remember(tokens, "in use")
    for number in range(10_000):
        remember(tokens, f"once {number}")
        if number % 40 == 0 and "in use" not in tokens.current:
            assert tokens.aside.get("in use") is ENTRY
            remember(tokens, "in use")


def test_as_many_tokens_as_there_is_room_for_stay_while_they_are_used_in_turn() -> None:
    tokens, texts = VerifiedTokens(100), [str(number) for number in range(100)]
    remember(tokens, *texts)
    for text in 10 * texts:
        if text not in tokens.current:
            assert tokens.aside.get(text) is ENTRY
            remember(tokens, text)


def test_all_are_judged_again_after_a_turn_and_none_is_lost() -> None:
    tokens = VerifiedTokens(100)
    remember(tokens, *map(str, range(50)))
    for _ in range(1000):
        tokens.turn()

    assert not tokens.current
    assert all(tokens.aside.get(str(number)) is ENTRY for number in range(50))


def test_what_was_judged_before_a_turn_is_not_remembered() -> None:
    tokens = VerifiedTokens(100)
    judged = tokens.current
    tokens.turn()
    tokens.add("late", ENTRY, judged)

    assert "late" not in tokens.current
    assert tokens.aside.get("late") is None


def test_the_tokens_of_a_key_are_purged_with_it(issuer: IssuerSimulator, listener: Listener) -> None:
    for _ in range(3):
        listener.verify(issuer.token())
    assert len(listener.verifier.verified) == 3

    listener.hear(issuer.publish_key(issuer.key, KeyState.REVOKED))

    assert len(listener.verifier.verified) == 0
