"""That becoming stale, and fresh again, is told once."""

import math

import pytest

from verifier_agent.staleness import StalenessWatch, is_stale


@pytest.mark.parametrize(
    ("age", "stale"), [(0.0, False), (900.0, False), (900.1, True), (None, True), (math.nan, True)]
)
def test_what_was_never_complete_is_stale_like_what_is_too_old(age: float | None, stale: bool) -> None:
    assert is_stale(age, 900) is stale


def test_each_change_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    ages: list[float | None] = [None, None, 0.5, 1.0, 899.0, 901.0, 905.0, None, 0.2, 0.3]
    watch = StalenessWatch("https://issuer.example", lambda: ages[0], 900)
    told = []
    while ages:
        watch.look()
        told.append([record.message for record in caplog.records])
        caplog.clear()
        del ages[0]

    assert told == [[], [], ["agent_fresh"], [], [], ["agent_stale"], [], [], ["agent_fresh"], []]
