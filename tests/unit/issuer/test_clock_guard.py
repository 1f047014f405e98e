"""A store clock that leaps ahead is not passed on, until it has stayed there."""

import pytest

from issuer.outbox.clock_guard import HOLD_SECONDS, LEAP_SECONDS, ClockGuard

NOON = 1_800_000_000.0


@pytest.fixture
def guard() -> ClockGuard:
    """One that has seen noon, when this machine had been up for 1000 s."""
    made = ClockGuard()
    assert made.trusts(NOON, 1000.0)
    return made


def test_a_clock_that_goes_as_ours_does_is_trusted(guard: ClockGuard) -> None:
    assert all(guard.trusts(NOON + second, 1000.0 + second) for second in range(1, 100))


def test_a_leap_ahead_is_not_passed_on_and_the_true_time_after_it_is(guard: ClockGuard) -> None:
    assert not guard.trusts(NOON + 90_000, 1001.0)
    assert guard.trusts(NOON + 2, 1002.0)


def test_small_leaps_do_not_add_up_to_a_large_one_that_is_noticed_late(guard: ClockGuard) -> None:
    assert guard.trusts(NOON + LEAP_SECONDS, 1000.5)
    assert not guard.trusts(NOON + 3 * LEAP_SECONDS, 1001.0)


def test_a_clock_that_was_put_back_is_trusted_at_once(guard: ClockGuard) -> None:
    assert guard.trusts(NOON - 90_000, 1001.0)


def test_a_process_that_slept_while_its_machine_went_on_trusts_the_clock(guard: ClockGuard) -> None:
    assert guard.trusts(NOON + 90_000, 91_000.0)


def test_a_clock_that_stays_ahead_is_believed_in_the_end(guard: ClockGuard) -> None:
    assert not guard.trusts(NOON + 90_000, 1001.0)
    assert not guard.trusts(NOON + 90_000 + HOLD_SECONDS / 2, 1001.0 + HOLD_SECONDS / 2)
    assert guard.trusts(NOON + 90_000 + HOLD_SECONDS, 1001.0 + HOLD_SECONDS)
