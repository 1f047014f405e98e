"""The issuer on a real Kafka broker that stops and comes back, with what it had or without."""

import asyncio
from functools import partial
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from events import Revoke, Selector, Stream
from events.log import Retention
from events.log.kafka_settings import KafkaSettings
from events.log.kafka_topics import KafkaTopics
from tests.issuer_under_test import Installation, Replica, rejection, until
from tests.outbox_reader import counter, numbers
from tests.services.service import Service
from verifier_agent import Agent

DECIDED = 25
BACK_SECONDS = 60.0
"""For a broker to be found again by everybody, on a busy machine."""


async def make_topics(url: str) -> None:
    await KafkaTopics(KafkaSettings.parse(url), Retention()).create()


async def remake_topic(url: str, stream: Stream) -> None:
    """Delete a topic and make it again."""
    settings = KafkaSettings.parse(url)
    admin = AIOKafkaAdminClient(**settings.connection())
    await admin.start()
    await admin.delete_topics([settings.topic(stream)])
    await admin.close()
    topics = KafkaTopics(settings, Retention())
    await until(topics.create, "the broker has got rid of the topic")


async def _is_published(issuer: Replica) -> bool:
    now = await counter(issuer.services.database, Stream.REVOCATIONS)
    return now.published == now.head


@pytest.fixture
async def installation(kafka_broker_of_its_own: Service, tmp_path: Path) -> Installation:
    url = f"kafka://{kafka_broker_of_its_own.address}"
    await make_topics(url)
    return await Installation.create(tmp_path, log=url)


def _refuses(agent: Agent, token: str) -> bool:
    return rejection(agent, token) == "revoked"


def _knows(agent: Agent, selectors: int) -> bool:
    return agent.status().selectors == selectors


def subjects(events: list[object]) -> list[object]:
    """Whom the revocations hit, in their order."""
    return [event.selector.claims["sub"] for event in events if isinstance(event, Revoke)]


async def test_with_kafka_away_people_can_revoke_and_everything_is_published_in_order_when_it_is_back(
    installation: Installation, kafka_broker_of_its_own: Service
) -> None:
    broker = kafka_broker_of_its_own
    demo = installation.demo
    async with installation.running() as issuer, installation.agent() as one, installation.agent() as two:
        operators, token, kept = [await issuer.token(by) for by in (installation.operator, demo, demo)]
        assert (rejection(one, token), rejection(two, token)) == (None, None)

        await asyncio.to_thread(broker.stop)
        answer = await issuer.admin("POST", "/revocations", {"reason": "stolen", "token": token}, token=operators)
        assert (answer.status, answer.json()["published"]) == (201, False)
        assert not await issuer.active(token, demo)
        assert await issuer.active(kept, demo)
        decided = [
            await issuer.services.revocations.revoke(Selector.of(sub=f"user-{number}"), reason="x", actor="test")
            for number in range(DECIDED)
        ]
        waited = await issuer.admin(
            "POST", "/revocations", {"reason": "x", "jti": "x"}, token=operators, Prefer="wait=1"
        )
        assert (waited.status, waited.json()["published"]) == (201, False)
        listed = (await issuer.admin("GET", "/revocations", token=operators)).json()["revocations"]
        assert not any(revocation["published"] for revocation in listed)
        assert len(listed) == DECIDED + 2
        assert (await issuer.send("GET", "/readyz")).status == 200
        assert (await issuer.token(demo)).count(".") == 2
        assert rejection(one, token) is None  # nobody has told it

        await asyncio.to_thread(broker.start)

        for agent in (one, two):
            await until(partial(_refuses, agent, token), "the agent refuses the token", BACK_SECONDS)
            await until(partial(_knows, agent, DECIDED), "the agent knows all the rest", BACK_SECONDS)
            assert rejection(agent, kept) is None
        last = max(revocation.seq for revocation in decided)

        async def is_published() -> bool:
            return await issuer.services.relay.published(Stream.REVOCATIONS) > last

        await until(is_published, "the mark has moved", BACK_SECONDS)
        events = await installation.said(Stream.REVOCATIONS)
        assert list(dict.fromkeys(event.seq for event in events)) == await numbers(
            issuer.services.database, Stream.REVOCATIONS
        )
        assert list(dict.fromkeys(subjects([event.record for event in events]))) == [
            f"user-{number}" for number in range(DECIDED)
        ]


async def test_a_broker_that_comes_back_with_nothing_is_told_everything_that_is_live(
    installation: Installation, kafka_broker_of_its_own: Service
) -> None:
    async with installation.running() as issuer:
        token = await issuer.token(installation.demo)
        await issuer.revoke(token=token)
        await issuer.admin("POST", "/revocations", {"reason": "x", "selector": {"sub": "alice"}}, Prefer="wait=30")

        await asyncio.to_thread(kafka_broker_of_its_own.restart_empty)
        await make_topics(installation.settings.log)

        async def has_everything() -> bool:
            there = [event.seq for event in await installation.said(Stream.REVOCATIONS)]
            _baseline, *live = await numbers(issuer.services.database, Stream.REVOCATIONS)
            return there[-len(live) :] == live

        await until(has_everything, "what is live is on the new broker", BACK_SECONDS)
        async with installation.agent() as agent:
            await until(lambda: agent.status().ready, "a new agent is complete", BACK_SECONDS)
            assert rejection(agent, token) == "revoked"
            assert agent.status().selectors == 1


async def test_an_issuer_that_starts_while_kafka_is_away_issues_and_revokes(
    installation: Installation, kafka_broker_of_its_own: Service
) -> None:
    await asyncio.to_thread(kafka_broker_of_its_own.stop)
    async with installation.running() as issuer:
        token = await issuer.token(installation.demo)
        await issuer.revoke(selector={"client_id": "demo"})
        assert not await issuer.active(token, installation.demo)
        await until(lambda: issuer.services.relay.state == "log_unavailable", "the relay says so")

        await asyncio.to_thread(kafka_broker_of_its_own.start)

        async with installation.agent() as agent:
            await until(lambda: agent.status().ready, "an agent is complete", BACK_SECONDS)
            await until(lambda: rejection(agent, token) == "revoked", "the agent refuses the token", BACK_SECONDS)


async def test_a_topic_that_is_made_anew_and_grows_beyond_its_former_end_is_told_what_it_had(
    installation: Installation, kafka_broker_of_its_own: Service
) -> None:
    async with installation.running() as issuer:
        tokens = [await issuer.token(installation.demo) for _ in range(3 * DECIDED)]
        lost, later = tokens[:DECIDED], tokens[DECIDED:]
        for token in lost:
            await issuer.revoke(token=token)
        await until(lambda: _is_published(issuer), "everything is in the log")

        await remake_topic(installation.settings.log, Stream.REVOCATIONS)
        await asyncio.gather(*(issuer.revoke(token=token) for token in later))

        async with installation.agent() as agent:
            await until(lambda: agent.status().digests == len(tokens), "an agent knows all of them", BACK_SECONDS)
            await until(lambda: not agent.status().holes, "and misses nothing", BACK_SECONDS)
