"""What becomes of an agent when its broker, its topics, its clock or its machine do what they do over the years.

Outages of the broker, and a broker that comes back empty, are in ``test_agent_on_logs.py``.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events import Selector, Stream
from events.log import open_log
from events.streams import FOLLOWED
from tests.integration.kafka_life import KafkaLife, TravellingClock, rejection, until, watched
from tests.services.service import Service
from tests.simulator import publish
from verifier_agent import Agent, RejectionCode, UnavailableCode, VerificationUnavailable

MINUTE = 60.0
HOUR = 60 * MINUTE
BLOCKED_SECONDS = 7.0
"""Longer than an answer of the broker may take."""


@pytest.fixture
async def life(kafka: Service, tmp_path: Path) -> AsyncIterator[KafkaLife]:
    """Topics on the broker of all tests."""
    begun = await KafkaLife.begin(kafka.address, tmp_path)
    yield begun
    await begun.close()


def unavailable(agent: Agent, token: str) -> UnavailableCode | None:
    try:
        agent.verify(token)
    except VerificationUnavailable as error:
        return error.code
    return None


def reaches(agent: Agent, selectors: int) -> bool:
    status = agent.status()
    return status.selectors == selectors and not status.holes


def is_younger(agent: Agent, seconds: float) -> bool:
    age = agent.freshness()
    return age is not None and age < seconds


async def test_a_broker_that_is_restarted_in_good_order_costs_nothing_that_is_said(
    kafka_broker_of_its_own: Service, tmp_path: Path
) -> None:
    broker = kafka_broker_of_its_own
    life = await KafkaLife.begin(broker.address, tmp_path)
    doomed = [life.issuer.token(sub=f"user-{number}") for number in range(3)]
    good = life.issuer.token()
    async with life.agent() as agent:
        effects = watched(agent)
        await life.revoke("user-0")
        await asyncio.to_thread(broker.stop)
        assert rejection(agent, good) is None
        waiting = asyncio.create_task(life.revoke("user-1"))
        await asyncio.to_thread(broker.start)
        await waiting
        await life.revoke("user-2")
        await until(lambda: reaches(agent, 3))

        assert [rejection(agent, token) for token in doomed] == [RejectionCode.REVOKED] * 3
        assert rejection(agent, good) is None
        assert set(effects.values()) == {1}
        assert agent.status().refused == {}
    await life.close()


async def test_topics_that_are_deleted_and_made_again_are_filled_and_followed_again(life: KafkaLife) -> None:
    known, new = life.issuer.token(sub="alice"), life.issuer.token(sub="bob")
    await life.revoke("alice")
    async with life.agent() as agent:
        effects = watched(agent)
        await life.delete_topics(*FOLLOWED)
        assert rejection(agent, known) is RejectionCode.REVOKED
        await life.create_topics()
        await life.say(*life.issuer.said)  # as a relay does that finds them empty
        await life.revoke("bob")
        await until(lambda: reaches(agent, 2))

        assert [rejection(agent, token) for token in (known, new)] == [RejectionCode.REVOKED] * 2
        assert set(effects.values()) == {1}
        assert not agent.status().forks


async def test_an_agent_whose_position_is_past_retention_goes_on_with_what_there_is(life: KafkaLife) -> None:
    token = life.issuer.token(sub="bob")
    async with life.agent() as agent:
        await life.cut_off(agent)
        await life.revoke("alice")
        lost = life.issuer.said[-1]
        await life.pass_retention(Stream.REVOCATIONS)
        await life.revoke("bob")

        life.let_through()
        await until(lambda: agent.status().selectors == 1)
        assert rejection(agent, token) is RejectionCode.REVOKED
        assert agent.status().holes == {"revocations": [(lost.seq, lost.seq)]}

        await life.say(lost)
        await until(lambda: reaches(agent, 2))


async def test_of_what_has_expired_with_retention_nothing_is_missed(life: KafkaLife) -> None:
    async with life.agent() as agent:
        await life.cut_off(agent)
        life.issuer.revoke(Selector.of(sub="alice"), life=0.1)
        await life.say(life.issuer.said[-1])
        await asyncio.sleep(0.2)
        await life.pass_retention(Stream.REVOCATIONS)
        await life.revoke("bob")

        life.let_through()
        await until(lambda: reaches(agent, 1))


async def test_what_a_log_has_put_where_it_lost_its_tail_is_found(life: KafkaLife) -> None:
    """The log loses its last events and grows again to where the agent was, who cannot see that from its position."""
    doomed = [life.issuer.token(sub=f"user-{number}") for number in range(4)]
    for number in range(2):
        await life.revoke(f"user-{number}")
    async with life.agent() as agent:
        effects = watched(agent)
        await life.cut_off(agent)
        kept = life.issuer.said[:-1]
        await life.delete_topics(*FOLLOWED)
        await life.create_topics()
        await life.say(*kept)
        for number in range(2, 4):
            await life.revoke(f"user-{number}")
        await life.say(life.issuer.said[-3])  # what was lost, published again; in the end it stands behind the others

        life.let_through()
        await until(lambda: reaches(agent, 4))
        assert [rejection(agent, token) for token in doomed] == [RejectionCode.REVOKED] * 4
        assert set(effects.values()) == {1}
        assert not agent.status().forks


async def test_a_wall_clock_that_jumps_makes_nothing_look_younger_and_is_forgotten_when_it_is_set_right(
    life: KafkaLife,
) -> None:
    clock = TravellingClock()
    token = life.issuer.token()
    async with life.agent(clock) as agent:
        clock.wall = HOUR
        assert unavailable(agent, token) is UnavailableCode.STALE
        await life.revoke("bob")
        await until(lambda: reaches(agent, 1))
        skew = agent.status().clock_skew
        assert skew is not None
        assert abs(skew - HOUR) < 10

        clock.wall = -HOUR
        clock.slept += MINUTE
        assert (agent.freshness() or 0.0) >= MINUTE
        clock.wall = 0.0
        await life.revoke("carol")
        await until(lambda: reaches(agent, 2) and is_younger(agent, MINUTE))
        assert rejection(agent, token) is None
        assert agent.status().log_failures == 0


async def test_a_machine_that_was_suspended_is_stale_until_it_has_heard_the_log_again(life: KafkaLife) -> None:
    clock = TravellingClock()
    good, doomed = life.issuer.token(sub="alice"), life.issuer.token(sub="bob")
    async with life.agent(clock) as agent:
        clock.slept += HOUR
        assert unavailable(agent, good) is UnavailableCode.STALE

        await life.revoke("bob")
        await until(lambda: reaches(agent, 1) and is_younger(agent, MINUTE))
        assert rejection(agent, doomed) is RejectionCode.REVOKED
        assert rejection(agent, good) is None


async def test_an_agent_whose_event_loop_was_blocked_catches_up(life: KafkaLife) -> None:
    doomed = [life.issuer.token(sub=f"user-{number}") for number in range(20)]
    good = life.issuer.token()
    revocations = [life.issuer.revoke(Selector.of(sub=f"user-{number}")) for number in range(20)]
    beats = [life.issuer.beat() for _ in range(3)]

    async def speak() -> None:
        log = open_log(life.url)
        await publish(log, *revocations, *beats)
        await log.close()

    async with life.agent() as agent:
        effects = watched(agent)
        speaking = threading.Thread(target=asyncio.run, args=(speak(),))
        speaking.start()
        time.sleep(BLOCKED_SECONDS)  # noqa: ASYNC251 - that is what this is about
        speaking.join()
        await until(lambda: reaches(agent, 20))

        assert [rejection(agent, token) for token in doomed] == [RejectionCode.REVOKED] * 20
        assert rejection(agent, good) is None
        assert set(effects.values()) == {1}
