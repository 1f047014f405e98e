"""What a kafka:// URL may say, and what is never repeated of it."""

import ssl
from typing import Any

import pytest

from events import Stream
from events.errors import LogMisconfigured
from events.log import open_log
from events.log.kafka_settings import KafkaSettings


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("kafka://localhost:9092", {"servers": ("localhost:9092",)}),
        ("kafka://a:1,b:2,[::1]:3", {"servers": ("a:1", "b:2", "[::1]:3")}),
        ("kafka://a:1?prefix=test.", {"servers": ("a:1",), "prefix": "test."}),
        ("kafka://a:1?prefix=&replication=3", {"servers": ("a:1",), "prefix": "", "replication": 3}),
        (
            "kafka://u%40x:p%40%3A%2F@a:1?security=SASL_SSL&mechanism=PLAIN&ca=/etc/ca.pem",
            {
                "servers": ("a:1",),
                "user": "u@x",
                "password": "p@:/",
                "security": "SASL_SSL",
                "mechanism": "PLAIN",
                "ca": "/etc/ca.pem",
            },
        ),
    ],
)
def test_a_url_names_brokers_and_options(url: str, settings: dict[str, Any]) -> None:
    assert KafkaSettings.parse(url) == KafkaSettings(**settings)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("kafka://", "names its brokers"),
        ("kafka:///topic", "names its brokers"),
        ("kafka://localhost", "names its brokers"),
        ("kafka://user:secret@", "names its brokers"),
        ("kafka://user:secret@a:1,b", "names its brokers"),
        ("kafka://user:secret@a:1?prefx=x", "knows no option 'prefx'"),
        ("kafka://user:secret@a:1?replication=0", "replication must be a number from 1 on, not '0'"),
        ("kafka://user:secret@a:1?replication=-1", "replication must be"),
        ("kafka://user:secret@a:1?replication=two", "replication must be"),
        ("kafka://user:secret@a:1?replication=²", "replication must be"),
        ("kafka://user:secret@a:1?security=TLS", "security must be one of"),
        ("kafka://user:secret@a:1?security=SASL_SSL&mechanism=MD5", "mechanism must be one of"),
        ("kafka://a:1?security=SASL_SSL", "with SASL_SSL needs a user and a password in the URL"),
        ("kafka://user:secret@a:1?security=SSL&ca=/no/such/ca.pem", "option ca: "),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_repeating_its_password(url: str, message: str) -> None:
    with pytest.raises(LogMisconfigured) as refused:
        KafkaSettings.parse(url).connection()

    assert message in str(refused.value)
    assert "secret" not in str(refused.value)


def test_the_password_is_in_no_repr() -> None:
    settings = KafkaSettings.parse("kafka://user:hunter2@a:1?security=SASL_PLAINTEXT")

    assert "hunter2" not in f"{settings!r} {settings}"
    assert settings.connection()["sasl_plain_password"] == "hunter2"


def test_a_plain_connection_has_no_credentials_and_no_certificates() -> None:
    assert KafkaSettings.parse("kafka://a:1").connection() == {
        "bootstrap_servers": ["a:1"],
        "security_protocol": "PLAINTEXT",
    }


def test_a_connection_over_tls_checks_the_brokers_certificate() -> None:
    context = KafkaSettings.parse("kafka://a:1?security=SSL").connection()["ssl_context"]

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_the_prefix_stands_before_the_name_of_each_topic() -> None:
    settings = KafkaSettings.parse("kafka://a:1?prefix=acme.")

    assert [settings.topic(stream) for stream in Stream] == [
        "acme.keys",
        "acme.revocations",
        "acme.heartbeats",
        "acme.agents",
    ]


@pytest.mark.parametrize("url", ["", "redis://a", "kafka", "http://a", "memory", "sqlite://x", "sqlite:///"])
def test_a_url_of_no_log_is_refused(url: str) -> None:
    with pytest.raises(LogMisconfigured):
        open_log(url)
