"""An agent on Kafka and the issuer's feed, while either is taken away and people go on revoking."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from events import Stream
from events.log import Retention
from events.log.kafka_settings import KafkaSettings
from events.log.kafka_topics import KafkaTopics
from tests.integration.issuer.feed_reader import feed_url, reading_client
from tests.integration.issuer.users_of_tokens import PATIENCE, UsersOfTokens
from tests.issuer_process import IssuerProcess
from tests.issuer_under_test import AUDIENCE, Credentials, Installation, rejection, until
from tests.services.ports import free_ports
from tests.services.service import Service
from verifier_agent import Agent, AgentSettings, RejectionCode

pytestmark = pytest.mark.timeout(300)  # a broker is killed and started, and then has to be good for a while


@pytest.fixture
async def installation(kafka_broker_of_its_own: Service, tmp_path: Path) -> Installation:
    """An issuer whose log is a Kafka broker of its own."""
    url = f"kafka://{kafka_broker_of_its_own.address}"
    made = await Installation.create(tmp_path, log=url)
    await KafkaTopics(KafkaSettings.parse(url), Retention()).create()
    return made


@pytest.fixture
async def reader(installation: Installation) -> Credentials:
    """The client that agents read the feed with."""
    return await reading_client(installation)


@pytest.fixture
async def process(installation: Installation) -> AsyncIterator[IssuerProcess]:
    """``tocsin issuer``, running."""
    async with IssuerProcess.started(installation) as running:
        yield running


def agent_on(installation: Installation, log: str, fallback: str) -> Agent:
    return Agent(
        AgentSettings(
            log=log, fallback_log=fallback, trust=installation.trust_file, audience=AUDIENCE, start_timeout=PATIENCE
        )
    )


async def reads(agent: Agent, log: str) -> None:
    await until(lambda: agent.status().log_read == log, f"the agent reads {log}", PATIENCE)


@pytest.mark.parametrize("how", ["killed", "hung"])
async def test_while_kafka_is_away_agents_hear_by_the_feed_and_then_by_kafka_again(
    installation: Installation, process: IssuerProcess, reader: Credentials, kafka_broker_of_its_own: Service, how: str
) -> None:
    broker = kafka_broker_of_its_own
    take, give_back = (broker.kill, broker.start) if how == "killed" else (broker.pause, broker.resume)
    async with agent_on(installation, installation.settings.log, feed_url(process.url, reader)) as agent:
        users = UsersOfTokens(process, installation.demo, agent)
        async with users.busy():
            await users.hear_of(5)
            await asyncio.to_thread(take)
            await reads(agent, "fallback_log")
            await users.hear_of(10)

            await asyncio.to_thread(give_back)
            await users.hear_of(10)
            await reads(agent, "log")
            await users.hear_of(10)
        status = agent.status()

    assert not users.wrong
    assert set(users.took_effect.values()) == {1}
    assert (status.digests, status.holes, status.forks) == (len(users.revoked), {}, [])
    assert set(status.refused) <= {"rolled_back"}
    assert status.log_failovers >= 1  # a busy machine is silent now and then


async def test_while_the_feed_is_away_agents_hear_by_kafka_and_then_by_the_feed_again(
    installation: Installation, process: IssuerProcess, reader: Credentials
) -> None:
    [port] = free_ports(1)
    async with AsyncExitStack() as stack:
        replica = AsyncExitStack()
        feeding = await replica.enter_async_context(installation.running(port=port))
        stack.push_async_callback(replica.aclose)
        agent = await stack.enter_async_context(
            agent_on(installation, feed_url(feeding.url, reader), installation.settings.log)
        )
        users = UsersOfTokens(process, installation.demo, agent)
        async with users.busy():
            await users.hear_of(5)

            await replica.aclose()
            await reads(agent, "fallback_log")
            await users.hear_of(10)

            await replica.enter_async_context(installation.running(port=port))
            await reads(agent, "log")
            await users.hear_of(10)
        status = agent.status()

    assert not users.wrong
    assert set(users.took_effect.values()) == {1}
    assert (status.digests, status.holes, status.forks) == (len(users.revoked), {}, [])
    assert set(status.refused) <= {"rolled_back"}
    assert status.log_failovers >= 1  # a busy machine is silent now and then


async def test_what_kafka_has_forgotten_too_early_comes_by_the_feed(
    installation: Installation, process: IssuerProcess, reader: Credentials, kafka_broker_of_its_own: Service
) -> None:
    tokens = [await process.token(installation.demo) for _ in range(6)]
    answers = [await process.revoke(token=token) for token in tokens]
    await until(lambda: _published(installation, answers[-1]["seq"]), "all of them are in Kafka")
    await _forget(installation.settings.log, up_to=4)

    async with agent_on(installation, installation.settings.log, feed_url(process.url, reader)) as agent:
        # Whether it was ready before that depends on whether the newest heartbeat knew of the revocations.
        await until(lambda: agent.status().log_failovers >= 1, "it is seen that Kafka lacks something", PATIENCE)
        await until(lambda: not agent.status().holes, "the feed has it")
        assert [rejection(agent, token) for token in tokens] == [RejectionCode.REVOKED] * 6
        await reads(agent, "log")


async def _published(installation: Installation, seq: int) -> bool:
    return seq in [event.seq for event in await installation.said(Stream.REVOCATIONS)]


async def _forget(url: str, up_to: int) -> None:
    """Have Kafka delete the first revocations, as a retention that is too short does."""
    settings = KafkaSettings.parse(url)
    admin = AIOKafkaAdminClient(**settings.connection())
    await admin.start()
    partition = TopicPartition(settings.topic(Stream.REVOCATIONS), 0)
    await admin.delete_records({partition: RecordsToDelete(before_offset=up_to)})
    await admin.close()
