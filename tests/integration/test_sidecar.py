"""The sidecar over HTTP, fed by a simulated issuer through a log in memory."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from events import Selector, SignedEvent
from events.log.memory import MemoryLog
from tests.simulator import AUDIENCE, IssuerSimulator, publish
from verifier_agent import Agent, AgentSettings
from verifier_agent.sidecar.app import FRESHNESS, create_app


@dataclass
class Sidecar:
    """A sidecar, the issuer that it hears, and the log between them."""

    http: TestClient[web.Request, web.Application]
    issuer: IssuerSimulator
    log: MemoryLog
    agent: Agent

    async def hear(self, *events: SignedEvent) -> None:
        """Let the agent hear these events, and wait until it has."""
        sequences = self.agent.verifier.state.sequences
        await publish(self.log, *events)
        while any(sequences[event.stream].contiguous() < event.seq for event in events):
            await self.agent.changed()

    async def ask(self, token: str | None, query: str = "") -> ClientResponse:
        """The answer of /verify."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return await self.http.get(f"/verify{query}", headers=headers)


async def _sidecar(folder: Path, *, audience: str | None, knows: bool) -> AsyncIterator[Sidecar]:
    issuer, log = IssuerSimulator(), MemoryLog()
    issuer.trust.save(folder / "trust.json")
    if knows:
        await publish(log, *issuer.said, issuer.beat())
    settings = AgentSettings(log="memory:", trust=folder / "trust.json", audience=audience, start_timeout=0.2)
    agent = Agent(settings, open_event_log=lambda: log, clock=issuer.clock)
    async with TestClient(TestServer(create_app(agent))) as http:
        yield Sidecar(http, issuer, log, agent)


@pytest.fixture
async def sidecar(tmp_path: Path) -> AsyncIterator[Sidecar]:
    """One that knows everything."""
    async for made in _sidecar(tmp_path, audience=AUDIENCE, knows=True):
        yield made


@pytest.fixture
async def newborn(tmp_path: Path) -> AsyncIterator[Sidecar]:
    """One that has heard nothing."""
    async for made in _sidecar(tmp_path, audience=AUDIENCE, knows=False):
        yield made


@pytest.fixture
async def without_audience(tmp_path: Path) -> AsyncIterator[Sidecar]:
    """One whose settings name no audience."""
    async for made in _sidecar(tmp_path, audience=None, knows=True):
        yield made


async def test_a_good_token_is_answered_with_its_claims_and_how_fresh_the_agent_is(sidecar: Sidecar) -> None:
    answer = await sidecar.ask(sidecar.issuer.token(sub="alice"))

    assert answer.status == 200
    assert (await answer.json())["sub"] == "alice"
    assert answer.headers["Cache-Control"] == "no-store"
    assert float(answer.headers[FRESHNESS]) >= 0


async def test_a_revoked_token_is_answered_401_with_the_challenge_of_rfc_6750(sidecar: Sidecar) -> None:
    token = sidecar.issuer.token(sub="alice")
    assert (await sidecar.ask(token)).status == 200

    await sidecar.hear(sidecar.issuer.revoke(Selector.of(sub="alice")))
    answer = await sidecar.ask(token)

    assert answer.status == 401
    assert (await answer.json())["code"] == "revoked"
    assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')
    assert token not in await answer.text()


async def test_a_token_without_the_scope_is_answered_403(sidecar: Sidecar) -> None:
    answer = await sidecar.ask(sidecar.issuer.token(scope="orders:read"), "?scope=orders:delete")

    assert answer.status == 403
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


async def test_an_audience_in_the_query_replaces_the_configured_one(sidecar: Sidecar) -> None:
    token = sidecar.issuer.token(aud="billing")

    assert (await sidecar.ask(token)).status == 401
    assert (await sidecar.ask(token, "?audience=billing")).status == 200


@pytest.mark.parametrize("authorization", [None, "Basic YTpi", "Bearer", "bearer "])
async def test_a_request_without_a_bearer_token_is_answered_401(sidecar: Sidecar, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = await sidecar.http.get("/verify", headers=headers)

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("query", ["?audience=a&audience=b", "?scopes=x", "?scope=a&scope=b"])
async def test_a_query_that_is_repeated_or_unknown_is_answered_400(sidecar: Sidecar, query: str) -> None:
    assert (await sidecar.ask(sidecar.issuer.token(), query)).status == 400


async def test_a_missing_audience_is_answered_400_and_not_by_skipping_the_check(without_audience: Sidecar) -> None:
    token = without_audience.issuer.token()

    assert (await without_audience.ask(token)).status == 400
    assert (await without_audience.ask(token, f"?audience={AUDIENCE}")).status == 200


async def test_an_agent_that_has_heard_nothing_answers_503_and_is_not_ready(newborn: Sidecar) -> None:
    answer = await newborn.ask(newborn.issuer.token())

    assert answer.status == 503
    assert (await answer.json())["code"] == "no_keys"
    assert answer.headers[FRESHNESS] == "never"
    assert answer.headers["Retry-After"] == "1"
    assert (await newborn.http.get("/readyz")).status == 503
    assert (await newborn.http.get("/livez")).status == 200


async def test_an_agent_whose_knowledge_is_too_old_answers_503(sidecar: Sidecar) -> None:
    token = sidecar.issuer.token(exp=int(sidecar.issuer.clock.now()) + 7200)
    sidecar.issuer.clock.advance(901)

    answer = await sidecar.ask(token)

    assert answer.status == 503
    assert (await answer.json())["code"] == "stale"


async def test_a_request_may_ask_for_newer_knowledge(sidecar: Sidecar) -> None:
    token = sidecar.issuer.token()
    sidecar.issuer.clock.advance(10)

    assert (await sidecar.ask(token, "?max_staleness=5s")).status == 503
    assert (await sidecar.ask(token, "?max_staleness=1m")).status == 200
    refused = await sidecar.ask(token, "?max_staleness=soon")
    assert refused.status == 400
    assert "'soon' is no length of time" in (await refused.json())["error_description"]


async def test_status_and_metrics_tell_what_is_known(sidecar: Sidecar) -> None:
    await sidecar.hear(sidecar.issuer.revoke(Selector.of(sub="alice")))
    await sidecar.ask(sidecar.issuer.token())
    await sidecar.ask("garbage")

    status = await (await sidecar.http.get("/status")).json()
    metrics = await (await sidecar.http.get("/metrics")).text()

    assert status["ready"] is True
    assert status["selectors"] == 1
    assert status["holes"] == {}
    assert 'tocsin_revocations{kind="selector"} 1.0' in metrics
    assert 'tocsin_verdicts_total{verdict="verified"} 1.0' in metrics
    assert 'tocsin_verdicts_total{verdict="malformed"} 1.0' in metrics
