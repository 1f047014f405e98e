"""Proof Key for Code Exchange."""

import pytest

from issuer.authorization.pkce import challenge_of, is_challenge, verifies

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_the_example_of_rfc_7636_appendix_b() -> None:
    assert challenge_of(VERIFIER) == CHALLENGE
    assert verifies(VERIFIER, CHALLENGE)
    assert is_challenge(CHALLENGE)


@pytest.mark.parametrize(
    "verifier",
    ["", VERIFIER[:-1], VERIFIER + "x", CHALLENGE, VERIFIER.upper(), VERIFIER + "\n", VERIFIER + "=", "é" * 43],
)
def test_any_other_verifier_is_refused(verifier: str) -> None:
    assert not verifies(verifier, CHALLENGE)


def test_a_verifier_of_42_or_129_characters_is_none() -> None:
    for length, good in ((42, False), (43, True), (128, True), (129, False)):
        assert verifies("a" * length, challenge_of("a" * length)) is good


@pytest.mark.parametrize(
    "challenge", ["", CHALLENGE[:-1], CHALLENGE + "=", CHALLENGE + "A", "+" * 43, CHALLENGE[:-1] + "\n"]
)
def test_what_is_no_hash_is_no_challenge(challenge: str) -> None:
    assert not is_challenge(challenge)
