"""How long somebody must wait before the next password is looked at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.users.login_rule import ACCOUNT_MAX_DELAY, Counted, Failures, LoginRule, Patience

RULE = LoginRule(attempts=5, max_delay=900)
NOW = 1e9


def wait(what: Counted, count: int, ago: float = 0.0) -> float:
    return RULE.wait({what: Failures(count, NOW - ago)}, NOW)


def test_the_first_failures_are_free_and_then_the_wait_doubles_up_to_its_bound() -> None:
    waits = [wait(Counted.HERE, count) for count in range(18)]

    assert waits == [0] * 5 + [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] + [900] * 3
    assert wait(Counted.HERE, 10_000) == 900


def test_strangers_failures_delay_strangers_for_a_minute_at_most() -> None:
    assert wait(Counted.ACCOUNT, 19) == 0
    assert wait(Counted.ACCOUNT, 20) == 1
    assert wait(Counted.ACCOUNT, 10_000) == ACCOUNT_MAX_DELAY


def test_an_address_may_fail_more_often_as_many_may_share_it() -> None:
    assert wait(Counted.ADDRESS, 49) == 0
    assert wait(Counted.ADDRESS, 50) == 1
    assert wait(Counted.ADDRESS, 10_000) == 900


def test_the_wait_passes_and_all_is_forgotten_in_the_end() -> None:
    assert wait(Counted.HERE, 8, ago=3) == 5
    assert wait(Counted.HERE, 8, ago=8) == 0
    assert wait(Counted.HERE, 8, ago=-100) == 8, "a clock that was put back"
    assert wait(Counted.ADDRESS, 10_000, ago=3600) == 0


def test_the_longest_of_all_that_apply_counts() -> None:
    counted = {Counted.HERE: Failures(6, NOW), Counted.ACCOUNT: Failures(25, NOW), Counted.ADDRESS: Failures(1, NOW)}

    assert RULE.wait(counted, NOW) == 32
    assert RULE.wait({}, NOW) == 0


def test_where_an_account_was_logged_in_before_strangers_and_neighbours_do_not_count() -> None:
    assert RULE.applying(has_address=True, is_known=True) == (Counted.HERE,)
    assert set(RULE.applying(has_address=True, is_known=False)) == set(Counted)
    assert RULE.applying(has_address=False, is_known=False) == (Counted.ACCOUNT,)


def test_who_waits_never_for_long_by_the_settings_does_not_by_a_strangers_failures_either() -> None:
    assert LoginRule(attempts=1, max_delay=2).wait({Counted.ACCOUNT: Failures(99, NOW)}, NOW) == 2


@given(
    gaps=st.lists(st.floats(0, 2000), max_size=200),
    free=st.integers(1, 10),
    longest=st.floats(1, 900),
)
def test_whoever_guesses_as_fast_as_allowed_gets_no_more_than_the_free_ones_and_one_for_each_wait(
    gaps: list[float], free: int, longest: float
) -> None:
    patience, now, failures, looked_at = Patience(free=free, longest=longest, forgets=1e9), NOW, Failures(0, 0.0), []
    for gap in gaps:
        now += gap
        if patience.wait(failures, now) == 0:
            looked_at.append(now)
            failures = Failures(failures.count + 1, now)

    for number, (before, after) in enumerate(zip(looked_at[free - 1 :], looked_at[free:], strict=False)):
        assert after - before >= min(longest, 2.0**number) - 1e-3


@pytest.mark.parametrize("count", [41, 10**6, 10**12])
def test_no_number_of_failures_breaks_the_sum(count: int) -> None:
    assert wait(Counted.HERE, count) == 900
