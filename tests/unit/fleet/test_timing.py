"""When an agent says how it is."""

from verifier_agent.fleet.timing import ACKNOWLEDGE_SECONDS, FIRST_BACKOFF, LAST_BACKOFF, RECEIPT_SECONDS, StatusTiming


def most(_low: float, high: float) -> float:
    return high


def least(low: float, _high: float) -> float:
    return low


def test_an_agent_speaks_at_once_when_it_has_not_spoken_yet() -> None:
    assert StatusTiming(5, most).due(0.0, {}) == 0.0


def test_it_speaks_again_within_its_pause_sooner_or_later() -> None:
    for jitter, expected in ((most, 105.0), (least, 104.0)):
        timing = StatusTiming(5, jitter)
        timing.said(100.0, {"keys": 1, "revocations": 1})
        assert timing.due(101.0, {"keys": 1, "revocations": 1}) == expected


def test_a_key_set_is_acknowledged_soon_and_revocations_after_a_moment() -> None:
    for jitter, spread in ((least, 0.0), (most, ACKNOWLEDGE_SECONDS)):
        timing = StatusTiming(60, jitter)
        timing.said(100.0, {"keys": 1, "revocations": 1})

        assert timing.due(110.0, {"keys": 1, "revocations": 2}) == 100.0 + RECEIPT_SECONDS
        assert timing.due(101.0, {"keys": 2, "revocations": 1}) == 101.0 + spread
        assert timing.due(102.0, {"keys": 3, "revocations": 1}) == 101.0 + spread, "a later one does not put it off"

        timing.said(103.0, {"keys": 3, "revocations": 1})
        assert timing.due(103.5, {"keys": 4, "revocations": 1}) == 103.5 + spread


def test_after_failures_it_waits_longer_each_time_also_with_news_and_begins_anew_after_success() -> None:
    timing = StatusTiming(5, most)
    timing.said(0.0, {"keys": 1})
    pauses = []
    for _ in range(12):
        timing.failed(1000.0)
        pauses.append(timing.due(1000.0, {"keys": 2}) - 1000.0)

    assert pauses[:3] == [FIRST_BACKOFF, 2 * FIRST_BACKOFF, 4 * FIRST_BACKOFF]
    assert pauses[-1] == LAST_BACKOFF
    timing.said(1000.0, {"keys": 2})
    timing.failed(1000.0)
    assert timing.due(1000.0, {"keys": 3}) == 1000.0 + FIRST_BACKOFF
