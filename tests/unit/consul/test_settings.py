"""Where Consul is: what a URL may say."""

from pathlib import Path

import pytest

from verifier_agent import Secret, SettingInvalid
from verifier_agent.consul import ConsulPlace, ConsulSettings


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://localhost", ConsulPlace(host="localhost")),
        ("http://localhost:8501/", ConsulPlace(host="localhost", port=8501)),
        ("https://:to%40ken@consul/a/b?dc=here", ConsulPlace(
            host="consul", tls=True, prefix="a/b", token=Secret("to@ken"), dc="here"
        )),
        ("http://[::1]:1/x", ConsulPlace(host="::1", port=1, prefix="x")),
    ],
)  # fmt: skip
def test_a_url_names_a_place(url: str, place: ConsulPlace) -> None:
    assert ConsulPlace.parse(url) == place


@pytest.mark.parametrize(
    "url",
    [
        *("", "consul", "tcp://host", "http://", "http://host:x", "http://host:99999", "http://[::1", "http://host#x"),
        *(
            "http://user:hunter2@host",
            "http://host/a%20b",
            "http://host?wait=1",
            "http://host?ca=x",
            "http://host/../x?",
        ),
        *("https://:hunter2@host?ca=/no/such/file", "https://:hunter2@host?nonsense"),
    ],
)
def test_another_url_is_refused_and_no_token_is_shown(url: str) -> None:
    with pytest.raises(SettingInvalid, match="setting 'consul' ") as refused:
        ConsulPlace.parse(url)
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_no_certificate_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("no certificate")
    with pytest.raises(SettingInvalid, match="ca, cert or key that cannot be used"):
        ConsulSettings(consul=f"https://host?ca={tmp_path / 'ca'}")


def test_the_settings_show_no_token() -> None:
    settings = ConsulSettings(consul="http://:hunter2@host")
    place = settings.place()

    assert "hunter2" not in f"{settings!r} {place!r}"
    assert place is not None
    assert "hunter2" not in place.url


def test_a_service_needs_a_consul_to_register_with() -> None:
    with pytest.raises(SettingInvalid, match="'consul_register' needs the setting 'consul'"):
        ConsulSettings(consul_register=True)
