"""Which URLs may be asked, and whose word is taken for where keys are."""

import json

import pytest

from tests.unit.jwks.foreign_issuer import ISSUER, JWKS_URI, OAUTH_METADATA, OIDC_METADATA, metadata
from verifier_agent.jwks import FailureCode, JwksFailed
from verifier_agent.jwks.discovery import check_url, jwks_uri_of, metadata_urls


@pytest.mark.parametrize(
    "url",
    [
        "https://login.example",
        "https://login.example:8443/certs?version=2",
        "https://[2001:db8::1]/certs",
        "http://127.0.0.1:8080/certs",
        "http://127.9.9.9/certs",
        "http://[::1]:8080/certs",
        "http://localhost/certs",
    ],
)
def test_https_may_be_asked_and_this_machine_without_it(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "login.example",
        "//login.example/certs",
        "http://login.example/certs",
        "http://localhost.attacker.example/certs",
        "http://127.0.0.1.attacker.example/certs",
        "http://0.0.0.0/certs",
        "http://10.0.0.1/certs",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "ftp://127.0.0.1/certs",
        "data:application/json,{}",
        "https:///certs",
        "https://user:password@login.example/certs",
        "https://login.example@attacker.example/certs",
        "https://login.example/certs#key",
        "https://login.example/cer ts",
        "https://login.example/certs\r\nHost: other",
        "https://login.example:port/certs",
        "https://login.example:99999/certs",
        "https://[::1/certs",
        "https://login.example/" + "a" * 2048,
    ],
)
def test_nothing_else_may_be_asked(url: str) -> None:
    with pytest.raises(JwksFailed) as refused:
        check_url(url)

    assert refused.value.code is FailureCode.UNSAFE_URL


@pytest.mark.parametrize(
    ("issuer", "urls"),
    [
        (ISSUER, (OIDC_METADATA, OAUTH_METADATA)),
        (
            "https://tenant.auth0.example/",
            (
                "https://tenant.auth0.example/.well-known/openid-configuration",
                "https://tenant.auth0.example/.well-known/oauth-authorization-server",
            ),
        ),
        (
            "http://localhost:8080/realms/shop/",
            (
                "http://localhost:8080/realms/shop/.well-known/openid-configuration",
                "http://localhost:8080/.well-known/oauth-authorization-server/realms/shop",
            ),
        ),
    ],
)
def test_metadata_are_where_the_standards_say(issuer: str, urls: tuple[str, ...]) -> None:
    assert metadata_urls(issuer) == urls


@pytest.mark.parametrize("issuer", ["shop", "http://login.example", "https://login.example/?tenant=1", "https://a/b#c"])
def test_an_issuer_that_is_no_such_url_has_no_metadata(issuer: str) -> None:
    with pytest.raises(JwksFailed):
        metadata_urls(issuer)


def test_metadata_of_the_issuer_say_where_its_keys_are() -> None:
    assert jwks_uri_of(metadata(), ISSUER) == JWKS_URI


@pytest.mark.parametrize(
    "other",
    [ISSUER + "/", ISSUER.upper(), ISSUER[:-1], "https://login.example:443/realms/shop", "", "https://attacker"],
)
def test_metadata_of_another_issuer_are_refused_letter_by_letter(other: str) -> None:
    with pytest.raises(JwksFailed) as refused:
        jwks_uri_of(metadata(issuer=other), ISSUER)

    assert refused.value.code is FailureCode.WRONG_ISSUER


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"<html>",
        b"{}",
        b"[" * 100_000,
        json.dumps({"issuer": ISSUER, "jwks_uri": 1}).encode(),
        b'{"a":"\xff',
    ],
)
def test_what_are_no_metadata_are_refused(data: bytes) -> None:
    with pytest.raises(JwksFailed) as refused:
        jwks_uri_of(data, ISSUER)

    assert refused.value.code is FailureCode.NOT_METADATA


@pytest.mark.parametrize("jwks_uri", ["http://login.example/certs", "http://localhost:6379/", "file:///etc/passwd"])
def test_metadata_cannot_point_where_may_not_be_asked_nor_at_this_machine_from_elsewhere(jwks_uri: str) -> None:
    with pytest.raises(JwksFailed) as refused:
        jwks_uri_of(metadata(jwks_uri=jwks_uri), ISSUER)

    assert refused.value.code is FailureCode.UNSAFE_URL


def test_an_issuer_on_this_machine_may_have_its_keys_there() -> None:
    issuer = "http://localhost:8080"

    assert jwks_uri_of(metadata(issuer, "http://127.0.0.1:8081/certs"), issuer) == "http://127.0.0.1:8081/certs"
