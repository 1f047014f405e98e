"""ID tokens over HTTP, verified by a client that knows nothing but the discovery document."""

import dataclasses
import time
from typing import Any
from urllib.parse import urlsplit

import jwt
import msgspec
import pytest

from tests.integration.issuer.portal import PASSWORD, Portal, granted, with_passwords
from tests.issuer_under_test import Credentials, Installation, Replica, on_every_store, unverified

CONFIGURATION = "/.well-known/openid-configuration"
CLAIMS = {"name": "Alice Doe", "email": "alice@example.com", "email_verified": True, "roles": ["admin"]}


@pytest.fixture
def installation(installation: Installation) -> Installation:
    return with_passwords(installation)


@pytest.fixture
async def portal(installation: Installation, issuer: Replica) -> Portal:
    return await portal_of(installation, issuer)


async def portal_of(installation: Installation, issuer: Replica, **values: Any) -> Portal:
    """A client of OpenID Connect, and alice."""
    client = await installation.client(
        "portal", grants=("password", "refresh_token"), scopes=("openid", "profile", "email", "read"), **values
    )
    await issuer.services.users.add("Alice", PASSWORD, claims=CLAIMS)
    return Portal(issuer, client)


class RelyingParty:
    """An OpenID Connect client made of PyJWT: discovery, keys, and the checks of Core section 3.1.3.7."""

    def __init__(self, issuer: Replica, client: Credentials) -> None:
        self._issuer = issuer
        self._client = client

    async def verified(self, body: dict[str, Any]) -> dict[str, Any]:
        """The claims of the ID token in a token answer."""
        document = (await self._issuer.send("GET", CONFIGURATION)).json()
        keys = jwt.PyJWKSet.from_dict((await self._issuer.send("GET", urlsplit(document["jwks_uri"]).path)).json())
        header = jwt.get_unverified_header(body["id_token"])
        claims: dict[str, Any] = jwt.decode(
            body["id_token"],
            keys[header["kid"]],
            algorithms=document["id_token_signing_alg_values_supported"],
            audience=self._client.client_id,
            issuer=document["issuer"],
            options={"require": ["iss", "sub", "aud", "exp", "iat", "auth_time", "at_hash"]},
        )
        assert header["typ"] == "JWT"
        assert claims.keys() <= set(document["claims_supported"])
        return claims


@on_every_store
async def test_with_scope_openid_there_is_an_id_token_that_a_client_can_verify(portal: Portal, issuer: Replica) -> None:
    before = int(time.time())
    body = await granted(await portal.log_in(scope="openid read"))

    claims = await RelyingParty(issuer, portal.client).verified(body)
    access = unverified(body["access_token"])

    assert claims["aud"] == "portal"
    assert claims["sub"] == access["sub"]
    assert claims["auth_time"] == access["auth_time"] >= before
    assert claims["amr"] == access["amr"] == ["pwd"]
    assert claims["exp"] - claims["iat"] == issuer.services.settings.id_token_lifetime == 300
    assert not {"email", "name", "roles", "scope", "rsq", "grant_id", "nonce", "azp"} & claims.keys()


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
async def test_it_is_signed_with_the_algorithm_of_the_client(installation: Installation, alg: str) -> None:
    settings = msgspec.structs.replace(installation.settings, signing_algorithms=("ES256", "RS256", "EdDSA"))
    installation = dataclasses.replace(installation, settings=settings)
    async with installation.running() as issuer:
        portal = await portal_of(installation, issuer, token_alg=alg)
        body = await granted(await portal.log_in())

        claims = await RelyingParty(issuer, portal.client).verified(body)
        document = (await issuer.send("GET", CONFIGURATION)).json()
        keys = (await issuer.send("GET", "/.well-known/jwks.json")).json()["keys"]

    assert jwt.get_unverified_header(body["id_token"])["alg"] == alg
    length = {"ES256": 22, "RS256": 22, "EdDSA": 43}[alg]
    assert len(claims["at_hash"]) == length
    assert document["id_token_signing_alg_values_supported"] == ["ES256", "RS256", "EdDSA"]
    assert len({key["kid"] for key in keys}) == len(keys) == 6
    assert {(key["alg"], key["use"]) for key in keys} == {(each, "sig") for each in ("ES256", "RS256", "EdDSA")}


