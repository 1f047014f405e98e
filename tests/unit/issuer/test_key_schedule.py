"""Moments of each day and week at which keys are rotated."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.keys.schedule import Schedule


def at(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("schedule", "now", "newest"),
    [
        ("03:00", "2027-01-06 02:59", "2027-01-05 03:00"),
        ("03:00", "2027-01-06 03:00", "2027-01-06 03:00"),
        ("Sun 03:00", "2027-01-06 12:00", "2027-01-03 03:00"),  # a Wednesday
        ("Wed 12:01", "2027-01-06 12:00", "2026-12-30 12:01"),
        ("Wed 12:00", "2027-01-06 12:00", "2027-01-06 12:00"),
        ("00:00", "2027-03-01 00:00", "2027-03-01 00:00"),
    ],
)
def test_the_newest_moment_is_the_last_one_that_has_come(schedule: str, now: str, newest: str) -> None:
    assert Schedule.parse(schedule).newest(at(now)) == at(newest)


@given(st.sampled_from(["00:00", "23:59", "Mon 00:00", "Sun 23:59"]), st.floats(0, 4e9))
def test_a_moment_is_never_ahead_and_never_further_back_than_its_period(text: str, now: float) -> None:
    schedule = Schedule.parse(text)
    period = 86_400 if schedule.weekday is None else 7 * 86_400

    assert 0 <= now - schedule.newest(now) < period
    assert Schedule.parse(str(schedule)) == schedule


@pytest.mark.parametrize(
    "text", ["", "3:00", "24:00", "03:60", "sunday 03:00", "Sun", "0 3 * * 0", "03:00 Sun", "Sun  03:00"]
)
def test_what_is_no_moment_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(ValueError, match="write 03:00 or Sun 03:00"):
        Schedule.parse(text)
