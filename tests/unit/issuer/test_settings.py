"""What the issuer accepts as settings, and that a refusal names the setting."""

from pathlib import Path
from typing import Any

import pytest

from issuer.keys.choice import key_wrappers
from issuer.keys.sealing import KeyEncryptionKey
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from verifier_agent import Secret, SettingInvalid, Sources

ENVIRONMENT = {
    "TOCSIN_ISSUER": "https://issuer.example",
    "TOCSIN_STORE": "sqlite:///store.db",
    "TOCSIN_LOG": "memory:",
    "TOCSIN_KEK_FILE": "kek",
}


def settings(**changes: Any) -> IssuerSettings:
    usual: dict[str, Any] = {
        "issuer": "https://issuer.example",
        "store": "sqlite:///store.db",
        "log": "memory:",
        "kek_file": Path("kek"),
    }
    return IssuerSettings(**usual | changes)


@pytest.mark.parametrize(
    "issuer",
    [
        "https://issuer.example",
        "https://issuer.example:8443/tenant",
        "http://localhost:8080",
        "http://127.0.0.1",
        "http://[::1]:8080",
    ],
)
def test_an_https_issuer_or_one_on_loopback_is_accepted(issuer: str) -> None:
    assert settings(issuer=issuer).issuer == issuer


@pytest.mark.parametrize(
    "issuer",
    [
        "",
        "issuer.example",
        "ftp://issuer.example",
        "http://issuer.example",
        "http://localhost.evil.example",
        "https://issuer.example/",
        "https://issuer.example?tenant=1",
        "https://issuer.example#top",
        "https:issuer.example",
        "https:///tenant",
        "https://issuer.example/a//b",
        "https://issuer.example/a/../b",
        "https://issuer.example/.",
        "https://issuer.example/a b",
        "https://issuer.example/{tenant}",
        "https://issuer.example/%2e",
        "https://[::1",
    ],
)
def test_any_other_issuer_is_refused_by_name(issuer: str) -> None:
    with pytest.raises(SettingInvalid, match="setting 'issuer'"):
        settings(issuer=issuer)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("port", {"port": -1}),
        ("port", {"port": 65536}),
        ("signing_algorithms", {"signing_algorithms": ()}),
        ("signing_algorithms", {"signing_algorithms": ("ES256", "RS256", "ES256")}),
        ("access_token_lifetime", {"access_token_lifetime": 0.0}),
        ("access_token_lifetime", {"access_token_lifetime": 0.5}),
        ("access_token_lifetime", {"access_token_lifetime": 3601.0, "token_lifetime_ceiling": 3600.0}),
        ("id_token_lifetime", {"id_token_lifetime": 0.5}),
        ("id_token_lifetime", {"id_token_lifetime": 3601.0, "token_lifetime_ceiling": 3600.0}),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, changes: dict[str, Any]) -> None:
    with pytest.raises(SettingInvalid, match=f"setting '{name}'"):
        settings(**changes)


@pytest.mark.parametrize("variable", sorted(ENVIRONMENT))
def test_a_missing_setting_is_named_with_the_variable_that_would_set_it(variable: str) -> None:
    environment = {name: value for name, value in ENVIRONMENT.items() if name != variable}

    with pytest.raises(SettingInvalid, match=f"is missing: set {variable}"):
        Sources(environment, {}).read(IssuerSettings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TOCSIN_PORT", "http"),
        ("TOCSIN_SIGNING_ALGORITHMS", "ES256,HS256"),
        ("TOCSIN_SIGNING_ALGORITHMS", "none"),
        ("TOCSIN_ACCESS_TOKEN_LIFETIME", "a while"),
        ("TOCSIN_TOKEN_LIFETIME_CEILING", "-1"),
        ("TOCSIN_SKEW", "inf"),
        ("TOCSIN_MIGRATE", "perhaps"),
    ],
)
def test_a_value_that_cannot_be_read_is_refused_with_setting_and_source(variable: str, value: str) -> None:
    name = variable.removeprefix("TOCSIN_").lower()

    with pytest.raises(SettingInvalid, match=f"setting '{name}' from {variable}"):
        Sources(ENVIRONMENT | {variable: value}, {}).read(IssuerSettings)


