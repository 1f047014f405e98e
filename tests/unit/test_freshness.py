"""How old knowledge is."""

import math

import pytest

from events import Heartbeat
from events.records import MAX_SKEW
from tests.simulator import NOON, FakeClock, IssuerSimulator, Listener
from verifier_agent.freshness import MAX_WAITING, Freshness, heard_at


def beat(time: float) -> Heartbeat:
    return Heartbeat(time=time, heads={})


def covering(time: float, received: float) -> Freshness:
    freshness = Freshness()
    freshness.heard(beat(time), received)
    freshness.settle(lambda _: True)
    return freshness


def test_what_was_never_complete_has_no_age() -> None:
    freshness = Freshness()
    freshness.heard(beat(NOON), 50.0)

    assert not freshness.settle(lambda _: False)
    assert freshness.age(NOON, 50.0) is None
    assert freshness.clock_skew(NOON, 50.0) is None


@pytest.mark.parametrize(
    ("now", "boot", "age"),
    [
        (NOON + 3, 53.0, 3.0),
        (NOON + 30, 50.0, 30.0),  # heard late, or the wall clock is ahead
        (NOON, 80.0, 30.0),  # the wall clock stood still while the machine was suspended
        (NOON - 100, 51.0, 1.0),  # the wall clock is behind
        (NOON - 100, 50.0, 0.0),
    ],
)
def test_age_is_the_larger_reading_of_two_clocks(now: float, boot: float, age: float) -> None:
    assert covering(NOON, 50.0).age(now, boot) == age


@pytest.mark.parametrize("skew", [-40.0, 0.0, 40.0])
def test_a_difference_between_our_clock_and_the_issuers_is_reported(skew: float) -> None:
    freshness = covering(NOON, 50.0)

    assert freshness.clock_skew(NOON + skew, 50.0) == skew
    assert freshness.clock_skew(NOON + skew + 7, 57.0) == skew


def test_the_newest_complete_heartbeat_counts() -> None:
    freshness = Freshness()
    for second in range(3):
        freshness.heard(beat(NOON + second), 50.0 + second)

    assert freshness.settle(lambda heartbeat: heartbeat.time < NOON + 2)
    assert freshness.covered == beat(NOON + 1)
    assert freshness.received == 51.0
    assert freshness.newest == beat(NOON + 2)

    assert freshness.settle(lambda _: True)
    assert freshness.covered == freshness.newest == beat(NOON + 2)


def test_only_the_newest_heartbeats_wait() -> None:
    freshness = Freshness()
    for second in range(MAX_WAITING + 1):
        freshness.heard(beat(NOON + second), 50.0)

    assert not freshness.settle(lambda heartbeat: heartbeat.time < NOON + 1)
    assert freshness.settle(lambda heartbeat: heartbeat.time < NOON + 2)


def test_knowledge_ages_while_the_machine_is_suspended(listener: Listener) -> None:
    listener.clock.uptime += 3600

    assert listener.freshness == 3600


def test_a_hole_leaves_knowledge_as_old_as_the_last_complete_heartbeat(issuer: IssuerSimulator) -> None:
    listener = Listener.caught_up(issuer)
    missed = issuer.revoke_tokens(issuer.token())
    for _ in range(5):
        issuer.clock.advance(1)
        listener.hear(issuer.beat())
    assert listener.freshness == 5.0

    listener.hear(missed)

    assert listener.freshness == 0.0


def test_a_restart_with_the_issuer_gone_is_as_old_as_the_last_heartbeat() -> None:
    issuer = IssuerSimulator(clock=FakeClock())
    last = issuer.beat()
    issuer.clock.wall += 300
    issuer.clock.uptime = 1.0
    listener = Listener(issuer)
    listener.hear(*issuer.said, last)

    assert listener.freshness == 300.0


def test_a_heartbeat_that_leaves_a_stream_out_is_never_complete(issuer: IssuerSimulator) -> None:
    listener = Listener(issuer)
    record = issuer.beat().record
    assert isinstance(record, Heartbeat)
    listener.verifier.state.observe(Heartbeat(time=NOON, heads={"keys": record.heads["keys"]}), 0.0)
    listener.hear(*issuer.said)

    assert listener.freshness is None


@pytest.mark.parametrize(
    ("time", "heard"),
    [(NOON - 60, -10.0), (NOON, 50.0), (NOON + MAX_SKEW, 50.0), (NOON + MAX_SKEW + 0.1, -math.inf)],
)
def test_what_was_kept_is_as_old_as_the_wall_clock_says_or_infinitely_old(time: float, heard: float) -> None:
    assert heard_at(time, NOON, 50.0) == heard


def test_what_is_covered_is_not_covered_again() -> None:
    freshness = covering(NOON, 50.0)
    freshness.heard(beat(NOON + 1), 51.0)

    assert not freshness.settle(lambda heartbeat: heartbeat.time == NOON)
    assert freshness.settle(lambda heartbeat: heartbeat.time == NOON + 1)
    assert not freshness.settle(lambda _: True)


def test_nobody_can_say_how_clocks_differ_when_it_is_unknown_when_it_was_heard() -> None:
    assert covering(NOON, -math.inf).clock_skew(NOON, 50.0) is None
