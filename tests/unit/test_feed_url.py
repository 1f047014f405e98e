"""What the URL of an event feed may say, and what is never repeated of it."""

import traceback

import pytest

from events.errors import LogMisconfigured
from events.log import open_log
from events.log.feed_settings import FeedSettings
from verifier_agent.settings import without_secrets


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        (
            "https://issuer.example/events",
            FeedSettings(url="https://issuer.example/events", token_endpoint="https://issuer.example/oauth2/token"),
        ),
        (
            "https://a%40b:s%3A%2F%40@issuer.example:8443/auth/events?ca=/etc/ca.pem&resource=https://x.example",
            FeedSettings(
                url="https://issuer.example:8443/auth/events",
                token_endpoint="https://issuer.example:8443/auth/oauth2/token",
                client_id="a@b",
                client_secret="s:/@",
                ca="/etc/ca.pem",
                resource="https://x.example",
            ),
        ),
        (
            "http://agents:S3cret@[::1]:8080/events",
            FeedSettings(
                url="http://[::1]:8080/events",
                token_endpoint="http://[::1]:8080/oauth2/token",
                client_id="agents",
                client_secret="S3cret",
            ),
        ),
        (
            "http://issuer:8080/events",
            FeedSettings(url="http://issuer:8080/events", token_endpoint="http://issuer:8080/oauth2/token"),
        ),
    ],
)
def test_a_url_names_feed_and_reader(url: str, settings: FeedSettings) -> None:
    assert FeedSettings.parse(url) == settings


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://agents:S3cret@/events", "looks like"),
        ("https://agents:S3cret@issuer.example", "looks like"),
        ("https://agents:S3cret@issuer.example/eventz", "looks like"),
        ("https://agents:S3cret@issuer.example/events#here", "looks like"),
        ("https://agents:S3cret@issuer.example:x/events", "a port that can be read"),
        ("https://agents:S3cret@[issuer/events", "a port that can be read"),
        ("https://:S3cret@issuer.example/events", "a client and its secret"),
        ("https://agents@issuer.example/events", "a client and its secret"),
        ("https://agents:S3cret@issuer.example/events?scope=all", "knows no option 'scope'"),
        ("http://agents:S3cret@issuer.example/events", "https:// alone, or to this machine"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_secret(url: str, message: str) -> None:
    with pytest.raises(LogMisconfigured, match=message) as refused:
        open_log(url)

    assert "S3cret" not in "".join(traceback.format_exception(refused.value))


def test_certificate_authorities_that_cannot_be_read_are_named() -> None:
    settings = FeedSettings.parse("https://issuer.example/events?ca=/nowhere/ca.pem")

    with pytest.raises(LogMisconfigured, match="ca"):
        settings.ssl()


def test_settings_are_shown_without_the_secret() -> None:
    url = "https://agents:S3cret@issuer.example/events?resource=https://x.example"

    assert "S3cret" not in f"{FeedSettings.parse(url)!r} {FeedSettings.parse(url)} {without_secrets(url)}"