async def test_at_hash_is_that_of_the_access_token_beside_it(portal: Portal) -> None:
    body = await granted(await portal.log_in())
    other = await granted(await portal.log_in())
    hashed = jwt.get_algorithm_by_name("ES256").compute_hash_digest(body["access_token"].encode())

    at_hash = unverified(body["id_token"])["at_hash"]

    assert at_hash == jwt.utils.base64url_encode(hashed[:16]).decode()
    assert at_hash != unverified(other["id_token"])["at_hash"]


@on_every_store
async def test_after_a_refresh_it_speaks_of_the_same_login(portal: Portal, issuer: Replica) -> None:
    relying = RelyingParty(issuer, portal.client)
    first = await granted(await portal.log_in())
    second = await granted(await portal.refresh(first["refresh_token"]))

    before, after = await relying.verified(first), await relying.verified(second)

    for name in ("iss", "sub", "aud", "auth_time", "amr"):
        assert after[name] == before[name]
    assert after["iat"] >= before["iat"]
    assert after["at_hash"] != before["at_hash"]
    assert "nonce" not in after


async def test_without_scope_openid_there_is_none(portal: Portal) -> None:
    first = await granted(await portal.log_in(scope="read email"))
    whole = await granted(await portal.log_in())
    narrowed = await granted(await portal.refresh(whole["refresh_token"], scope="read"))

    assert "id_token" not in first
    assert "id_token" not in narrowed


async def test_a_client_by_itself_gets_none(installation: Installation, issuer: Replica) -> None:
    robot = await installation.client("robot", scopes=("openid",))
    answer = await issuer.form("/oauth2/token", robot, grant_type="client_credentials", scope="openid")

    assert answer.status == 200
    assert "id_token" not in answer.json()


async def test_a_revoked_login_gives_no_further_id_token(portal: Portal, issuer: Replica) -> None:
    first = await granted(await portal.log_in())
    await issuer.revoke(selector={"sub": unverified(first["id_token"])["sub"]})

    assert (await portal.refresh(first["refresh_token"])).status == 400


async def test_the_configuration_is_the_metadata_and_what_openid_adds(issuer: Replica) -> None:
    configuration = (await issuer.send("GET", CONFIGURATION)).json()
    metadata = (await issuer.send("GET", "/.well-known/oauth-authorization-server")).json()

    assert metadata.items() <= configuration.items()
    assert configuration.keys() - metadata.keys() == {
        "userinfo_endpoint",
        "scopes_supported",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
        "claim_types_supported",
        "claims_supported",
        "claims_parameter_supported",
        "request_parameter_supported",
        "request_uri_parameter_supported",
    }
    assert configuration["userinfo_endpoint"] == f"{issuer.url}/oauth2/userinfo"
    assert configuration["scopes_supported"] == ["openid", "profile", "email", "address", "phone"]
    for name in ("claims_parameter_supported", "request_parameter_supported", "request_uri_parameter_supported"):
        assert configuration[name] is False


async def test_every_advertised_claim_and_scope_is_told_by_an_issuer_whose_record_has_it(
    installation: Installation, issuer: Replica
) -> None:
    document = (await issuer.send("GET", CONFIGURATION)).json()
    record = {
        **dict.fromkeys(document["claims_supported"], "text"),
        **dict.fromkeys(("email_verified", "phone_number_verified"), True),
        "updated_at": 1,
        "address": {"country": "Germany"},
    }
    del record["sub"]
    await issuer.services.users.add("bob", PASSWORD, claims=record)
    client = await installation.client("app", grants=("password",), scopes=tuple(document["scopes_supported"]))
    body = await granted(await Portal(issuer, client).log_in("bob"))
    bearer = {"Authorization": f"Bearer {body['access_token']}"}
    info = (await issuer.send("GET", urlsplit(document["userinfo_endpoint"]).path, headers=bearer)).json()

    of_browsers = {"sid", "nonce"}  # tests/integration/issuer/test_openid_logins.py
    assert unverified(body["id_token"]).keys() | info.keys() == set(document["claims_supported"]) - of_browsers


async def test_what_everybody_may_know_may_be_kept_and_read_by_pages_of_any_origin(issuer: Replica) -> None:
    for path in (CONFIGURATION, "/.well-known/oauth-authorization-server", "/.well-known/jwks.json"):
        headers = (await issuer.send("GET", path)).headers
        assert headers["Cache-Control"].startswith("public, max-age=")
        assert headers["Access-Control-Allow-Origin"] == "*"
    for path in ("/livez", "/oauth2/token", "/admin/v1/keys"):
        assert "Access-Control-Allow-Origin" not in (await issuer.send("GET", path)).headers
