"""Devices that wait to be let in: user codes, how often a device may ask, how often a person may be wrong."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.devices.device import (
    GOOD_FOR_SECONDS,
    INTERVAL_SECONDS,
    LEEWAY_SECONDS,
    SLOWER_BY_SECONDS,
    Answer,
    Approval,
    Device,
)
from issuer.devices.guessing import MOST_WRONG, WINDOW_SECONDS, Guesses
from issuer.devices.user_code import LENGTH, LETTERS, new_user_code, read_user_code, shown

NOON = 1_800_000_000.0
ALICE = Approval(sub="alice", sid="s", gsq=7, auth_time=NOON, amr=("pwd",))


def waiting(**changes: object) -> Device:
    device = Device(
        hash=b"h", user_code="WDJBMJHT", client_id="tv", scope=(), audience=("a",), expires_at=NOON + GOOD_FOR_SECONDS
    )
    return msgspec.structs.replace(device, **changes)


def test_a_user_code_is_shown_in_two_halves() -> None:
    assert shown("WDJBMJHT") == "WDJB-MJHT"


@given(st.lists(st.sampled_from(LETTERS), min_size=LENGTH, max_size=LENGTH).map("".join))
def test_what_is_shown_is_read(code: str) -> None:
    assert read_user_code(shown(code)) == code


@pytest.mark.parametrize(
    "typed",
    [
        "WDJB-MJHT",
        "wdjb-mjht",
        "wdjbmjht",
        " W D J B M J H T ",
        "wdjb_mjht.",
        "WDJB\u2013MJHT",
        "wdjb\tmjht\n",
        "WDJB0-MJHT",
    ],
)
def test_case_and_separators_do_not_matter(typed: str) -> None:
    """RFC 8628 section 6.1."""
    assert read_user_code(typed) == "WDJBMJHT"


@pytest.mark.parametrize("typed", ["", "WDJB", "WDJB-MJH", "WDJB-MJHTT", "AEIO-UAEI", "WDJB-MJHT" + " " * 99, "\0" * 8])
def test_what_is_no_code_is_none(typed: str) -> None:
    assert read_user_code(typed) is None


def test_a_user_code_has_eight_letters_and_each_is_drawn_anew_out_of_twenty_without_a_vowel() -> None:
    """RFC 8628 section 6.1: 20 to the 8th are 34.5 bits."""
    drawn: list[Sequence[str]] = []

    def last(letters: Sequence[str]) -> str:
        drawn.append(letters)
        return letters[-1]

    assert new_user_code(last) == "Z" * LENGTH
    assert drawn == [LETTERS] * 8
    assert len(set(LETTERS)) == 20
    assert not set("AEIOUY") & set(LETTERS)
    assert len({new_user_code() for _ in range(200)}) == 200


def test_a_device_waits_until_somebody_has_decided() -> None:
    assert waiting().answer(NOON) is Answer.PENDING
    assert waiting(denied=True).answer(NOON) is Answer.DENIED
    assert waiting(approval=ALICE).answer(NOON) is Answer.ALLOWED
    assert waiting(approval=ALICE, used_at=NOON).answer(NOON) is Answer.USED


def test_a_device_that_came_too_late_is_told_so_whatever_was_decided() -> None:
    for changes in ({}, {"denied": True}, {"approval": ALICE}):
        assert waiting(**changes).answer(NOON + GOOD_FOR_SECONDS) is Answer.EXPIRED
        assert waiting(**changes).answer(NOON + GOOD_FOR_SECONDS - 0.001) is not Answer.EXPIRED


def test_only_what_nobody_has_decided_may_be_decided_and_only_in_time() -> None:
    assert waiting().may_be_decided(NOON)
    assert not waiting().may_be_decided(NOON + GOOD_FOR_SECONDS)
    assert not waiting(denied=True).may_be_decided(NOON)
    assert not waiting(approval=ALICE).may_be_decided(NOON)


def test_the_first_poll_may_come_at_once_and_the_next_after_the_interval() -> None:
    device = waiting().polled(NOON)
    assert device.answer(NOON + INTERVAL_SECONDS) is Answer.PENDING
    assert device.answer(NOON + INTERVAL_SECONDS - LEEWAY_SECONDS) is Answer.PENDING
    assert device.answer(NOON + INTERVAL_SECONDS - LEEWAY_SECONDS - 0.01) is Answer.SLOW_DOWN


def test_each_slow_down_adds_five_seconds_for_good() -> None:
    """RFC 8628 section 3.5: for this and all subsequent requests."""
    device = waiting().polled(NOON).polled(NOON + 1)
    assert device.interval == INTERVAL_SECONDS + SLOWER_BY_SECONDS
    device = device.polled(NOON + 1 + 6)
    assert device.interval == INTERVAL_SECONDS + 2 * SLOWER_BY_SECONDS
    device = device.polled(NOON + 1 + 6 + 15)
    assert device.interval == INTERVAL_SECONDS + 2 * SLOWER_BY_SECONDS
    assert device.answer(NOON + 1 + 6 + 15 + 12) is Answer.SLOW_DOWN


@given(st.lists(st.floats(0, 20), min_size=1, max_size=30))
def test_a_device_that_obeys_is_never_told_to_slow_down_whatever_it_did_before(pauses: list[float]) -> None:
    device, now = waiting(expires_at=NOON * 2), NOON
    for pause in pauses:
        now += pause
        device = device.polled(now)
    assert device.answer(now + device.interval) is Answer.PENDING
    assert (device.interval - INTERVAL_SECONDS) % SLOWER_BY_SECONDS == 0


def test_a_decision_is_told_however_fast_the_device_asks() -> None:
    """``slow_down`` would say that nobody has decided."""
    for changes, told in (({"denied": True}, Answer.DENIED), ({"approval": ALICE}, Answer.ALLOWED)):
        assert waiting(polled_at=NOON, **changes).answer(NOON) is told


def test_a_clock_that_was_put_back_delays_a_device_by_no_more_than_its_answer_says() -> None:
    device = waiting().polled(NOON)
    assert device.answer(NOON - 3600) is Answer.SLOW_DOWN
    assert device.polled(NOON - 3600).answer(NOON - 3600 + 10) is Answer.PENDING


def test_after_too_many_wrong_codes_none_is_looked_at_for_a_while() -> None:
    guesses = Guesses(0, NOON)
    for _ in range(MOST_WRONG):
        assert not guesses.are_too_many(NOON + 1)
        guesses = guesses.and_one(NOON + 1)
    assert guesses.are_too_many(NOON + 1)
    assert guesses.are_too_many(NOON + WINDOW_SECONDS)
    assert not guesses.are_too_many(NOON + 1 + WINDOW_SECONDS)
    assert guesses.and_one(NOON + 1 + WINDOW_SECONDS).count == 1


@given(st.lists(st.floats(0, 300), max_size=60))
def test_no_more_than_twice_the_bound_is_looked_at_in_any_ten_minutes(pauses: list[float]) -> None:
    guesses, now, looked_at = Guesses(0, NOON), NOON, list[float]()
    for pause in pauses:
        now += pause
        if not guesses.are_too_many(now):
            guesses = guesses.and_one(now)
            looked_at.append(now)
    for start in looked_at:
        assert sum(start <= at < start + WINDOW_SECONDS for at in looked_at) <= 2 * MOST_WRONG
