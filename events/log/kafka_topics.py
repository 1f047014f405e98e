"""The Kafka topics: made with the right settings, and compared with them at start."""

import asyncio
from types import TracebackType
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from events.errors import LogMisconfigured, LogUnavailable
from events.log.kafka_settings import CALL_SECONDS, MAX_MESSAGE_BYTES, KafkaSettings
from events.log.retention import Retention
from events.streams import Stream

POLL_SECONDS: Final = 0.05

_LEAST: Final = ("retention.ms", "max.message.bytes", "min.insync.replicas")
"""Settings that may be higher than asked for."""


class KafkaTopics:
    """Creates and checks the topics of one installation."""

    def __init__(self, settings: KafkaSettings, retention: Retention) -> None:
        self._settings = settings
        self._retention = retention

    def wanted(self, stream: Stream) -> dict[str, str]:
        """The settings that the topic of ``stream`` must have."""
        seconds = self._retention.of(stream)
        settings = {
            "cleanup.policy": "compact" if seconds is None else "delete",
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
            "retention.bytes": "-1",  # a limit in bytes deletes what is still live
            "min.insync.replicas": str(max(1, self._settings.replication - 1)),
        }
        if seconds is not None:
            settings["retention.ms"] = str(int(seconds * 1000))
        return settings

    async def create(self) -> list[str]:
        """Create the topics that are missing, and name them. Those that exist are left as they are.

        Raises:
            LogUnavailable: no broker answers in time.
            LogMisconfigured: the broker refuses, such as more replicas than brokers.
        """
        async with _Admin(self._settings) as admin:
            created = []
            for stream in Stream:
                topic = NewTopic(
                    self._settings.topic(stream),
                    num_partitions=1,
                    replication_factor=self._settings.replication,
                    topic_configs=self.wanted(stream),
                )
                answer = await admin.create_topics([topic], timeout_ms=int(CALL_SECONDS * 1000))
                _, code, *words = answer.topic_errors[0]
                if code == 0:
                    created.append(topic.name)
                elif code != TopicAlreadyExistsError.errno:
                    reason = " ".join(str(word) for word in words if word)
                    raise LogMisconfigured(f"topic {topic.name}: {for_code(code).__name__} {reason}".strip())
            await _until_known(admin, created)
            return created

    async def check(self) -> list[str]:
        """What is wrong with the topics, one sentence each, with the topic and the setting by name.

        Raises:
            LogUnavailable: no broker answers in time.
        """
        async with _Admin(self._settings) as admin:
            names = [self._settings.topic(stream) for stream in Stream]
            known = await _known(admin, names)
            faults = []
            for stream in Stream:
                name = self._settings.topic(stream)
                if name not in known:
                    faults.append(f"topic {name} does not exist; create it with: tocsin topics create")
                    continue
                faults += self._partition_faults(name, known[name])
                faults += self._setting_faults(name, self.wanted(stream), await _settings_of(admin, name))
            return faults

    def _partition_faults(self, name: str, partitions: list[dict[str, Any]]) -> list[str]:
        faults = []
        if len(partitions) != 1:
            faults.append(f"topic {name} has {len(partitions)} partitions; order needs exactly 1")
        replicas = len(partitions[0]["replicas"])
        if replicas < self._settings.replication:
            faults.append(f"topic {name} has a replication of {replicas}; {self._settings.replication} is asked for")
        return faults

    def _setting_faults(self, name: str, wanted: dict[str, str], found: dict[str, str]) -> list[str]:
        faults = []
        for setting, value in wanted.items():
            has = found.get(setting, "")
            if setting in _LEAST:
                # -1 is without limit
                enough = has.lstrip("-").isdigit() and (int(has) == -1 or int(has) >= int(value))
            else:
                enough = has == value
            if not enough:
                least = "at least " if setting in _LEAST else ""
                faults.append(f"topic {name} has {setting} = {has or 'nothing'}; it must be {least}{value}")
        return faults


class _Admin:
    """The admin client as a context, its failures in our words."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._servers = ",".join(settings.servers)
        self._client = AIOKafkaAdminClient(**settings.connection(), request_timeout_ms=int(CALL_SECONDS * 1000))
        self._deadline = asyncio.timeout(4 * CALL_SECONDS)

    async def __aenter__(self) -> AIOKafkaAdminClient:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._client.start()
        except BaseException as error:  # also a cancellation must leave no connection behind
            await self._client.close()
            if isinstance(error, KafkaError | TimeoutError | OSError):
                raise LogUnavailable(f"no Kafka broker answers at {self._servers}") from error
            raise
        await self._deadline.__aenter__()
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._deadline.__aexit__(kind, error, trace)
        except TimeoutError as late:
            raise LogUnavailable(f"Kafka at {self._servers} did not answer in time") from late
        finally:
            await self._client.close()
        if isinstance(error, KafkaError):
            raise LogUnavailable(f"Kafka at {self._servers}: {type(error).__name__} {error}") from error


async def _known(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The partitions of those topics that exist."""
    described = await admin.describe_topics(names)
    return {
        topic["topic"]: topic["partitions"] for topic in described if not topic["error_code"] and topic["partitions"]
    }


async def _until_known(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """Wait for the brokers, who hear of new topics a little after the controller has made them."""
    while len(await _known(admin, names)) < len(names):  # noqa: ASYNC110 - Kafka tells nobody
        await asyncio.sleep(POLL_SECONDS)


async def _settings_of(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    settings = {}
    for answer in answers:
        for _code, _message, _kind, _name, entries in answer.resources:
            settings.update({entry[0]: entry[1] for entry in entries})
    return settings
