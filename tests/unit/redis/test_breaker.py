"""When Redis is left alone."""

from hypothesis import given
from hypothesis import strategies as st

from verifier_agent.redis.breaker import Breaker, BreakerState


def breaker() -> Breaker:
    return Breaker(threshold=3, first_pause=1.0, last_pause=4.0, chance=lambda: 1.0)


def opened() -> Breaker:
    one = breaker()
    assert one.admit(0.0)
    one.failed(0.0, timed_out=True)
    return one


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    one = breaker()
    for _ in range(2):
        assert one.admit(0.0)
        one.failed(0.0)
    assert one.admit(0.0)
    one.succeeded()
    for _ in range(2):
        assert one.admit(0.0)
        one.failed(0.0)

    assert one.opened == 0
    one.failed(0.0)
    assert one.state is BreakerState.OPEN
    assert not one.admit(0.5)
    assert one.refused == 1


def test_one_time_out_opens_it() -> None:
    assert opened().state is BreakerState.OPEN


def test_after_the_pause_one_call_is_let_through_and_no_other_until_it_is_known() -> None:
    one = opened()

    assert not one.admit(0.99)
    assert one.admit(1.0)
    assert one.state is BreakerState.HALF_OPEN
    assert not one.admit(1.0)
    one.succeeded()
    assert one.admit(1.0)
    assert one.admit(1.0)


def test_a_probe_that_fails_doubles_the_pause_up_to_a_bound() -> None:
    one, now, pauses = opened(), 0.0, []
    for _ in range(4):
        pauses.append(one.pause_left(now))
        now += pauses[-1]
        assert one.admit(now)
        one.failed(now)

    assert pauses == [1.0, 2.0, 4.0, 4.0]
    assert one.opened == 5


def test_a_success_makes_the_pause_short_again() -> None:
    one = opened()
    assert one.admit(1.0)
    one.failed(1.0)
    assert one.admit(3.0)
    one.succeeded()
    one.failed(3.0, timed_out=True)

    assert one.pause_left(3.0) == 1.0


def test_a_probe_that_was_given_up_makes_room_for_another() -> None:
    one = opened()
    assert one.admit(1.0)
    one.abandoned()

    assert one.admit(1.0)


def test_an_answer_to_what_was_asked_before_it_opened_does_not_close_it() -> None:
    one = opened()
    one.succeeded()

    assert one.state is BreakerState.OPEN


def test_failures_of_calls_made_before_do_not_prolong_the_pause() -> None:
    one = opened()
    one.failed(0.9, timed_out=True)

    assert one.admit(1.0)


def test_half_of_the_pause_is_by_chance() -> None:
    one = Breaker(first_pause=1.0, chance=lambda: 0.0)
    one.failed(0.0, timed_out=True)

    assert one.pause_left(0.0) == 0.5


@given(st.lists(st.tuples(st.sampled_from(["ok", "failed", "timed_out", "abandoned"]), st.floats(0, 3)), max_size=60))
def test_whatever_happens_a_call_is_let_through_again(history: list[tuple[str, float]]) -> None:
    one, now = breaker(), 0.0
    for outcome, seconds in history:
        now += seconds
        if not one.admit(now):
            continue
        if outcome == "ok":
            one.succeeded()
        elif outcome == "abandoned":
            one.abandoned()
        else:
            one.failed(now, timed_out=outcome == "timed_out")

    assert one.admit(now + 4.0)
