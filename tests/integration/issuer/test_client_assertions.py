"""Clients that authenticate with a key (``private_key_jwt``), over HTTP."""

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import select, update

from issuer.keys.generation import generate
from issuer.store.schema import assertions
from tests.integration.issuer.robot import KEYS, TYPE, Robot
from tests.issuer_under_test import Installation, Replica, on_every_store


@pytest.fixture
async def robot(installation: Installation, issuer: Replica) -> Robot:
    return await Robot.register(installation, issuer)


@on_every_store
@pytest.mark.parametrize("alg", list(KEYS))
async def test_a_client_authenticates_with_its_key(robot: Robot, alg: str) -> None:
    answer = await robot.ask(robot.assertion(alg=alg), client_id="robot")

    assert answer.status == 200, answer
    assert answer.json()["scope"] == "read"


@on_every_store
async def test_each_assertion_is_good_once_whoever_is_first(robot: Robot) -> None:
    assertion = robot.assertion()
    answers = await asyncio.gather(*(robot.ask(assertion) for _ in range(5)))

    assert sorted(answer.status for answer in answers) == [200, 401, 401, 401, 401]
    assert {answer.json()["error"] for answer in answers if answer.status == 401} == {"invalid_client"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"aud": "https://elsewhere.example"}, "aud"),
        ({"aud": None}, "no JWT"),
        ({"exp": 1}, "exp has passed"),
        ({"exp": int(time.time()) + 100_000}, "longer than"),
        ({"exp": None}, "no JWT"),
        ({"nbf": int(time.time()) + 100_000}, "lies ahead"),
        ({"iat": int(time.time()) + 100_000}, "lies ahead"),
        ({"jti": None}, "no JWT"),
        ({"jti": ""}, "jti"),
        ({"jti": "x" * 257}, "jti"),
        ({"iss": "demo"}, "not signed by a key of this client"),
        ({"sub": "demo", "iss": "demo"}, "not signed by a key of this client"),
        ({"sub": "nobody", "iss": "nobody"}, "not signed by a key of this client"),
        ({"key": generate("ES256")}, "not signed by a key of this client"),
        ({"alg": "RS256", "header": {"alg": "ES256"}}, "not signed by a key of this client"),
        ({"header": {"alg": "none"}}, "not signed by a key of this client"),
        ({"header": {"alg": "HS256"}}, "not signed by a key of this client"),
        ({"header": {"typ": "at+jwt"}}, "typ"),
        ({"header": {"crit": ["exp"]}}, "crit"),
        ({"header": {"kid": "another"}}, "not signed by a key of this client"),
    ],
    ids=lambda value: value if isinstance(value, str) else " and ".join(value),  # no times and keys: they change
)
async def test_an_assertion_that_is_not_right_is_refused_and_says_why(
    robot: Robot, changes: dict[str, Any], why: str
) -> None:
    answer = await robot.ask(robot.assertion(**changes))

    assert (answer.status, answer.json()["error"]) == (401, "invalid_client"), answer
    assert why in answer.json()["error_description"]


async def test_an_audience_in_a_list_is_refused_as_it_may_have_been_meant_for_another(robot: Robot) -> None:
    issuer = robot.issuer.services.settings.issuer
    for aud in ([issuer], [issuer, "https://elsewhere.example"], f"{issuer}/oauth2/token", f"{issuer}/"):
        answer = await robot.ask(robot.assertion(aud=aud))
        assert (answer.status, answer.json()["error"]) == (401, "invalid_client"), aud


@pytest.mark.parametrize("assertion", ["", "a.b.c", "..", "x" * 9000, "é.é.é"])
async def test_what_is_no_assertion_is_refused(robot: Robot, assertion: str) -> None:
    answer = await robot.ask(assertion)

    assert answer.status in (400, 401)
    assert answer.json()["error"] in ("invalid_client", "invalid_request")


async def test_only_one_method_at_a_time(installation: Installation, robot: Robot) -> None:
    form = {"grant_type": "client_credentials", "client_assertion_type": TYPE}
    both = await robot.issuer.form("/oauth2/token", installation.demo, client_assertion=robot.assertion(), **form)
    secret = await robot.ask(robot.assertion(), client_id="robot", client_secret="x")
    other = await robot.ask(robot.assertion(), client_id="demo")
    half = await robot.issuer.form("/oauth2/token", None, client_assertion=robot.assertion(), grant_type="x")
    saml = await robot.ask(robot.assertion(), client_assertion_type="urn:ietf:params:oauth:client-assertion-type:saml2")

    said = [(answer.status, answer.json()["error"]) for answer in (both, secret, other, half, saml)]
    assert said == [(400, "invalid_request")] * 2 + [(401, "invalid_client")] + [(400, "invalid_request")] * 2


async def test_a_client_with_keys_has_no_secret_to_guess(robot: Robot) -> None:
    for secret in ("", "x"):
        answer = await robot.issuer.form(
            "/oauth2/token", None, grant_type="client_credentials", client_id="robot", client_secret=secret
        )
        assert (answer.status, answer.json()["error"]) == (401, "invalid_client")


async def test_it_revokes_and_introspects_with_assertions_too(robot: Robot) -> None:
    token = (await robot.ask(robot.assertion())).json()["access_token"]

    async def active() -> bool:
        form = {"client_assertion_type": TYPE, "client_assertion": robot.assertion(), "token": token}
        found: bool = (await robot.issuer.form("/oauth2/introspect", None, **form)).json()["active"]
        return found

    assert await active()
    form = {"client_assertion_type": TYPE, "client_assertion": robot.assertion(), "token": token}
    assert (await robot.issuer.form("/oauth2/revoke", None, **form)).status == 200
    assert not await active()


async def test_used_assertions_are_kept_for_as_long_as_they_could_be_used_again(robot: Robot) -> None:
    inside = robot.issuer.services
    await robot.ask(robot.assertion())
    await inside.assertions.purge()
    async with inside.database.read() as connection:
        assert len((await connection.execute(select(assertions))).all()) == 1

    async with inside.database.write() as connection:
        await connection.execute(update(assertions).values(expires_at=assertions.c.expires_at - 100))
    await inside.assertions.purge()
    async with inside.database.read() as connection:
        assert not (await connection.execute(select(assertions))).all()
