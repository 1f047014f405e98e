"""An agent behind its sidecar that takes tokens of our own issuer and of one whose keys it fetches over HTTP."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from events import Selector
from events.log.memory import MemoryLog
from tests.integration.jwks_server import JwksServer
from tests.simulator import AUDIENCE, FakeClock, IssuerSimulator, publish
from tests.unit.jwks.foreign_issuer import key
from verifier_agent import Agent, AgentSettings, SettingInvalid, Sources
from verifier_agent.sidecar.app import CALLER, create_app


class RunningClock(FakeClock):
    """Its wall clock stands still, its boot-time clock runs."""

    def boot(self) -> float:
        """See ``Clock.boot``."""
        return time.monotonic()


@dataclass
class Sidecar:
    """The agent's HTTP side, and the two issuers."""

    http: TestClient[web.Request, web.Application]
    agent: Agent
    own: IssuerSimulator
    log: MemoryLog
    foreign: JwksServer

    def foreign_token(self, kid: str) -> str:
        now = int(self.own.clock.now())
        claims = {"iss": self.foreign.issuer, "sub": "carol", "aud": AUDIENCE, "iat": now, "exp": now + 300}
        return key(kid).jws({"alg": "ES256", "kid": kid, "typ": "JWT"}, json.dumps(claims).encode())

    async def ask(self, token: str, caller: str = "192.0.2.1") -> ClientResponse:
        return await self.http.get("/verify", headers={"Authorization": f"Bearer {token}", CALLER: caller})


@pytest.fixture
async def sidecar(tmp_path: Path) -> AsyncIterator[Sidecar]:
    own, log = IssuerSimulator(clock=RunningClock()), MemoryLog()
    own.trust.save(tmp_path / "trust.json")
    await publish(log, *own.said, own.beat())
    async with JwksServer() as foreign:
        (tmp_path / "tocsin.toml").write_text(
            f'log = "memory:"\ntrust = "{tmp_path}/trust.json"\naudience = "{AUDIENCE}"\n'
            f'[[foreign_issuers]]\nissuer = "{foreign.issuer}"\nspacing = "100ms"\ncool_down = "1s"\n'
        )
        settings = Sources.find({}, tmp_path / "tocsin.toml").read(AgentSettings)
        agent = Agent(settings, open_event_log=lambda: log, clock=own.clock)
        async with TestClient(TestServer(create_app(agent))) as http:
            yield Sidecar(http, agent, own, log, foreign)


async def test_tokens_of_both_issuers_are_good_from_the_first_request(sidecar: Sidecar) -> None:
    for token, sub in [(sidecar.foreign_token("one"), "carol"), (sidecar.own.token(), "alice")]:
        answer = await sidecar.ask(token)

        assert (answer.status, (await answer.json())["sub"]) == (200, sub)


async def test_a_new_key_is_fetched_for_who_waits_and_an_absent_one_is_rejected(sidecar: Sidecar) -> None:
    assert (await sidecar.ask(sidecar.foreign_token("one"))).status == 200
    sidecar.foreign.kids.append("new")

    assert (await sidecar.ask(sidecar.foreign_token("new"))).status == 200
    assert (await sidecar.ask(sidecar.foreign_token("absent"), caller="192.0.2.2")).status == 401


async def test_a_key_that_is_taken_away_verifies_no_more_once_that_is_known(sidecar: Sidecar) -> None:
    token = sidecar.foreign_token("one")
    assert (await sidecar.ask(token)).status == 200
    sidecar.foreign.kids = ["new"]
    assert (await sidecar.ask(sidecar.foreign_token("new"))).status == 200

    assert (await sidecar.ask(token)).status == 401


async def test_foreign_tokens_are_revoked_by_our_events(sidecar: Sidecar) -> None:
    token = sidecar.foreign_token("one")
    assert (await sidecar.ask(token)).status == 200

    await publish(sidecar.log, sidecar.own.revoke(Selector(claims={"sub": "carol"}, issuer=sidecar.foreign.issuer)))
    while sidecar.agent.status().selectors == 0:
        await sidecar.agent.changed()

    answer = await sidecar.ask(token)
    assert (answer.status, (await answer.json())["code"]) == (401, "revoked")
    assert (await sidecar.ask(sidecar.own.token())).status == 200


async def test_an_issuer_that_does_not_answer_takes_nothing_from_the_other(sidecar: Sidecar) -> None:
    known, new = sidecar.foreign_token("one"), sidecar.foreign_token("new")
    assert (await sidecar.ask(known)).status == 200
    await sidecar.foreign.close()

    answer = await sidecar.ask(new)

    assert (answer.status, (await answer.json())["code"]) == (503, "key_pending")
    assert (await sidecar.ask(known)).status == 200
    assert (await sidecar.ask(sidecar.own.token())).status == 200


async def test_the_state_of_foreign_keys_is_told(sidecar: Sidecar) -> None:
    await sidecar.ask(sidecar.foreign_token("one"))

    status = await (await sidecar.http.get("/status")).json()
    metrics = await (await sidecar.http.get("/metrics")).text()

    told = status["foreign"][sidecar.foreign.issuer]
    assert (told["keys"], told["usable"], told["refreshes"], told["last_error"]) == (["one"], True, 1, None)
    assert f'tocsin_foreign_keys{{issuer="{sidecar.foreign.issuer}"}} 1.0' in metrics
    assert f'tocsin_jwks_refreshes_total{{issuer="{sidecar.foreign.issuer}",result="good"}} 1.0' in metrics


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ('foreign_issuers = "https://login.example"', "array of tables"),
        ("[[foreign_issuers]]\nissuer = 7", "issuer"),
        ('[[foreign_issuers]]\nissuer = "https://a.example"\nisuer = "x"', "did you mean 'issuer'"),
        ('[[foreign_issuers]]\nissuer = "https://a.example"\ncool_down = "-1s"', "cool_down"),
        ('[[foreign_issuers]]\nissuer = "https://issuer.example"', "own"),
    ],
)
def test_a_wrong_setting_of_a_foreign_issuer_is_named(tmp_path: Path, tables: str, message: str) -> None:
    IssuerSimulator().trust.save(tmp_path / "trust.json")
    (tmp_path / "tocsin.toml").write_text(f'log = "memory:"\ntrust = "{tmp_path}/trust.json"\n{tables}\n')

    with pytest.raises(SettingInvalid, match=message):
        Agent(Sources.find({}, tmp_path / "tocsin.toml").read(AgentSettings))
