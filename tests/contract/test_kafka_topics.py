"""The topics: made with the right settings, and told apart from topics with others."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from events import Stream
from events.errors import LogMisconfigured
from events.log import Retention, open_log
from events.log.kafka_settings import KafkaSettings
from events.log.kafka_topics import KafkaTopics
from tests.services.service import Service

RETENTION = Retention.covering(3600)
LEAST = int(RETENTION.revocations * 1000)
"""Milliseconds."""


@pytest.fixture
def settings(kafka: Service) -> KafkaSettings:
    """Topics of this test alone, none of which exists."""
    return KafkaSettings(servers=(kafka.address,), prefix=f"test-{uuid4().hex[:12]}.")


@pytest.fixture
async def admin(kafka: Service) -> AsyncIterator[AIOKafkaAdminClient]:
    """An administrator of the broker."""
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await client.start()
    yield client
    await client.close()


async def change(admin: AIOKafkaAdminClient, topic: str, **configs: str) -> None:
    names = {name.replace("_", "."): value for name, value in configs.items()}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=names)])


async def test_topics_are_made_once_and_are_right(settings: KafkaSettings) -> None:
    topics = KafkaTopics(settings, RETENTION)

    assert await topics.create() == [settings.topic(stream) for stream in Stream]
    assert await topics.create() == []
    assert await topics.check() == []


async def test_only_what_is_missing_is_made(settings: KafkaSettings, admin: AIOKafkaAdminClient) -> None:
    await admin.create_topics([NewTopic(settings.topic(Stream.AGENTS), 1, 1)])

    assert await KafkaTopics(settings, RETENTION).create() == [
        settings.topic(stream) for stream in Stream if stream is not Stream.AGENTS
    ]


async def until_reported(topics: KafkaTopics, fault: str) -> None:
    """Wait until the check names the fault: a broker acknowledges a change a little before it shows it."""
    found: list[str] = []
    for _ in range(100):
        found = await topics.check()
        if fault in found:
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"not reported: {fault}; but {found}")


async def test_missing_topics_are_named_with_the_command_that_makes_them(settings: KafkaSettings) -> None:
    assert await KafkaTopics(settings, RETENTION).check() == [
        f"topic {settings.topic(stream)} does not exist; create it with: tocsin topics create" for stream in Stream
    ]


@pytest.mark.parametrize(
    ("stream", "configs", "fault"),
    [
        (Stream.KEYS, {"cleanup_policy": "delete"}, "has cleanup.policy = delete; it must be compact"),
        (Stream.REVOCATIONS, {"cleanup_policy": "compact"}, "has cleanup.policy = compact; it must be delete"),
        (
            Stream.REVOCATIONS,
            {"cleanup_policy": "delete", "retention_ms": str(LEAST - 1)},
            f"has retention.ms = {LEAST - 1}; it must be at least {LEAST}",
        ),
        (
            Stream.REVOCATIONS,
            {"cleanup_policy": "delete", "retention_bytes": "1000000"},
            "has retention.bytes = 1000000; it must be -1",
        ),
        (
            Stream.AGENTS,
            {"cleanup_policy": "delete", "max_message_bytes": "1000"},
            "has max.message.bytes = 1000; it must be at least 1048576",
        ),
    ],
)
async def test_a_setting_that_would_lose_events_is_named(
    settings: KafkaSettings, admin: AIOKafkaAdminClient, stream: Stream, configs: dict[str, str], fault: str
) -> None:
    topics = KafkaTopics(settings, RETENTION)
    await topics.create()
    await change(admin, settings.topic(stream), **configs)

    await until_reported(topics, f"topic {settings.topic(stream)} {fault}")


async def test_a_longer_retention_is_no_fault(settings: KafkaSettings, admin: AIOKafkaAdminClient) -> None:
    topics = KafkaTopics(settings, RETENTION)
    await topics.create()
    for retention in (str(LEAST), str(LEAST + 1), "-1"):
        await change(
            admin,
            settings.topic(Stream.REVOCATIONS),
            cleanup_policy="delete",
            retention_ms=retention,
            max_message_bytes="1048576",
        )
        assert await topics.check() == []


async def test_a_second_partition_is_named(settings: KafkaSettings, admin: AIOKafkaAdminClient) -> None:
    topics = KafkaTopics(settings, RETENTION)
    await topics.create()
    topic = settings.topic(Stream.REVOCATIONS)
    await admin.create_partitions({topic: NewPartitions(total_count=2)})

    fault = f"topic {topic} has 2 partitions; order needs exactly 1"
    await until_reported(topics, fault)
    assert await topics.check() == [fault]


async def test_too_few_replicas_are_named(settings: KafkaSettings) -> None:
    await KafkaTopics(settings, RETENTION).create()
    more = KafkaSettings(servers=settings.servers, prefix=settings.prefix, replication=3)
    faults = await KafkaTopics(more, RETENTION).check()

    for stream in Stream:
        topic = settings.topic(stream)
        assert f"topic {topic} has a replication of 1; 3 is asked for" in faults
        assert f"topic {topic} has min.insync.replicas = 1; it must be at least 2" in faults


async def test_more_replicas_than_brokers_are_refused_by_name(settings: KafkaSettings) -> None:
    more = KafkaSettings(servers=settings.servers, prefix=settings.prefix, replication=3)

    with pytest.raises(LogMisconfigured, match=f"topic {settings.topic(Stream.KEYS)}: InvalidReplicationFactor"):
        await KafkaTopics(more, RETENTION).create()


async def test_a_log_checks_its_topics(settings: KafkaSettings) -> None:
    log = open_log(f"kafka://{settings.servers[0]}?prefix={settings.prefix}", RETENTION)

    assert len(await log.check()) == len(Stream)
    await log.close()
