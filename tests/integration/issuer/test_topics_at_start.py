"""Topics that would lose events are named by the issuer as soon as it starts, and it starts all the same."""

from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from events import Stream
from events.log import Retention
from events.log.kafka_settings import KafkaSettings
from events.log.kafka_topics import KafkaTopics
from tests.issuer_under_test import Installation, until
from tests.services.service import Service


@pytest.fixture
def url(kafka: Service) -> str:
    """Of topics of this test alone, none of which exists."""
    return f"kafka://{kafka.address}?prefix=test-{uuid4().hex[:12]}."


def _reported(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.__dict__["fault"] for record in caplog.records if record.message == "event_log_misconfigured"]


async def test_a_wrong_clean_up_policy_is_named_at_start(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = KafkaSettings.parse(url)
    topic = settings.topic(Stream.REVOCATIONS)
    await KafkaTopics(settings, Retention()).create()
    await _compact(settings, topic)
    installation = await Installation.create(tmp_path, log=url)

    async with installation.running() as issuer:
        await until(lambda: _reported(caplog), "the fault has been reported")
        assert await issuer.token(installation.demo)

    assert f"topic {topic} has cleanup.policy = compact; it must be delete" in _reported(caplog)


async def test_topics_that_do_not_exist_are_named_at_start_with_what_makes_them(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = KafkaSettings.parse(url)
    installation = await Installation.create(tmp_path, log=url)

    async with installation.running() as issuer:
        await until(lambda: len(_reported(caplog)) == len(Stream), "every topic has been reported")
        assert await issuer.token(installation.demo)

    assert _reported(caplog) == [
        f"topic {settings.topic(stream)} does not exist; create it with: tocsin topics create" for stream in Stream
    ]


async def _compact(settings: KafkaSettings, topic: str) -> None:
    """Change its policy; a broker acknowledges that a little before it shows it."""
    admin = AIOKafkaAdminClient(**settings.connection())
    await admin.start()
    try:
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic, configs={"cleanup.policy": "compact"})]
        )
    finally:
        await admin.close()
    checked = KafkaTopics(settings, Retention())

    async def shown() -> bool:
        return any("cleanup.policy = compact" in fault for fault in await checked.check())

    await until(shown, "the broker shows the policy")
