"""Digests by the batch, held against a dict of sets."""

import random
from array import array
from collections.abc import Iterable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from events import TokenDigest
from events.digests import jti_digest, pack_digests
from verifier_agent import digest_index
from verifier_agent.digest_filter import PAIRS, DigestFilter
from verifier_agent.digest_index import FEW, MAX_UNSETTLED, STEP, DigestIndex, unpacked


def batch(digests: Iterable[int]) -> "array[int]":
    return array("Q", sorted(digests))


def strangers(number: int, seed: int) -> "array[int]":
    drawn = random.Random(seed)  # noqa: S311 - no secret
    return batch({drawn.getrandbits(64) for _ in range(number)})


class AnyOrder(RuleBasedStateMachine):
    """Batches come, are lifted and settle in any order; every look-up is right at every moment."""

    @initialize()
    def start(self) -> None:
        self.index = DigestIndex()
        self.batches: dict[int, set[TokenDigest]] = {}
        self.seq = 0

    @rule(
        first=st.integers(0, 3), size=st.sampled_from([1, 2, FEW, FEW + 1, 2 * FEW, STEP + 1]), step=st.integers(1, 3)
    )
    def a_batch_comes(self, first: int, size: int, step: int) -> None:
        self.seq += 1
        self.batches[self.seq] = set(map(TokenDigest, range(first, first + size * step, step)))
        self.index.add(self.seq, batch(self.batches[self.seq]))

    @rule(which=st.integers(0, 10))
    def one_is_lifted(self, which: int) -> None:
        there = which in self.batches
        self.batches.pop(which, None)

        assert self.index.remove(which) is there

    @rule(steps=st.integers(1, 4))
    def some_work_is_done(self, steps: int) -> None:
        for _ in range(steps):
            self.index.settle()

    @invariant()
    def it_finds_what_is_in_force(self) -> None:
        probes = [0, 1, 2, 3, 4, 7, FEW, FEW + 1, FEW + 2, 2 * FEW, 3 * FEW, STEP, STEP + 4, 3 * STEP, 2**64 - 1]
        found = [digest for digest in probes if TokenDigest(digest) in self.index]

        assert found == [digest for digest in probes if any(digest in held for held in self.batches.values())]
        assert found == [digest for digest in probes if self.index.holds_token(TokenDigest(digest), None)]
        assert len(self.index) == sum(map(len, self.batches.values()))
        assert {seq: set(unpacked(held)) for seq, held in self.index} == self.batches
        assert all(self.index.packed(seq) == pack_digests(held) for seq, held in self.batches.items())


AnyOrder.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
TestAnyOrder = AnyOrder.TestCase


def test_a_batch_counts_before_it_has_settled_and_after() -> None:
    index, held = DigestIndex(), strangers(10_000, seed=1)
    index.add(1, held)
    assert all(TokenDigest(digest) in index for digest in held[::97])

    while index.settle():
        pass

    assert all(TokenDigest(digest) in index for digest in held)
    assert not any(TokenDigest(digest) in index for digest in strangers(10_000, seed=2))


def test_work_is_left_to_settle_in_small_steps() -> None:
    index = DigestIndex()
    index.add(1, strangers(10 * STEP, seed=1))

    steps = 1
    while index.settle():
        steps += 1

    assert steps >= 10
    assert not index.settle()


def test_what_nobody_settles_is_bounded() -> None:
    index = DigestIndex()
    for seq in range(3 * MAX_UNSETTLED):
        index.add(seq, strangers(FEW + 1, seed=seq))

        assert len(index._unsettled) <= MAX_UNSETTLED


def test_a_batch_that_is_lifted_while_it_settles_is_gone() -> None:
    index, held = DigestIndex(), strangers(3 * STEP, seed=1)
    index.add(1, held)
    index.settle()
    index.remove(1)
    while index.settle():
        pass

    assert not any(TokenDigest(digest) in index for digest in held)
    assert len(index) == 0


def test_the_filter_grows_with_what_it_holds_and_forgets_what_is_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_index, "FIRST_CAPACITY", 1024)
    index = DigestIndex()
    for seq in range(1, 21):
        index.add(seq, strangers(1000, seed=seq))
        while index.settle():
            assert all(TokenDigest(digest) in index for digest in strangers(1000, seed=seq)[::101])
    grown = index._filter.capacity
    assert grown >= 20_000
    for seq in range(1, 21):  # also those that were in the filters before
        assert all(TokenDigest(digest) in index for digest in strangers(1000, seed=seq))

    for seq in range(1, 201):
        index.remove(seq)
        index.add(20 + seq, strangers(1000, seed=20 + seq))
        while index.settle():
            pass

    assert index._filter.capacity <= 2 * grown
    assert all(TokenDigest(digest) in index for digest in strangers(1000, seed=220))
    assert TokenDigest(strangers(1000, seed=200)[0]) not in index


def test_a_full_filter_lets_few_strangers_pass() -> None:
    passed = DigestFilter(1 << 14)
    held = strangers(passed.capacity, seed=1)
    passed.add(held)

    assert all(map(passed.may_hold, held))
    assert sum(map(passed.may_hold, strangers(100_000, seed=2))) < 100_000 / 100


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("size", [1, FEW, FEW + 1, 1000])
def test_a_token_is_found_by_either_digest_wherever_its_batch_is_kept(size: int, settled: bool) -> None:
    index, stranger, names = DigestIndex(), TokenDigest(strangers(1, seed=2)[0]), [f"jti-{n}" for n in range(size)]
    index.add(1, batch := array("Q", sorted(map(jti_digest, names))))
    while settled and index.settle():
        pass

    assert all(index.holds_token(TokenDigest(digest), "another") for digest in batch)
    assert all(index.holds_token(TokenDigest(digest), None) for digest in batch)
    assert all(index.holds_token(stranger, name) for name in names)
    assert not any(index.holds_token(TokenDigest(other), f"no {other}") for other in strangers(1000, seed=3))
    assert not index.holds_token(stranger, None)


def test_strangers_who_pass_the_first_byte_of_the_filter_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_index, "FIRST_CAPACITY", 64)
    index = DigestIndex()
    index.add(1, held := strangers(48, seed=1))
    while index.settle():
        pass
    marks, mask = index._filter.marks, index._filter.mask
    names = [f"stranger-{number}" for number in range(2000)]
    passing = [name for name in names if marks[jti_digest(name) & mask] & (two := PAIRS[jti_digest(name) >> 58]) == two]
    others = [name for name in names if name not in passing]

    assert len(passing) > 50
    assert not any(index.holds_token(jti_digest(others[0]), name) for name in passing)
    assert not any(index.holds_token(jti_digest(name), others[0]) for name in passing)
    assert all(index.holds_token(TokenDigest(digest), others[0]) for digest in held)


@pytest.mark.parametrize("size", [FEW - 1, FEW, FEW + 1])
def test_a_batch_of_any_size_is_gone_when_it_is_lifted(size: int) -> None:
    index, batch = DigestIndex(), strangers(size, seed=1)
    index.add(1, batch)
    assert all(TokenDigest(digest) in index for digest in batch)

    assert index.remove(1)
    assert not any(TokenDigest(digest) in index for digest in batch)
