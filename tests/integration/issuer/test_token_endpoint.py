"""``POST /oauth2/token``: who gets a token, and what it says."""

import base64
import time
from pathlib import Path
from urllib.parse import quote_plus

import jwt
import pytest

from events import Stream
from issuer.clients import ClientStore
from tests.issuer_under_test import AUDIENCE, Credentials, Installation, Replica, on_every_store, rejection, unverified
from tests.outbox_reader import numbers

ALGORITHMS = ("ES256", "RS256", "EdDSA")


@on_every_store
async def test_a_client_gets_a_token_by_basic_and_by_post(installation: Installation, issuer: Replica) -> None:
    demo = installation.demo

    by_basic = await issuer.form("/oauth2/token", demo, grant_type="client_credentials")
    by_post = await issuer.form(
        "/oauth2/token", None, grant_type="client_credentials", client_id=demo.client_id, client_secret=demo.secret
    )

    for answer in (by_basic, by_post):
        assert answer.status == 200, answer
        assert set(answer.json()) == {"access_token", "token_type", "expires_in", "scope"}
        assert answer.json()["token_type"] == "Bearer"
        assert answer.json()["expires_in"] == 900
        assert answer.json()["scope"] == "orders:read orders:write"
        assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")


async def test_basic_credentials_are_form_encoded_as_rfc_6749_section_2_3_1_wants(
    installation: Installation, issuer: Replica
) -> None:
    demo = installation.demo
    encoded = base64.b64encode(f"{quote_plus('de')}%6do:{quote_plus(demo.secret)}".encode()).decode()

    answer = await issuer.send(
        "POST",
        "/oauth2/token",
        data={"grant_type": "client_credentials"},
        headers={"Authorization": f"bAsIc  {encoded}"},
    )

    assert answer.status == 200, answer


@pytest.fixture
async def three_algorithms(tmp_path: Path) -> Installation:
    return await Installation.create(tmp_path, signing_algorithms=ALGORITHMS)


async def test_tokens_of_every_algorithm_verify_with_the_agent_and_with_pyjwt_over_the_jwks(
    three_algorithms: Installation,
) -> None:
    async with three_algorithms.running() as issuer, three_algorithms.agent() as agent:
        jwks = jwt.PyJWKSet.from_dict((await issuer.send("GET", "/.well-known/jwks.json")).json())
        for alg in ALGORITHMS:
            client = await three_algorithms.client(f"signs-{alg}", token_alg=alg)
            token = await issuer.token(client)
            header = jwt.get_unverified_header(token)

            assert header["alg"] == alg
            assert agent.verify(token).client_id == client.client_id
            key = jwks[header["kid"]]
            claims = jwt.decode(
                token, key, algorithms=[alg], audience=AUDIENCE, issuer=three_algorithms.settings.issuer
            )
            assert claims["sub"] == client.client_id


async def test_the_token_is_an_rfc_9068_access_token(installation: Installation, issuer: Replica) -> None:
    before = int(time.time())

    token = await issuer.token(installation.demo, scope="orders:read")

    claims = unverified(token)
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert set(claims) == {"iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "rsq"}
    assert claims["iss"] == installation.settings.issuer
    assert claims["sub"] == claims["client_id"] == "demo"
    assert claims["aud"] == AUDIENCE
    assert claims["scope"] == "orders:read"
    assert before <= claims["iat"] <= int(time.time())
    assert claims["exp"] == claims["iat"] + 900
    assert claims["jti"] != unverified(await issuer.token(installation.demo))["jti"]


async def test_a_token_without_scope_has_no_scope_claim(installation: Installation, issuer: Replica) -> None:
    bare = await installation.client("bare")

    answer = await issuer.form("/oauth2/token", bare, grant_type="client_credentials")

    assert "scope" not in unverified(answer.json()["access_token"])


@pytest.mark.parametrize(("asked", "audience"), [(None, "orders"), ("billing", "billing")])
async def test_the_audience_is_the_resource_that_was_asked_for(
    installation: Installation, issuer: Replica, asked: str | None, audience: str
) -> None:
    parameters = {} if asked is None else {"resource": asked}

    assert unverified(await issuer.token(installation.demo, **parameters))["aud"] == audience


@pytest.mark.parametrize(("wanted", "given"), [(60, 60), (90_000, 86_400)])
async def test_a_client_may_have_its_own_token_lifetime_up_to_the_ceiling(
    installation: Installation, issuer: Replica, wanted: float, given: int
) -> None:
    client = await installation.client("own-lifetime", token_lifetime=wanted)

    answer = await issuer.form("/oauth2/token", client, grant_type="client_credentials")

    claims = unverified(answer.json()["access_token"])
    assert answer.json()["expires_in"] == claims["exp"] - claims["iat"] == given


async def test_the_token_carries_the_revocation_knowledge_that_was_there_before_it(
    installation: Installation, issuer: Replica
) -> None:
    first = unverified(await issuer.token(installation.demo))["rsq"]
    revocation = await issuer.revoke(selector={"sub": "somebody else"})

    second = unverified(await issuer.token(installation.demo))["rsq"]

    assert first < revocation["seq"] == second


@on_every_store
async def test_after_a_rotation_the_new_secret_and_the_one_before_are_good_and_older_ones_are_not(
    installation: Installation, issuer: Replica
) -> None:
    secrets = [installation.demo.secret]
    for _ in range(2):
        rotated = await ClientStore(issuer.services.database).rotate_secret("demo")
        secrets.append(rotated.reveal())

    statuses = [
        (await issuer.form("/oauth2/token", Credentials("demo", secret), grant_type="client_credentials")).status
        for secret in secrets
    ]

    assert statuses == [401, 200, 200]


async def test_a_disabled_client_gets_nothing(installation: Installation, issuer: Replica) -> None:
    disabled = await installation.client("disabled", disabled=True)

    answer = await issuer.form("/oauth2/token", disabled, grant_type="client_credentials")

    assert (answer.status, answer.json()["error"]) == (401, "invalid_client")


@on_every_store
async def test_a_client_that_no_store_could_know_is_unknown(issuer: Replica) -> None:
    for client_id in ("no\0body", "' OR 1=1 --", "x" * 20_000, "\u043a\u0442\u043e"):
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": "x"}

        answer = await issuer.form("/oauth2/token", None, **form)

        assert (answer.status, answer.json()["error"]) == (401, "invalid_client"), client_id


async def test_a_client_may_use_the_grants_that_it_has_and_no_other(
    installation: Installation, issuer: Replica
) -> None:
    client = await installation.client("no-grants", grants=())

    answer = await issuer.form("/oauth2/token", client, grant_type="client_credentials")

    assert (answer.status, answer.json()["error"]) == (400, "unauthorized_client")


async def test_a_token_verifies_after_the_issuer_has_started_again(installation: Installation) -> None:
    async with installation.running() as issuer:
        token = await issuer.token(installation.demo)
    async with installation.running() as issuer, installation.agent() as agent:
        assert agent.verify(token).sub == "demo"
        assert await issuer.active(token, installation.demo)


async def test_an_agent_refuses_the_token_for_another_audience(installation: Installation, issuer: Replica) -> None:
    async with installation.agent(audience="payments") as agent:
        assert rejection(agent, await issuer.token(installation.demo)) == "wrong_audience"


async def test_issuing_tokens_says_nothing_to_anybody(installation: Installation, issuer: Replica) -> None:
    await issuer.token(installation.demo)

    assert len(await numbers(issuer.services.database, Stream.REVOCATIONS)) == 1  # the baseline
