"""What is known of a foreign issuer's keys, and when it is asked again."""

import pytest

from tests.unit.jwks.foreign_issuer import ISSUER, KeysOverTime, document, found, jwk
from verifier_agent.jwks import FailureCode, ForeignIssuer, ForeignKeys, JwksFailed, Missing

AWAY = JwksFailed(FailureCode.UNREACHABLE, "away")


# -- looking up


def test_a_known_key_is_found_and_counted() -> None:
    over_time = KeysOverTime()

    assert found(over_time.find("one")).kid == "one"
    assert over_time.keys.hits == 1


def test_nothing_can_be_said_before_the_first_document() -> None:
    keys = ForeignKeys(ForeignIssuer(issuer=ISSUER))

    assert keys.find("one", 0.0) is Missing.UNAVAILABLE
    assert keys.wants_refresh(0.0)


def test_a_key_stays_the_same_object_from_document_to_document() -> None:
    over_time = KeysOverTime()
    before = over_time.find("one")
    over_time.load("one")

    assert over_time.find("one") is before


# -- documents


def test_a_key_that_has_gone_stops_verifying_at_once_and_is_named() -> None:
    over_time = KeysOverTime()

    assert over_time.load("two", "three") == {"one"}
    assert over_time.find("one") is Missing.UNKNOWN
    assert found(over_time.find("three"))
    assert over_time.keys.epoch == 1


def test_another_key_under_the_same_kid_replaces_it_and_is_named() -> None:
    over_time = KeysOverTime()
    before = over_time.find("one")

    assert over_time.load(jwk("other", kid="one"), "two") == {"one"}
    assert over_time.find("one") not in (before, *Missing)
    assert over_time.keys.epoch == 1


def test_a_key_that_cannot_be_used_any_more_stops_verifying() -> None:
    over_time = KeysOverTime()

    assert over_time.load(jwk("one", use="enc"), "two") == {"one"}
    assert over_time.keys.skipped


def test_further_keys_move_no_epoch() -> None:
    over_time = KeysOverTime()

    assert over_time.load("one", "two", "three") == frozenset()
    assert over_time.keys.epoch == 0


def test_who_holds_the_keys_of_one_document_never_sees_another() -> None:
    over_time = KeysOverTime()
    held = over_time.keys.keys
    over_time.load("three")

    assert set(held) == {"one", "two"}


def test_old_tokens_of_a_key_that_has_gone_cause_no_refresh() -> None:
    over_time = KeysOverTime()
    over_time.load("two")

    assert over_time.find("one") is Missing.UNKNOWN
    assert not over_time.keys.wants_refresh(over_time.now + 2)


def test_a_key_that_comes_back_is_found_at_once() -> None:
    over_time = KeysOverTime()
    over_time.load("two")
    over_time.load("one", "two")

    assert found(over_time.find("one"))


def test_a_key_that_comes_while_it_is_looked_for_is_found() -> None:
    over_time = KeysOverTime()
    new = document("three").keys

    class Overtaken:
        """A lock that is had only after a refresh."""

        def __enter__(self) -> None:
            over_time.keys.keys = new

        def __exit__(self, *_: object) -> None: ...

    over_time.keys._lock = Overtaken()  # type: ignore[assignment]

    assert over_time.find("three") is new["three"]


# -- failures


def test_a_failed_refresh_takes_no_key_away() -> None:
    over_time = KeysOverTime()
    over_time.fail(AWAY)

    assert found(over_time.find("one"))
    assert over_time.keys.last_error is AWAY
    assert (over_time.keys.refreshes, over_time.keys.failures) == (1, 1)


def test_keys_outlive_failures_up_to_max_stale_and_no_longer() -> None:
    over_time = KeysOverTime(max_stale=3600)
    over_time.now += 3599
    over_time.fail(AWAY)
    assert found(over_time.find("one"))

    over_time.now += 1
    assert over_time.find("one") is Missing.UNAVAILABLE
    assert over_time.find("three") is Missing.UNAVAILABLE
    assert over_time.keys.usable_until == over_time.now


