"""A demonstration on Kafka has topics of its own."""

import re

import pytest

from events.log.kafka_settings import KafkaSettings
from tocsin.own_topics import own_topics


@pytest.mark.parametrize("log", ["kafka://one:9092", "kafka://me:pw@one:9092,two:9092?security=SASL_SSL"])
def test_a_kafka_log_without_a_prefix_gets_a_new_one_each_time(log: str) -> None:
    first, second = own_topics(log, "demo"), own_topics(log, "demo")

    assert first is not None
    assert re.fullmatch(r"tocsin-demo-[0-9a-f]{12}\.", KafkaSettings.parse(first).prefix)
    assert KafkaSettings.parse(first).servers == KafkaSettings.parse(log).servers
    assert first != second


@pytest.mark.parametrize("log", [None, "sqlite:///events.db", "kafka://one:9092?prefix=mine."])
def test_a_log_with_a_prefix_or_without_topics_stays_as_it_is(log: str | None) -> None:
    assert own_topics(log, "demo") == log


def test_what_was_kept_for_the_same_log_is_used_again_and_for_another_is_not() -> None:
    kept = own_topics("kafka://one:9092", "demo")

    assert own_topics("kafka://one:9092", "demo", kept) == kept
    assert own_topics("kafka://one:9092", "bench", kept) != kept
    assert own_topics("kafka://one:9093", "demo", kept) != kept
    assert own_topics("kafka://one:9092", "demo", "kafka://one:9092") != "kafka://one:9092"
