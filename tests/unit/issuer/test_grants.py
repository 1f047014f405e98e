"""What a client is given: scope (RFC 6749 section 3.3) and audience (RFC 8707)."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from issuer.clients import Client
from issuer.errors import OAuthError
from issuer.grants import GrantRequest, load_grants, offered_grants
from issuer.grants.client_credentials import ClientCredentialsGrant
from issuer.grants.grant import granted_audience, granted_scope
from issuer.parts import Parts
from issuer.settings import IssuerSettings

CLIENT = Client(client_id="web", scopes=("read", "write"), audiences=("orders", "billing"))
SETTINGS = IssuerSettings(
    issuer="https://issuer.example", store="sqlite:///s.db", log="memory:", kek_file=Path("kek"), audience="fallback"
)
PARTS = cast("Parts", SimpleNamespace(settings=SETTINGS, users=None, families=None, own_agent=None, clock=None))


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (None, ("read", "write")),
        ("read", ("read",)),
        ("write read", ("write", "read")),
        ("read read", ("read",)),
    ],
)
def test_scope_is_what_was_asked_for_or_everything_that_the_client_has(
    asked: str | None, granted: tuple[str, ...]
) -> None:
    assert granted_scope(CLIENT.scopes, asked) == granted


@pytest.mark.parametrize("asked", ["admin", "read admin", "READ", " ", "read,write", "read\N{NO-BREAK SPACE}admin"])
def test_a_scope_that_the_client_does_not_have_is_refused_whole(asked: str) -> None:
    with pytest.raises(OAuthError) as refused:
        granted_scope(CLIENT.scopes, asked)

    assert (refused.value.error, refused.value.status) == ("invalid_scope", 400)


def test_a_client_without_scopes_gets_none_and_may_ask_for_none() -> None:
    bare = Client(client_id="bare")

    assert granted_scope(bare.scopes, None) == ()
    with pytest.raises(OAuthError, match="invalid_scope"):
        granted_scope(bare.scopes, "read")


@pytest.mark.parametrize(
    ("client", "asked", "granted"),
    [
        (CLIENT, None, ("orders",)),
        (CLIENT, "billing", ("billing",)),
        (Client(client_id="bare"), None, ("fallback",)),
        (Client(client_id="bare"), "fallback", ("fallback",)),
    ],
)
def test_audience_is_the_resource_asked_for_or_the_first_that_the_client_has(
    client: Client, asked: str | None, granted: tuple[str, ...]
) -> None:
    assert granted_audience(client.audiences or ("fallback",), asked) == granted


@pytest.mark.parametrize("asked", ["payments", "orders billing", "fallback", "Orders"])
def test_an_audience_that_the_client_does_not_have_is_an_invalid_target(asked: str) -> None:
    with pytest.raises(OAuthError) as refused:
        granted_audience(CLIENT.audiences, asked)

    assert refused.value.error == "invalid_target"


async def test_client_credentials_speak_for_the_client_with_the_knowledge_that_was_read_before() -> None:
    grant = ClientCredentialsGrant(PARTS)
    request = GrantRequest(client=CLIENT, parameters={"scope": "read", "resource": "billing"}, rsq=42)

    authorization = await grant.authorize(request)

    assert (authorization.subject, authorization.scope, authorization.audience) == ("web", ("read",), ("billing",))
    assert authorization.rsq == 42
    assert authorization.claims == {}


def test_the_installed_grants_are_found_by_their_type() -> None:
    assert isinstance(load_grants(PARTS)["client_credentials"], ClientCredentialsGrant)


def test_the_password_grant_is_there_when_the_settings_say_so_alone() -> None:
    assert "password" not in offered_grants(SETTINGS)
    assert "password" in offered_grants(msgspec.structs.replace(SETTINGS, password_grant=True))


def test_a_request_is_shown_without_the_values_of_its_parameters() -> None:
    request = GrantRequest(client=CLIENT, parameters={"username": "alice", "password": "S3cret"}, rsq=1)

    assert "S3cret" not in f"{request!r} {request}"
    assert "password" in repr(request)
