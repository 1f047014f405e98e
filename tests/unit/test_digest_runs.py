"""Short batches joined to longer runs, held against a list of sets."""

import random
from array import array
from collections.abc import Iterable
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from verifier_agent import digest_runs
from verifier_agent.digest_runs import ALIKE, LONG, LONGEST, STEP, DigestRuns


def batch(digests: Iterable[int]) -> "array[int]":
    return array("Q", sorted(digests))


def drawn(number: int, seed: int) -> "array[int]":
    source = random.Random(seed)  # noqa: S311 - no secret
    return batch({source.getrandbits(64) for _ in range(number)})


def joined(*batches: "array[int]") -> DigestRuns:
    runs = DigestRuns()
    for each in batches:
        runs.add(each)
        while runs.join():
            pass
    return runs


class AnyOrder(RuleBasedStateMachine):
    """Batches come and go between any two steps of joining; every look-up is right at every moment."""

    @initialize()
    def start(self) -> None:
        self.usual = {name: getattr(digest_runs, name) for name in ("LONG", "LONGEST", "ALIKE", "STEP")}
        digest_runs.__dict__.update(LONG=50, LONGEST=100, ALIKE=2, STEP=3)
        self.runs = DigestRuns()
        self.held: list[array[int]] = []

    def teardown(self) -> None:
        if hasattr(self, "usual"):
            digest_runs.__dict__.update(self.usual)

    @rule(first=st.integers(0, 5), size=st.integers(1, 12), step=st.integers(1, 3))
    def a_batch_comes(self, first: int, size: int, step: int) -> None:
        self.held.append(batch(range(first, first + size * step, step)))
        self.runs.add(self.held[-1])

    @rule(which=st.integers(0, 10))
    def one_goes(self, which: int) -> None:
        if which < len(self.held):
            self.runs.remove(self.held.pop(which))

    @rule()
    def one_goes_that_is_not_there(self) -> None:
        self.runs.remove(batch(range(40)))

    @rule(steps=st.integers(1, 6))
    def some_work_is_done(self, steps: int) -> None:
        for _ in range(steps):
            self.runs.join()

    @rule()
    def all_work_is_done(self) -> None:
        while self.runs.join():
            pass
        assert len(self.runs) <= len(self.held)

    @invariant()
    def it_finds_what_is_in_force(self) -> None:
        found = {digest for digest in range(50) if self.runs.holds(digest)}

        assert found == set().union(*map(set, self.held))
        assert sorted(map(bytes, self.runs.batches())) == sorted(map(bytes, self.held))


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestAnyOrder = AnyOrder.TestCase


@pytest.mark.parametrize(("size", "number"), [(33, 2000), (257, 500), (5000, 30)])
def test_few_arrays_are_searched_however_many_batches_came(size: int, number: int) -> None:
    batches = [drawn(size, seed) for seed in range(number)]

    runs = joined(*batches)

    assert len(runs) < 3 * ALIKE + size * number / LONG
    assert all(runs.holds(each[seed % size]) for seed, each in enumerate(batches))
    assert not any(map(runs.holds, drawn(1000, seed=number)))


def test_long_batches_are_held_once() -> None:
    batches = [drawn(LONG, seed) for seed in range(ALIKE)]
    runs = DigestRuns()
    for each in batches:
        runs.add(each)

    assert not runs.join()
    assert len(runs) == ALIKE
    assert all(held is came for held, came in zip(runs.batches(), batches, strict=True))


def test_joining_is_done_in_small_steps_and_so_much_at_once() -> None:
    runs = DigestRuns()
    for seed in range(10 * ALIKE):
        runs.add(drawn(LONG - 1, seed))

    longest = 0
    for _ in range(3):
        before = len(runs)
        steps = next(steps for steps in count(1) if not runs.join() or len(runs) < before)
        longest = max(longest, steps)

    assert LONGEST / 2 / digest_runs.STEP <= longest <= LONGEST / digest_runs.STEP + 1


@pytest.mark.parametrize("steps", [1, 4, 8])
@pytest.mark.parametrize("which", [0, ALIKE - 1])
def test_what_goes_while_it_is_being_joined_is_gone_at_once_and_for_good(which: int, steps: int) -> None:
    batches = [drawn(STEP, seed) for seed in range(ALIKE)]
    runs = DigestRuns()
    for each in batches:
        runs.add(each)
    for _ in range(steps):
        assert runs.join()
    assert len(runs) == ALIKE  # it is not ready yet

    runs.remove(batches[which])
    assert not any(map(runs.holds, batches[which]))
    while runs.join():
        assert not any(map(runs.holds, batches[which][::100]))
    assert not any(map(runs.holds, batches[which]))
    assert len(runs) == 1
    assert sum(len(run.digests) for run in runs._runs) == (ALIKE - 1) * STEP


@pytest.mark.parametrize(("more", "joined_at_once"), [(0, 2 * ALIKE), (1, 2 * ALIKE - 1)])
def test_as_much_is_joined_at_once_as_there_is_time_for(more: int, joined_at_once: int) -> None:
    size = LONGEST // (2 * ALIKE)
    runs = DigestRuns()
    for seed in range(2 * ALIKE):
        runs.add(drawn(size + (more if seed == 0 else 0), seed))

    before = len(runs)
    while len(runs) == before:
        assert runs.join()

    assert len(runs) == before - joined_at_once + 1


def test_what_goes_from_a_run_is_gone_at_once_and_from_memory_later() -> None:
    shared = 7
    batches = [batch([shared, 100 + number]) for number in range(ALIKE)]
    runs = joined(*batches)
    assert len(runs) == 1

    for number, each in enumerate(batches[:-1]):
        runs.remove(each)
        assert not runs.holds(100 + number)
        assert runs.holds(shared)
        assert all(runs.holds(100 + other) for other in range(number + 1, ALIKE))
    while runs.join():
        pass
    assert [list(run.digests) for run in runs._runs] == [[shared, 100 + ALIKE - 1]]

    runs.remove(batches[-1])
    assert not runs.holds(shared)
    assert len(runs) == 0


def test_nothing_is_left_to_do_when_nothing_has_changed() -> None:
    runs = joined(*[drawn(40, seed) for seed in range(ALIKE + 1)])

    assert len(runs) == 2
    assert not runs.join()
    assert not runs._changed