def test_the_environment_wins_over_the_file_and_durations_may_have_units() -> None:
    sources = Sources(
        ENVIRONMENT | {"TOCSIN_SKEW": "250ms", "TOCSIN_SIGNING_ALGORITHMS": "EdDSA, RS256"},
        {"skew": "5s", "access_token_lifetime": "15m", "port": 9000},
        Path("tocsin.toml"),
    )

    read = sources.read(IssuerSettings)

    assert (read.skew, read.access_token_lifetime, read.port) == (0.25, 900.0, 9000)
    assert read.signing_algorithms == ("EdDSA", "RS256")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tocsin.db",
        "mysql://tocsin:S3cret@localhost/tocsin",
        "//tocsin:S3cret@localhost/tocsin",
        "postgresql://tocsin:S3cret@localhost:port/tocsin",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
    ],
)
def test_a_store_that_cannot_be_is_refused_by_name_without_its_password(url: str) -> None:
    with pytest.raises(SettingInvalid, match="setting 'store'") as refused:
        Database(url)

    assert "S3cret" not in str(refused.value)
    assert refused.value.__cause__ is None or "S3cret" not in str(refused.value.__cause__)


def test_settings_are_shown_without_the_passwords_in_their_urls() -> None:
    settings = IssuerSettings(
        issuer="https://issuer.example",
        store="postgresql://tocsin:S3c@ret/1@localhost/tocsin?password=S3cret",
        log="kafka://tocsin:S3cret@one:9092,two:9092",
        kek=Secret("S3cret"),
        other_keks=(Secret("S3cret-before"),),
    )

    assert "S3c" not in f"{settings!r} {settings}"
    assert "postgresql://…@localhost/tocsin" in repr(settings)
    assert "one:9092,two:9092" in repr(settings)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("client_token_rate", {"client_token_rate": "many"}),
        ("client_revocation_rate", {"client_revocation_rate": "5/d"}),
        ("client_introspection_rate", {"client_introspection_rate": ""}),
        ("address_rate", {"address_rate": "0/s"}),
        ("login_attempts", {"login_attempts": 0}),
        ("login_max_delay", {"login_max_delay": 0.5}),
        ("login_max_delay", {"login_max_delay": 86_401.0}),
        ("trusted_proxies", {"trusted_proxies": ("10.0.0.0/8", "10.0.0.1/8")}),
        ("trusted_proxies", {"trusted_proxies": ("proxy.example",)}),
        ("tls_key", {"tls_cert": Path("a")}),
        ("tls_cert", {"tls_key": Path("a")}),
        ("workers", {"workers": 0}),
        ("workers", {"workers": 65}),
        ("workers", {"workers": 2}),  # with a log in memory
    ],
)
def test_what_cannot_be_operated_is_refused_by_name(name: str, changes: dict[str, Any]) -> None:
    with pytest.raises(SettingInvalid, match=f"setting '{name}'"):
        settings(**changes)


def test_rates_and_networks_are_read_from_the_environment() -> None:
    environment = ENVIRONMENT | {"TOCSIN_ADDRESS_RATE": "off", "TOCSIN_TRUSTED_PROXIES": "10.0.0.0/8, ::1"}

    read = Sources(environment, {}).read(IssuerSettings)

    assert (read.address_rate, read.trusted_proxies) == ("off", ("10.0.0.0/8", "::1"))


async def test_further_key_encryption_keys_are_read_from_files_and_the_environment(tmp_path: Path) -> None:
    keys = [KeyEncryptionKey.create(tmp_path / name) for name in ("kek", "before", "to-come", "in-environment")]
    environment = ENVIRONMENT | {
        "TOCSIN_KEK_FILE": str(tmp_path / "kek"),
        "TOCSIN_OTHER_KEK_FILES": f"{tmp_path}/before, {tmp_path}/to-come",
        "TOCSIN_OTHER_KEKS": (tmp_path / "in-environment").read_text().strip(),
    }

    wrappers = await key_wrappers(Sources(environment, {}).read(IssuerSettings))

    assert wrappers.current.kek_id == keys[0].kek_id
    assert set(wrappers.kek_ids) == {key.kek_id for key in keys}


@pytest.mark.parametrize(
    ("name", "value"), [("other_kek_files", "missing"), ("other_keks", "c2hvcnQ="), ("other_kek_uris", "pkcs11:")]
)
async def test_a_further_key_that_is_none_is_refused_by_the_name_of_its_setting(
    tmp_path: Path, name: str, value: str
) -> None:
    KeyEncryptionKey.create(tmp_path / "kek")
    environment = ENVIRONMENT | {"TOCSIN_KEK_FILE": str(tmp_path / "kek"), f"TOCSIN_{name.upper()}": value}

    with pytest.raises(SettingInvalid, match=f"setting '{name}'") as refused:
        await key_wrappers(Sources(environment, {}).read(IssuerSettings))

    assert "c2hvcnQ" not in str(refused.value)
