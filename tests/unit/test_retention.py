"""How long a log must keep what."""

import pytest

from events import Stream
from events.log import Retention
from events.log.kafka_settings import KafkaSettings
from events.log.kafka_topics import KafkaTopics
from events.log.retention import DAY
from events.records import MAX_SKEW


def test_revocations_outlive_the_longest_token_by_skew_and_a_day() -> None:
    assert Retention.covering(3600).of(Stream.REVOCATIONS) == 3600 + 3 * MAX_SKEW + DAY


def test_the_newest_key_set_is_kept_for_ever() -> None:
    assert Retention().of(Stream.KEYS) is None


def test_every_stream_has_a_retention() -> None:
    assert {stream: Retention().of(stream) for stream in Stream} == {
        Stream.KEYS: None,
        Stream.REVOCATIONS: DAY + 3 * MAX_SKEW + DAY,
        Stream.HEARTBEATS: 600,
        Stream.AGENTS: 6 * 3600,
    }


@pytest.mark.parametrize(
    ("stream", "replication", "settings"),
    [
        (Stream.KEYS, 1, {"cleanup.policy": "compact", "min.insync.replicas": "1"}),
        (Stream.KEYS, 3, {"cleanup.policy": "compact", "min.insync.replicas": "2"}),
        (
            Stream.REVOCATIONS,
            3,
            {"cleanup.policy": "delete", "min.insync.replicas": "2", "retention.ms": "90600000"},
        ),
    ],
)
def test_a_topic_is_asked_to_keep_what_retention_says(
    stream: Stream, replication: int, settings: dict[str, str]
) -> None:
    topics = KafkaTopics(KafkaSettings(servers=("a:1",), replication=replication), Retention.covering(3300))

    assert topics.wanted(stream) == settings | {"max.message.bytes": "1048576", "retention.bytes": "-1"}
