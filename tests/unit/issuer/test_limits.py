"""Rates, the buckets that hold them, and what is refused when they are empty."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.errors import OAuthError
from issuer.limits.buckets import Buckets
from issuer.limits.rate import Rate
from issuer.limits.request_limits import Limit, RequestLimits
from tests.unit.issuer.test_settings import settings


class StillClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at

    def boot(self) -> float:
        return self.at


@pytest.mark.parametrize(
    ("text", "interval", "burst"),
    [("50/s burst 500", 0.02, 500), ("30/m", 2.0, 1), ("2/s", 0.5, 2), (" 1.5 / h  burst 3 ", 2400.0, 3)],
)
def test_a_rate_is_read(text: str, interval: float, burst: int) -> None:
    rate = Rate.parse(text)

    assert rate is not None
    assert rate.interval == pytest.approx(interval)
    assert rate.burst == burst


def test_off_is_no_rate() -> None:
    assert Rate.parse("off") is None


@pytest.mark.parametrize(
    "text", ["", "50", "0/s", "-1/s", "5/d", "5/s burst 0", "5/s burst 000", "5/s burst -1", "1e9/s"]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no rate"):
        Rate.parse(text)


def test_a_burst_is_let_through_and_then_one_an_interval() -> None:
    buckets = Buckets(Rate(interval=2.0, burst=3))

    assert [buckets.take("a", 100.0) for _ in range(4)] == [0, 0, 0, 2.0]
    assert buckets.take("a", 101.5) == 0.5
    assert buckets.take("a", 102.0) == 0
    assert buckets.take("a", 102.0) == 2.0
    assert buckets.take("b", 102.0) == 0


gaps = st.lists(st.floats(0, 5, allow_nan=False), max_size=80)


@given(interval=st.floats(0.001, 3), burst=st.integers(1, 10), gaps=gaps)
def test_in_no_stretch_of_time_is_more_let_through_than_burst_and_rate_allow(
    interval: float, burst: int, gaps: list[float]
) -> None:
    buckets, now, taken = Buckets(Rate(interval=interval, burst=burst)), 1e6, []
    for gap in gaps:
        now += gap
        if buckets.take("a", now) == 0:
            taken.append(now)

    for first, start in enumerate(taken):
        for count, end in enumerate(taken[first:], start=1):
            assert count <= burst + (end - start) / interval + 1e-3


@given(interval=st.floats(0.01, 3), burst=st.integers(1, 10), gaps=gaps)
def test_who_waits_as_long_as_he_is_told_is_let_through(interval: float, burst: int, gaps: list[float]) -> None:
    buckets, now = Buckets(Rate(interval=interval, burst=burst)), 1e6
    for gap in gaps:
        now += gap
        wait = buckets.take("a", now)
        assert 0 <= wait <= interval + 1e-6
        if wait:
            now += wait
            assert buckets.take("a", now + interval * 1e-6) == 0


@given(times=st.lists(st.floats(0, 100), max_size=40))
def test_a_clock_that_is_put_back_holds_nobody_back_for_longer_than_an_empty_bucket(times: list[float]) -> None:
    buckets = Buckets(Rate(interval=2.0, burst=3))
    for now in times:
        assert 0 <= buckets.take("a", now) <= 2.0 + 1e-6


def test_however_many_keys_come_no_more_are_held_than_there_is_room_for() -> None:
    buckets = Buckets(Rate(interval=1.0, burst=2), most_keys=100)
    for number in range(1000):
        buckets.take(number, 50.0)
        assert len(buckets) <= 100


def test_a_flood_of_made_up_keys_gives_nobody_a_new_bucket_who_is_held_back() -> None:
    buckets = Buckets(Rate(interval=1.0, burst=5), most_keys=100)
    while not buckets.take("greedy", 50.0):
        pass

    for number in range(1000):
        buckets.take(number, 50.0)

    assert buckets.take("greedy", 50.0) > 0


def test_buckets_that_are_full_again_make_room_first() -> None:
    buckets = Buckets(Rate(interval=1.0, burst=5), most_keys=3)
    for key in "ab":
        buckets.take(key, 0.0)
    for _ in range(3):
        buckets.take("c", 4.0)

    buckets.take("d", 4.0)

    assert len(buckets) == 2


def test_each_limit_and_each_client_has_a_bucket_of_its_own_and_refusals_are_counted() -> None:
    limits = RequestLimits(settings(client_token_rate="1/s", client_revocation_rate="1/m"), StillClock())
    limits.client(Limit.TOKEN, "a")
    limits.client(Limit.REVOCATION, "a")
    limits.client(Limit.TOKEN, "b")

    with pytest.raises(OAuthError) as refused:
        limits.client(Limit.REVOCATION, "a")

    assert (refused.value.status, refused.value.error) == (429, "temporarily_unavailable")
    assert refused.value.retry_after == pytest.approx(60)
    assert limits.refused[Limit.REVOCATION] == 1
    assert limits.refused[Limit.TOKEN] == 0


def test_a_limit_that_is_off_and_an_address_that_says_nothing_hold_nobody_back() -> None:
    limits = RequestLimits(settings(client_token_rate="off", address_rate="1/h"), StillClock())
    for _ in range(100):
        limits.client(Limit.TOKEN, "a")
        limits.address(None)
    limits.address("192.0.2.1")
    with pytest.raises(OAuthError, match="address"):
        limits.address("192.0.2.1")
