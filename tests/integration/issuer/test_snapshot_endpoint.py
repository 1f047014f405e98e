"""``GET /snapshot`` of a real issuer."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.issuer.feed_reader import bearer, feed_url, reading_client
from tests.issuer_under_test import (
    AUDIENCE,
    Answer,
    Credentials,
    Installation,
    Replica,
    ShiftedClock,
    on_every_store,
    rejection,
    until,
)
from verifier_agent import Agent, AgentSettings, SettingInvalid, Verifier
from verifier_agent.errors import StoreUnavailable
from verifier_agent.saved import SealedSnapshot
from verifier_agent.saved.source import IssuerSource

DAY = 86_400.0


@pytest.fixture
async def reader(installation: Installation) -> Credentials:
    """The client that agents read with."""
    return await reading_client(installation)


def snapshot_url(issuer: Replica, client: Credentials | None) -> str:
    return feed_url(issuer.url, client).removesuffix("/events") + "/snapshot"


async def ask(issuer: Replica, reader: Credentials, **headers: str) -> Answer:
    sent = await bearer(issuer, reader) | {name.replace("_", "-"): text for name, text in headers.items()}
    return await issuer.send("GET", "/snapshot", headers=sent)


def restored(installation: Installation, answer: Answer) -> Verifier:
    """A new verifier that has started from the answer."""
    seal, _, data = answer.body.partition(b"\n")
    verifier = Verifier(installation.trust)
    verifier.restore_sealed(SealedSnapshot(seal=seal, data=data), now=time.time(), boot=0.0, max_age=DAY)
    return verifier


@on_every_store
async def test_a_snapshot_holds_all_that_was_decided_before_it_was_asked_for(
    installation: Installation, reader: Credentials
) -> None:
    async with installation.running() as issuer, installation.running(port=0) as beside:
        for number in range(5):
            await issuer.revoke(selector={"sub": f"user-{number}"})
        await beside.revoke(jti="some-token")
        answer = await ask(issuer, reader)
        verifier = restored(installation, answer)

        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert verifier.state.revocations.selectors == 5
        assert verifier.state.revocations.digests == 1
        assert verifier.state.freshness.covered is not None
        assert not verifier.state.holes()


async def test_many_who_ask_at_once_are_given_the_same(issuer: Replica, reader: Credentials) -> None:
    answers = await asyncio.gather(*[ask(issuer, reader) for _ in range(10)])

    assert len({answer.body for answer in answers}) == 1


async def test_who_has_it_is_told_so(issuer: Replica, reader: Credentials) -> None:
    first = await ask(issuer, reader)
    again = await ask(issuer, reader, If_None_Match=first.headers["ETag"])

    assert (again.status, again.body) == (304, b"")
    assert (await ask(issuer, reader, If_None_Match='"another"')).status == 200


async def test_a_snapshot_is_for_agents_alone(installation: Installation, issuer: Replica) -> None:
    assert (await issuer.send("GET", "/snapshot")).status == 401
    answer = await issuer.send("GET", "/snapshot", headers=await bearer(issuer, installation.operator))
    assert answer.status == 403
    assert 'scope="tocsin.events"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(("feed", "status"), [("open", 200), ("off", 404)])
async def test_it_is_as_open_as_the_feed(tmp_path: Path, feed: str, status: int) -> None:
    installation = await Installation.create(tmp_path, feed=feed)
    async with installation.running() as issuer:
        assert (await issuer.send("GET", "/snapshot")).status == status


async def test_an_issuer_whose_store_has_gone_back_seals_nothing(issuer: Replica, reader: Credentials) -> None:
    issuer.services.relay.halted = "the log is ahead"

    assert (await ask(issuer, reader)).status == 503


async def test_nothing_is_sealed_while_the_clock_leaps(
    installation: Installation, issuer: Replica, reader: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("issuer.outbox.snapshots.KEPT_SECONDS", 0.0)
    own = issuer.services.own_agent
    assert (await ask(issuer, reader)).status == 200
    monkeypatch.setattr(own._clock_guard, "trusts", lambda *_: False)
    await until(lambda: not own.clock_trusted, "the own agent sees the leap")

    assert (await ask(issuer, reader)).status == 503


async def test_readers_beyond_the_bound_are_put_off(
    issuer: Replica, reader: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("issuer.outbox.snapshots.MOST_READERS", 0)
    answer = await ask(issuer, reader)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


async def test_agents_fetch_it_with_a_client_of_their_own(
    installation: Installation, issuer: Replica, reader: Credentials
) -> None:
    await issuer.revoke(selector={"sub": "alice"})
    verifier = Verifier(installation.trust)
    snapshot = await IssuerSource(snapshot_url(issuer, reader)).fetch()
    verifier.restore_sealed(snapshot, now=time.time(), boot=0.0, max_age=DAY)

    assert verifier.state.revocations.selectors == 1


@pytest.mark.parametrize(
    ("client", "code"),
    [(None, "source_refused"), (Credentials("agents", "wrong"), "source_refused")],
)
async def test_a_source_that_refuses_is_told_from_one_that_is_away(
    issuer: Replica, reader: Credentials, client: Credentials | None, code: str
) -> None:
    with pytest.raises(StoreUnavailable) as refused:
        await IssuerSource(snapshot_url(issuer, client)).fetch()
    assert refused.value.code == code
    with pytest.raises(StoreUnavailable) as away:
        await IssuerSource("http://127.0.0.1:9/snapshot").fetch()
    assert away.value.code == "source_away"


@pytest.mark.parametrize("url", ["https://issuer.example/events", "ftp://issuer.example/snapshot", "https:///snapshot"])
def test_an_address_that_is_no_snapshots_is_refused_without_secrets(url: str) -> None:
    with pytest.raises(SettingInvalid, match="setting 'snapshot_url'"):
        IssuerSource(url)


async def test_an_agent_that_was_given_folder_and_issuer_starts_from_its_folder_when_all_is_away(
    installation: Installation, reader: Credentials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verifier_agent.saved.keeper.SAVE_SECONDS", 0.05)
    common: dict[str, Any] = {"trust": installation.trust_file, "audience": AUDIENCE, "state_dir": tmp_path / "state"}
    async with installation.running() as issuer:
        revoked = await issuer.token(installation.demo)
        await issuer.revoke(selector={"client_id": "demo"})
        good = await issuer.token(installation.demo)
        settings = AgentSettings(log=installation.settings.log, snapshot_url=snapshot_url(issuer, reader), **common)
        async with Agent(settings) as agent:
            await until(lambda: agent.status().stores["disk"].snapshot_age is not None, "a snapshot was saved")
    nowhere = AgentSettings(log="http://127.0.0.1:9/events", start_timeout=0, **common)

    async with Agent(nowhere, clock=ShiftedClock(ahead=60.0)) as agent:
        assert (agent.status().started_from, agent.status().ready) == ("disk", False)
        assert rejection(agent, revoked) == "revoked"
        assert rejection(agent, good) is None
        age = agent.freshness()
        assert age is not None
        assert age >= 60


async def test_an_agent_of_the_feed_starts_warm_too(
    installation: Installation, issuer: Replica, reader: Credentials, tmp_path: Path
) -> None:
    settings = AgentSettings(
        log=feed_url(issuer.url, reader), trust=installation.trust_file, audience=AUDIENCE, state_dir=tmp_path / "state"
    )
    for number in range(8):
        await issuer.revoke(selector={"sub": f"user-{number}"})
    async with Agent(settings) as agent:
        assert agent.status().ready
        assert agent.status().started_from == "log"
    for number in range(3):
        await issuer.revoke(selector={"sub": f"late-{number}"})

    async with Agent(settings) as agent:
        status = agent.status()
        assert (status.ready, status.started_from, status.selectors) == (True, "disk", 11)
        assert (status.holes, status.log_failures) == ({}, 0)
