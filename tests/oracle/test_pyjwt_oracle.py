"""Whatever token is made, verifier and PyJWT agree about it, or the verifier is stricter for a reason in a table."""

import sys
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import pytest

from tests.oracle.changes import CHANGES
from tests.oracle.pyjwt_verdict import Oracle, at_noon
from tests.oracle.recipe import good_recipe, publish
from tests.oracle.spellings import SPELLINGS
from tests.oracle.stricter import LEFT_OPEN, STRICTER, read
from tests.simulator import AUDIENCE, IssuerSimulator, Listener

SEEDS: Final = range(1, 9)
TOKENS: Final = 750
"""For each seed."""


@dataclass
class Agreement:
    """Verdicts compared so far."""

    listener: Listener
    oracle: Oracle
    both: Counter[str] = field(default_factory=Counter)
    stricter: Counter[str] = field(default_factory=Counter)

    def compare(self, token: str, audience: str | None) -> None:
        """Both accept and read the same claims, or both reject, or the table says why not."""
        rejection = self.listener.rejection(token, audience=audience)
        claims = self.oracle.claims(token, audience=audience)
        if rejection is None:
            assert claims is not None, "laxer than PyJWT"
            assert self.listener.verify(token, audience=audience).raw == claims
            self.both["accept"] += 1
        elif claims is None:
            self.both["reject"] += 1
        else:
            reasons = [name for name, row in STRICTER.items() if row.holds(read(token))]
            assert reasons or LEFT_OPEN.holds(read(token)), f"stricter than PyJWT, without a reason: {rejection}"
            self.both["stricter"] += 1
            self.stricter.update(reasons)


@pytest.fixture(scope="module")
def agreement() -> Agreement:
    issuer = IssuerSimulator()
    oracle = Oracle(publish(issuer))
    return Agreement(Listener.caught_up(issuer), oracle)


def made(random: Random) -> tuple[str, list[str]]:
    """A token, and what was done to a good one to make it."""
    recipe = good_recipe(random)
    changes = random.choices(CHANGES, k=random.choice((0, 1, 1, 1, 1, 1, 2, 3)))
    spellings = random.choices(SPELLINGS, k=random.choice((0, 0, 0, 1)))
    for change in changes:
        change(recipe)
    token = recipe.signed()
    for spelling in spellings:
        token = spelling(random, token)
    return token, [step.__name__ for step in (*changes, *spellings)]


def compare_many(agreement: Agreement, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - the same tokens in each run
    for number in range(TOKENS):
        token, done = made(random)
        audience: Any = random.choice([AUDIENCE, AUDIENCE, AUDIENCE, None, "x"])
        try:
            agreement.compare(token, audience)
        except AssertionError as disagreement:
            disagreement.add_note(f"seed {seed}, token {number}, audience {audience}, made by {done}: {token}")
            raise


def test_both_accept_or_both_reject(agreement: Agreement) -> None:
    with at_noon():
        for seed in SEEDS:
            compare_many(agreement, seed)
    compared = agreement.both.total()
    sys.stdout.write(f"\n{compared} tokens: {dict(agreement.both)}, by {dict(agreement.stricter)}\n")

    assert compared == len(SEEDS) * TOKENS
    assert min(agreement.both["accept"], agreement.both["reject"]) > compared / 5  # there was something to agree about
    assert set(agreement.stricter) == set(STRICTER)  # no row hides a difference that is gone


@pytest.mark.parametrize("name", ["sub", "iat", "nbf", "jti"])
def test_null_is_not_taken_for_an_absent_claim(agreement: Agreement, name: str) -> None:
    recipe = good_recipe(Random(0))  # noqa: S311
    recipe.payload[name] = None
    with at_noon():
        agreement.compare(recipe.signed(), AUDIENCE)
