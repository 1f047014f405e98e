"""Agents on the logs that services use, by the machine's own clock."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

import pytest

from events import LogUnavailable, Selector, SignedEvent
from events.log import EventLog, Retention, open_log
from events.log.kafka_settings import KafkaSettings
from events.log.kafka_topics import KafkaTopics
from tests.services.service import Service
from tests.simulator import AUDIENCE, FakeClock, IssuerSimulator, publish
from verifier_agent import Agent, AgentSettings, RejectionCode, Seconds, TokenRejected

SOON = 60.0
"""Seconds within which what is expected happens."""


@pytest.fixture
def issuer() -> IssuerSimulator:
    """An issuer whose clock agrees with this machine's."""
    return IssuerSimulator(clock=FakeClock(now=time.time()))


@pytest.fixture(params=["sqlite", "kafka"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each log in turn, empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/events.db"
    broker: Service = request.getfixturevalue("kafka")
    return await _topics_on(broker, f"test-{uuid4().hex[:12]}.")


@pytest.fixture
async def event_log(url: str) -> AsyncIterator[EventLog]:
    """The issuer's end of it."""
    log = open_log(url)
    yield log
    await log.close()


async def _topics_on(broker: Service, prefix: str = "tocsin.") -> str:
    url = f"kafka://{broker.address}?prefix={prefix}"
    await KafkaTopics(KafkaSettings.parse(url), Retention()).create()
    return url


def agent_on(url: str, issuer: IssuerSimulator, folder: Path) -> Agent:
    trust = folder / "trust.json"
    issuer.trust.save(trust)
    return Agent(AgentSettings(log=url, trust=trust, audience=AUDIENCE, start_timeout=Seconds(SOON)))


async def until(agent: Agent, reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not reached():
            await agent.changed()


async def say(event_log: EventLog, *events: SignedEvent) -> None:
    """Append, again and again while the log is away, as a relay does."""
    async with asyncio.timeout(SOON):
        while True:
            try:
                return await publish(event_log, *events)
            except LogUnavailable:
                await asyncio.sleep(0.2)


def rejection(agent: Agent, token: str) -> RejectionCode | None:
    try:
        agent.verify(token)
    except TokenRejected as rejected:
        return rejected.code
    return None


async def test_a_revocation_reaches_every_agent(
    url: str, event_log: EventLog, issuer: IssuerSimulator, tmp_path: Path
) -> None:
    await publish(event_log, *issuer.said, issuer.beat())
    token = issuer.token()

    async with agent_on(url, issuer, tmp_path) as one, agent_on(url, issuer, tmp_path) as other:
        assert [rejection(agent, token) for agent in (one, other)] == [None, None]
        await publish(event_log, issuer.revoke(Selector.of(sub="alice")), issuer.beat())
        for agent in (one, other):
            await until(agent, lambda agent=agent: agent.status().selectors == 1)  # type: ignore[misc]

        assert [rejection(agent, token) for agent in (one, other)] == [RejectionCode.REVOKED] * 2
        assert one.status().log_failures == other.status().log_failures == 0


async def test_an_agent_that_starts_late_knows_everything(
    url: str, event_log: EventLog, issuer: IssuerSimulator, tmp_path: Path
) -> None:
    tokens = [issuer.token(sub=f"user-{number}") for number in range(20)]
    for token in tokens[:10]:
        issuer.revoke_tokens(token)
    await publish(event_log, *issuer.said, *[issuer.beat() for _ in range(5)])

    async with agent_on(url, issuer, tmp_path) as agent:
        assert agent.status().ready
        assert [rejection(agent, token) for token in tokens] == [RejectionCode.REVOKED] * 10 + [None] * 10


async def test_an_agent_lives_through_an_outage_of_its_broker(
    kafka_broker_of_its_own: Service, issuer: IssuerSimulator, tmp_path: Path
) -> None:
    broker = kafka_broker_of_its_own
    url = await _topics_on(broker)
    log = open_log(url)
    known, later = issuer.token(sub="alice"), issuer.token(sub="bob")
    issuer.revoke(Selector.of(sub="alice"))
    await publish(log, *issuer.said, issuer.beat())

    async with agent_on(url, issuer, tmp_path) as agent:
        await asyncio.to_thread(broker.kill)
        async with asyncio.timeout(SOON):
            while not agent.status().log_failures:  # noqa: ASYNC110 - nothing is applied that would wake us
                await asyncio.sleep(0.1)
        assert rejection(agent, known) is RejectionCode.REVOKED
        assert rejection(agent, later) is None

        await asyncio.to_thread(broker.start)
        await say(log, issuer.revoke(Selector.of(sub="bob")), issuer.beat())
        await until(agent, lambda: agent.status().selectors == 2)
        assert rejection(agent, later) is RejectionCode.REVOKED
        await until(agent, lambda: not agent.status().holes)
    await log.close()


async def test_an_agent_keeps_what_it_knows_when_its_log_is_emptied(
    kafka_broker_of_its_own: Service, issuer: IssuerSimulator, tmp_path: Path
) -> None:
    broker = kafka_broker_of_its_own
    url = await _topics_on(broker)
    log = open_log(url)
    token = issuer.token()
    issuer.revoke(Selector.of(sub="alice"))
    await publish(log, *issuer.said, issuer.beat())

    async with agent_on(url, issuer, tmp_path) as agent:
        await asyncio.to_thread(broker.restart_empty)
        await _topics_on(broker)
        assert rejection(agent, token) is RejectionCode.REVOKED

        lost = issuer.revoke(Selector.of(sub="bob"))
        issuer.revoke(Selector.of(sub="carol"))
        await say(log, issuer.said[-1], issuer.beat(), issuer.beat())
        await until(agent, lambda: agent.status().holes == {"revocations": [(lost.seq, lost.seq)]})
        assert agent.status().selectors == 2

        await say(log, lost)  # as a relay that reads its log back does
        await until(agent, lambda: agent.status().selectors == 3)
        assert not agent.status().holes
        assert not agent.status().forks
    await log.close()