def test_a_good_document_after_max_stale_makes_them_count_again() -> None:
    over_time = KeysOverTime(max_stale=3600)
    over_time.now += 10_000
    over_time.load("one")

    assert found(over_time.find("one"))
    assert over_time.keys.last_error is None


def test_staleness_is_counted_from_when_the_document_was_asked_for() -> None:
    over_time = KeysOverTime(max_stale=3600)
    asked = over_time.now
    over_time.begin()
    over_time.now += 4
    over_time.keys.refreshed(document("one"), None, over_time.now)

    assert over_time.keys.usable_until == asked + 3600


def test_pauses_between_failures_grow_up_to_the_cool_down() -> None:
    over_time = KeysOverTime()
    over_time.now += 900
    pauses = []
    for _ in range(7):
        over_time.fail(AWAY)
        pauses.append(over_time.keys.next_refresh() - over_time.now)
        over_time.now = over_time.keys.next_refresh()

    assert pauses == [3.0, 6.0, 12.0, 22.5, 22.5, 22.5, 22.5]


def test_a_thousand_failures_in_a_row_are_no_different() -> None:
    over_time = KeysOverTime()
    over_time.now += 900
    for _ in range(1000):
        over_time.fail(AWAY)

    assert over_time.keys.next_refresh() == over_time.now + 22.5


def test_no_unknown_kid_shortens_the_pause_after_a_failure() -> None:
    over_time = KeysOverTime()
    over_time.find("three")
    over_time.fail(AWAY)

    assert over_time.keys.next_refresh() == over_time.now + 3


# -- periods


@pytest.mark.parametrize(
    ("max_age", "period"), [(None, 855), (0, 63), (10, 63), (60, 63), (300, 300), (900, 855), (86_400, 855)]
)
def test_the_period_is_max_age_within_bounds(max_age: float | None, period: float) -> None:
    over_time = KeysOverTime(min_refresh=60, max_refresh=900)
    over_time.load("one", max_age=max_age)

    assert over_time.keys.next_refresh() == over_time.now + period


@pytest.mark.parametrize(("chance", "period"), [(0.0, 270), (0.5, 300), (1.0, 330)])
def test_periods_differ_by_chance(chance: float, period: float) -> None:
    keys = ForeignKeys(ForeignIssuer(issuer=ISSUER), lambda: chance)
    keys.begin(0.0)
    keys.refreshed(document("one"), 300, 1.0)

    assert keys.next_refresh() == pytest.approx(period)


def test_word_that_nothing_has_changed_begins_a_new_period() -> None:
    over_time = KeysOverTime()
    over_time.now += 900
    over_time.begin()
    over_time.keys.confirmed(300, over_time.now)

    assert over_time.keys.next_refresh() == over_time.now + 300
    assert over_time.keys.usable_until == over_time.now + 86_400
    assert over_time.keys.refreshes == 2


# -- one at a time


def test_there_is_one_refresh_at_a_time() -> None:
    over_time = KeysOverTime()
    over_time.begin()

    assert over_time.keys.in_flight
    assert not over_time.keys.wants_refresh(over_time.now + 10_000)
    with pytest.raises(RuntimeError):
        over_time.begin()


def test_a_refresh_that_was_given_up_can_be_begun_anew() -> None:
    over_time = KeysOverTime()
    over_time.begin()
    over_time.keys.abandoned()
    over_time.now += 900

    assert over_time.keys.wants_refresh(over_time.now)
    assert found(over_time.find("one"))


def test_whoever_refreshes_is_told_once_that_somebody_waits() -> None:
    over_time = KeysOverTime()
    told: list[bool] = []
    over_time.keys.on_wanted = lambda: told.append(True)
    for kid in ("one", "three", "four", "three"):
        over_time.find(kid)

    assert told == [True]
