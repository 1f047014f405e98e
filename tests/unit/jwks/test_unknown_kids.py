"""What is answered for a kid that no document has, to whom, and what it costs."""

import pytest

from tests.unit.jwks.foreign_issuer import KeysOverTime, document, found
from verifier_agent.jwks import Missing
from verifier_agent.jwks.unknown_kids import (
    MAX_ABSENT,
    MAX_CALLERS,
    MAX_WANTED,
    MAX_WANTED_BY_CALLER,
    UnknownKids,
)


def test_an_unknown_kid_wants_a_refresh_no_sooner_than_the_spacing_allows() -> None:
    over_time = KeysOverTime(spacing=2)

    assert over_time.find("three") is Missing.PERHAPS
    assert over_time.keys.next_refresh() == over_time.now + 2


def test_a_kid_that_the_refresh_brings_is_found() -> None:
    over_time = KeysOverTime()
    over_time.find("three")
    over_time.load("one", "two", "three")

    assert found(over_time.find("three"))


def test_a_kid_that_the_refresh_does_not_bring_is_known_to_be_absent() -> None:
    over_time = KeysOverTime()
    over_time.find("three")
    over_time.load("one", "two")

    assert over_time.find("three") is Missing.UNKNOWN
    assert over_time.keys.negative_hits == 1


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 30), (0.5, 45), (1.0, 60)])
def test_absence_is_believed_for_a_time_of_chance(chance: float, seconds: float) -> None:
    unknown = UnknownKids(30, lambda: chance)
    unknown.ask("three", "attacker", 0.0)
    unknown.settle({}, 0.0, 0.0)

    assert unknown.ask("three", "somebody", seconds - 0.01) is Missing.UNKNOWN
    assert unknown.ask("three", "somebody", seconds) is Missing.PERHAPS


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 30), (0.5, 37.5), (1.0, 45)])
def test_who_named_a_key_that_did_not_exist_waits_for_a_time_of_chance(chance: float, seconds: float) -> None:
    unknown = UnknownKids(30, lambda: chance)
    unknown.ask("three", "attacker", 0.0)
    unknown.settle({}, 0.0, 0.0)

    assert unknown.ask("four", "attacker", seconds - 0.01) is Missing.COOLING_DOWN
    assert unknown.refused_by_cool_down == 1
    assert unknown.ask("four", "attacker", seconds) is Missing.PERHAPS


def test_who_named_a_key_that_did_exist_need_not_wait() -> None:
    over_time = KeysOverTime()
    over_time.find("three", "gateway")
    over_time.load("one", "two", "three")

    assert over_time.find("four", "gateway") is Missing.PERHAPS


def test_a_failure_is_nobodys_fault_and_the_kid_stays_wanted() -> None:
    unknown = UnknownKids(30, lambda: 0.5)
    unknown.ask("three", "somebody", 0.0)

    assert unknown.wanted
    assert unknown.ask("four", "somebody", 10.0) is Missing.PERHAPS


def test_a_document_asked_for_before_the_kid_was_named_says_nothing_of_it() -> None:
    over_time = KeysOverTime()
    over_time.begin()
    over_time.now += 1
    over_time.find("three")
    over_time.keys.refreshed(document("one", "two"), None, over_time.now)

    assert over_time.find("three") is Missing.PERHAPS
    assert over_time.keys.wants_refresh(over_time.now + 2)


def test_who_must_wait_gets_nothing_out_of_what_he_named_while_a_refresh_was_under_way() -> None:
    over_time = KeysOverTime()
    over_time.find("bad", "attacker")
    over_time.begin()
    over_time.now += 1
    over_time.find("worse", "attacker")
    over_time.find("three", "somebody")
    over_time.keys.refreshed(document("one"), None, over_time.now)

    assert over_time.find("worse", "attacker") is Missing.COOLING_DOWN
    assert over_time.find("three", "somebody") is Missing.PERHAPS


def test_a_kid_longer_than_any_document_may_have_is_unknown_and_not_kept() -> None:
    unknown = UnknownKids(30, lambda: 0.5)

    assert unknown.ask("k" * 257, None, 0.0) is Missing.UNKNOWN
    assert unknown.sizes == (0, 0, 0)


def test_callers_who_are_not_told_apart_wait_together() -> None:
    over_time = KeysOverTime()
    over_time.find("bad")
    over_time.load("one")

    assert over_time.find("three") is Missing.COOLING_DOWN
    assert over_time.find("three", "somebody") is Missing.PERHAPS


@pytest.mark.parametrize("caller", ["", "#", "=", "c" * 100_000, "c" * 100_000 + "d", "\ud800" * 200])
def test_each_caller_is_another_one_however_long_its_name(caller: str) -> None:
    unknown = UnknownKids(30, lambda: 0.5)
    unknown.ask("bad", caller, 0.0)
    unknown.settle({}, 0.0, 0.0)

    assert unknown.ask("worse", caller, 1.0) is Missing.COOLING_DOWN
    for other in (None, "somebody", "c" * 100_001):
        assert unknown.ask("three", other, 1.0) is Missing.PERHAPS


def test_a_caller_can_have_few_kids_wait_at_once() -> None:
    unknown = UnknownKids(30, lambda: 0.5)
    answers = [unknown.ask(f"kid {number}", "attacker", 0.0) for number in range(1000)]

    assert answers.count(Missing.PERHAPS) == MAX_WANTED_BY_CALLER
    assert unknown.refused_by_cool_down == 1000 - MAX_WANTED_BY_CALLER


def test_everything_that_is_held_has_a_bound() -> None:
    unknown = UnknownKids(30, lambda: 0.5)
    for turn in range(40):
        for number in range(300):
            unknown.ask(f"kid {turn} {number}", f"caller {turn} {number}", float(turn))
        unknown.settle({}, float(turn), float(turn))

    absent, callers, wanted = unknown.sizes
    assert absent == MAX_ABSENT
    assert callers == MAX_CALLERS
    assert wanted == 0


def test_when_too_many_kids_wait_a_further_one_profits_from_the_same_refresh() -> None:
    over_time = KeysOverTime()
    for number in range(MAX_WANTED):
        over_time.find(f"bad {number}", f"attacker {number}")

    assert over_time.find("three", "somebody") is Missing.PERHAPS
    over_time.load("three")
    assert found(over_time.find("three", "somebody"))
