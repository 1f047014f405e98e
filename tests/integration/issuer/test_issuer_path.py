"""An issuer whose identifier has a path: everything that its metadata name is where they say."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.issuer_under_test import Installation, Replica
from tests.services.ports import free_ports
from tocsin.admin_client import AdminClient
from tocsin.settings import Credentials
from verifier_agent.jwks.discovery import jwks_uri_of, metadata_urls

PATH = "/realms/shop"


@pytest.fixture
async def installation(tmp_path: Path) -> Installation:
    (port,) = free_ports(1)
    return await Installation.create(tmp_path, issuer=f"http://127.0.0.1:{port}{PATH}", port=port)


@pytest.fixture
async def issuer(installation: Installation) -> AsyncIterator[Replica]:
    async with installation.running() as replica:
        yield replica


async def test_both_kinds_of_metadata_are_where_their_standards_have_them(
    installation: Installation, issuer: Replica
) -> None:
    well_known = {  # RFC 8414 sections 3.1 and 5, OpenID Connect Discovery section 4
        f"/.well-known/oauth-authorization-server{PATH}": False,
        f"/.well-known/openid-configuration{PATH}": True,
        f"{PATH}/.well-known/openid-configuration": True,
    }

    for path, openid in well_known.items():
        answer = await issuer.send("GET", path)
        assert answer.status == 200, path
        assert answer.json()["issuer"] == installation.settings.issuer
        assert ("userinfo_endpoint" in answer.json()) == openid


async def test_every_endpoint_is_below_the_path_and_answers_there(installation: Installation, issuer: Replica) -> None:
    document = (await issuer.send("GET", f"{PATH}/.well-known/openid-configuration")).json()
    endpoints = {name: urlsplit(url).path for name, url in document.items() if name.endswith(("_endpoint", "_uri"))}

    assert len(endpoints) >= 5
    for path in endpoints.values():
        assert path.startswith(f"{PATH}/")
        assert (await issuer.send("OPTIONS", path)).status in (204, 405)
    token = await issuer.form(endpoints["token_endpoint"], installation.demo, grant_type="client_credentials")
    assert token.status == 200
    assert len((await issuer.send("GET", endpoints["jwks_uri"])).json()["keys"]) == 2


async def test_our_own_discovery_finds_the_keys(installation: Installation, issuer: Replica) -> None:
    name = installation.settings.issuer
    for url in metadata_urls(name):
        answer = await issuer.send("GET", urlsplit(url).path)

        assert jwks_uri_of(answer.body, name) == f"{name}/.well-known/jwks.json"


async def test_the_operators_command_line_reaches_the_admin_api(installation: Installation, issuer: Replica) -> None:
    credentials = Credentials(*installation.operator)
    async with AdminClient(installation.settings.issuer, credentials) as admin:
        assert (await admin.get("/admin/v1/keys"))["keys"]


async def test_a_proxy_that_takes_the_path_away_is_served_too(installation: Installation, issuer: Replica) -> None:
    assert (await issuer.send("GET", "/livez")).status == 200
    answer = await issuer.form("/oauth2/token", installation.demo, grant_type="client_credentials")
    assert answer.status == 200


@pytest.mark.parametrize("path", ["/realms", "/realms/other/oauth2/token", f"{PATH}{PATH}/livez"])
async def test_other_paths_are_not_there(issuer: Replica, path: str) -> None:
    assert (await issuer.send("GET", path)).status == 404
