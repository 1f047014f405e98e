"""Agents that enrol, say how they are, and are waited for: over HTTP and over the log, on real stores."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.issuer_under_test import AUDIENCE, Credentials, Installation, Replica, on_every_store, until
from verifier_agent import Agent, AgentSettings, OnStale


async def agents_client(installation: Installation) -> Credentials:
    return await installation.client(
        "agents", scopes=("tocsin.agent", "tocsin.events"), audiences=(installation.settings.issuer,)
    )


def settings(installation: Installation, client: Credentials, name: str, **changes: Any) -> AgentSettings:
    host = installation.settings.issuer.removeprefix("http://")
    usual: dict[str, Any] = {
        "log": installation.settings.log,
        "trust": installation.trust_file,
        "audience": AUDIENCE,
        "enrol_url": f"http://{client.client_id}:{client.secret}@{host}/agents",
        "agent_name": name,
        "status_every": 0.5,
    }
    return AgentSettings(**usual | changes)


@asynccontextmanager
async def enrolled(settings: AgentSettings) -> AsyncIterator[Agent]:
    async with Agent(settings) as agent:
        await until(lambda: _fleet(agent).enrolled, "the agent enrols")
        yield agent


async def deafen(agent: Agent) -> None:
    """Let it hear nothing more of the log; it goes on saying how it is."""
    assert agent._task is not None
    agent._task.cancel()
    await asyncio.wait([agent._task])


def _fleet(agent: Agent) -> Any:
    report = agent.status().fleet
    assert report is not None
    return report


async def listed(issuer: Replica) -> dict[str, Any]:
    answer = await issuer.admin("GET", "/agents")
    assert answer.status == 200, answer
    return {each["name"]: each for each in answer.json()["agents"]}


async def standing(issuer: Replica, name: str) -> str:
    found = (await listed(issuer)).get(name)
    return found["standing"] if found else "absent"


async def awaits(issuer: Replica, name: str, wanted: str) -> None:
    async def reached() -> bool:
        return await standing(issuer, name) == wanted

    await until(reached, f"{name} is {wanted}")


@on_every_store
async def test_an_agent_enrols_says_how_far_it_is_by_the_log_and_leaves_with_a_farewell(
    installation: Installation, issuer: Replica
) -> None:
    client = await agents_client(installation)
    async with enrolled(settings(installation, client, "web-1")) as agent:
        await awaits(issuer, "web-1", "counted")
        await until(lambda: _fleet(agent).path == "log", "statuses go by the log")
        assert (await listed(issuer))["web-1"]["lags"] is False

    await awaits(issuer, "web-1", "left")


async def test_an_agent_that_only_reads_the_feed_says_how_it_is_over_http(
    installation: Installation, issuer: Replica
) -> None:
    client = await agents_client(installation)
    host = issuer.url.removeprefix("http://")
    feed = f"http://{client.client_id}:{client.secret}@{host}/events"
    async with enrolled(settings(installation, client, "edge-1", log=feed)) as agent:
        await until(lambda: _fleet(agent).path == "issuer", "statuses go over HTTP")
        await awaits(issuer, "edge-1", "counted")

    await awaits(issuer, "edge-1", "left")


async def test_an_agent_with_a_folder_is_the_same_agent_after_a_restart(
    installation: Installation, issuer: Replica, tmp_path: Path
) -> None:
    client = await agents_client(installation)
    named = settings(installation, client, "web-1", state_dir=tmp_path / "state")
    async with enrolled(named) as agent:
        first = _fleet(agent).agent
        async with enrolled(settings(installation, client, "web-2", state_dir=tmp_path / "state")) as second:
            assert _fleet(second).agent != first  # the folder is the other's

    key = tmp_path / "state" / "tocsin-agent.key"
    assert key.stat().st_mode & 0o077 == 0
    async with enrolled(named) as agent:
        assert _fleet(agent).agent == first
        await awaits(issuer, "web-1", "counted")


async def test_who_has_applied_a_revocation_is_known_and_who_has_not_is_named(
    installation: Installation, issuer: Replica
) -> None:
    client = await agents_client(installation)
    async with AsyncExitStack() as stack:
        agents = [
            await stack.enter_async_context(enrolled(settings(installation, client, f"web-{index}")))
            for index in range(3)
        ]
        await deafen(agents[1])
        revoked = await issuer.revoke(selector={"sub": "alice"})

        path = f"/revocations/{revoked['id']}/receipts"

        async def all_but_one() -> bool:
            return bool((await issuer.admin("GET", path)).json()["applied"] == 2)

        await until(all_but_one, "two of three have applied it")
        answer = (await issuer.admin("GET", path, Prefer="wait=1")).json()

    assert (answer["counted"], answer["applied"]) == (3, 2)
    assert [(each["name"], each["reason"]) for each in answer["laggards"]] == [("web-1", "not_applied")]


async def test_a_policy_that_changes_while_an_agent_runs_is_announced(
    installation: Installation, issuer: Replica
) -> None:
    client = await agents_client(installation)
    given = settings(installation, client, "web-1")
    async with enrolled(given) as agent:
        assert (await listed(issuer))["web-1"]["max_staleness"] == given.max_staleness
        agent.reconfigure(msgspec.structs.replace(given, on_stale=OnStale.ALLOW))

        async def announced() -> bool:
            return (await listed(issuer))["web-1"]["max_staleness"] is None

        await until(announced, "it says that it goes on however old its knowledge is")


@on_every_store
async def test_a_rotation_waits_for_who_has_not_acknowledged_the_standby_and_names_him(
    installation: Installation, issuer: Replica
) -> None:
    client = await agents_client(installation)
    async with (
        enrolled(settings(installation, client, "web-1")),
        enrolled(settings(installation, client, "web-2")) as deaf,
    ):
        first = await issuer.admin("POST", "/keys/rotate", {"reason": "due"}, Prefer="wait=15")
        assert first.status == 200, first
        await deafen(deaf)
        await issuer.admin("POST", f"/keys/{first.json()['keys'][-1]['kid']}/revoke", {"reason": "a new standby"})

        refused = await issuer.admin("POST", "/keys/rotate", {"reason": "due"})
        assert refused.status == 409
        assert "web-2" in refused.json()["error_description"]
        assert "web-1" not in refused.json()["error_description"]

        forced = await issuer.admin("POST", "/keys/rotate", {"reason": "due", "force": True})
        assert forced.status == 200


async def test_a_removed_agent_is_not_waited_for_and_counts_again_when_it_lives(
    installation: Installation, issuer: Replica
) -> None:
    client = await agents_client(installation)
    async with enrolled(settings(installation, client, "web-1")) as agent:
        removed = await issuer.admin("POST", f"/agents/{_fleet(agent).agent}/remove", {"reason": "a mistake"})
        assert removed.status == 200
        again = await issuer.admin("POST", f"/agents/{_fleet(agent).agent}/remove", {"reason": "a mistake"})
        assert again.status == 409
        assert await standing(issuer, "web-1") == "removed"


@pytest.mark.parametrize("path", ["/agents", "/agents/status"])
async def test_without_the_scope_nobody_enrols_or_says_anything(
    installation: Installation, issuer: Replica, path: str
) -> None:
    token = await issuer.token(installation.operator)

    answer = await issuer.send("POST", path, headers={"Authorization": f"Bearer {token}"}, json={})

    assert answer.status == 403


async def test_an_agent_of_an_older_version_is_named_with_what_it_does_not_understand(
    installation: Installation, issuer: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verifier_agent.fleet.reporter.KNOWN", {"urn:tocsin:event:key-set": None})
    client = await agents_client(installation)
    async with enrolled(settings(installation, client, "old-1")):
        answer = (await issuer.admin("GET", "/agents")).json()

    assert answer["not_understood"]["urn:tocsin:event:revoke"] == ["old-1"]
    assert "urn:tocsin:event:key-set" not in answer["not_understood"]


async def test_how_agents_stand_is_in_the_metrics_without_their_names(
    installation: Installation, issuer: Replica
) -> None:
    client = await agents_client(installation)
    async with enrolled(settings(installation, client, "web-1")):
        await awaits(issuer, "web-1", "counted")
        found = (await issuer.send("GET", "/metrics")).body.decode()

    assert 'tocsin_agents{standing="counted"} 1.0' in found
    assert "web-1" not in found
