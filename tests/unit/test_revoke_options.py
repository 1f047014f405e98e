"""What `tocsin revoke` asks the issuer for."""

from typing import Any

import click
import pytest

from tocsin.commands.revoke import _request, command


def request(*arguments: str) -> tuple[str, dict[str, Any]]:
    context = command.make_context("revoke", [*arguments, "--reason", "x"])
    return _request(context.params)


@pytest.mark.parametrize("name", ["sub", "client_id", "sid", "jti", "aud", "scope", "tenant", "azp"])
@pytest.mark.parametrize("value", ["12345", "true", "1.50", "007", "a=b"])
def test_claims_that_are_text_in_every_token_are_sent_as_text(name: str, value: str) -> None:
    assert request("--claim", f"{name}={value}")[1]["selector"] == {name: value}


@pytest.mark.parametrize(
    ("written", "sent"), [("7", 7), ("true", True), ('"7"', "7"), ("acme", "acme"), ("1.5", "1.5")]
)
def test_other_claims_are_numbers_and_booleans_where_they_look_so(written: str, sent: str | int | bool) -> None:
    assert request("--claim", f"level={written}")[1]["selector"] == {"level": sent}


def test_different_claims_go_together() -> None:
    _, body = request("--sub", "alice", "--client", "web", "--claim", "tenant=acme", "--issued-before", "5")

    assert body["selector"] == {"sub": "alice", "client_id": "web", "tenant": "acme"}
    assert body["issued_before"] == 5


@pytest.mark.parametrize(
    "arguments",
    [
        ["--claim", "a=1", "--claim", "a=2"],
        ["--claim", "a=1", "--claim", "a=1"],
        ["--sub", "x", "--claim", "sub=y"],
        ["--client", "x", "--claim", "client_id=y"],
    ],
)
def test_a_claim_given_twice_is_refused(arguments: list[str]) -> None:
    with pytest.raises(click.UsageError, match="given twice"):
        request(*arguments)


@pytest.mark.parametrize("way", ["--token", "--jti", "--key"])
def test_what_is_revoked_whole_takes_no_time(way: str) -> None:
    with pytest.raises(click.UsageError, match=f"{way} and --issued-before"):
        request(way, "x", "--issued-before", "0")
