"""Agents whose settings name a real Redis: warm starts, the deny-list, and outages that nobody who verifies notices."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from events import LogUnavailable, Selector, SignedEvent
from events.log import EventLog, open_log
from tests.redis_under_test import asking, entries_of, eventually, issuer_of_today
from tests.sealed import sealed_snapshot
from tests.services.service import Service
from tests.simulator import AUDIENCE, publish
from verifier_agent import Agent, AgentSettings, RejectionCode, SettingInvalid, TokenRejected
from verifier_agent.saved import SealedSnapshot
from verifier_agent.sidecar.metrics import AgentMetrics

SOON = 60.0


class World:
    """An issuer and its log in a file."""

    def __init__(self, folder: Path, name: str) -> None:
        self.issuer = issuer_of_today(f"https://{name}.example")
        self.issuer.trust.save(folder / "trust.json")
        self.trust = folder / "trust.json"
        self.prefix = f"{name}:"[-40:]  # a deny-list is one issuer's
        self.url = f"sqlite:///{folder}/events.db"
        self.log: EventLog = open_log(self.url)

    async def fetch(self) -> SealedSnapshot:
        """See ``SnapshotSource``."""
        return sealed_snapshot(self.issuer)

    def agent(self, redis: str, *, log_away: bool = False, source: bool = False, **changes: Any) -> Agent:
        """One that shares Redis with the others."""
        settings: dict[str, Any] = {
            "log": self.url,
            "trust": self.trust,
            "audience": AUDIENCE,
            "start_timeout": SOON,
            "redis": redis,
            "redis_timeout": 0.5,
            "redis_deny_list_prefix": self.prefix,
        }
        return Agent(
            AgentSettings(**settings | changes),
            clock=self.issuer.clock,
            open_event_log=away if log_away else None,
            snapshot_source=self if source else None,
        )

    async def say(self, *events: SignedEvent) -> None:
        """These events and a heartbeat."""
        await publish(self.log, *events, self.issuer.beat())


def away() -> EventLog:
    raise LogUnavailable("the network is away")


def rejection(agent: Agent, token: str) -> RejectionCode | None:
    try:
        agent.verify(token)
    except TokenRejected as rejected:
        return rejected.code
    return None


async def until(agent: Agent, reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not reached():
            await agent.changed()


@pytest.fixture
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    made = World(tmp_path, request.node.name)
    await publish(made.log, *made.issuer.said, made.issuer.beat())
    yield made
    await made.log.close()


async def test_an_agent_starts_from_what_another_has_heard(world: World, redis_server: Service) -> None:
    good, revoked, listed = (world.issuer.token(sub=name) for name in ("bob", "alice", "carol"))
    async with world.agent(redis_server.address, source=True) as first:
        await eventually(lambda: first.status().stores["redis"].snapshot_age is not None)
        await world.say(world.issuer.revoke(Selector.of(sub="alice")), world.issuer.revoke_tokens(listed))
        await until(first, lambda: rejection(first, listed) is RejectionCode.REVOKED)

    async with world.agent(redis_server.address, log_away=True, start_timeout=0.0) as second:
        assert second.status().started_from == "redis"
        assert [rejection(second, token) for token in (good, revoked, listed)] == [
            None,
            RejectionCode.REVOKED,
            RejectionCode.REVOKED,
        ]


async def test_one_of_the_agents_keeps_the_deny_list(world: World, redis_server: Service) -> None:
    token = world.issuer.token(sub="dave")
    async with world.agent(redis_server.address) as first, world.agent(redis_server.address) as second:
        await world.say(world.issuer.revoke_tokens(token))
        async with asking(redis_server.address) as redis:

            async def listed() -> bool:
                return await redis.exists(*entries_of(token, prefix=world.prefix)) == 2

            await eventually(listed)
        reports = [agent.status().redis for agent in (first, second)]
        assert sorted(report.writes for report in reports if report) == [False, True]
        text = generate_latest(AgentMetrics(first).registry).decode()
    assert "tocsin_redis_available 1.0" in text
    assert 'tocsin_started_from{source="log"} 1.0' in text


async def test_an_outage_of_redis_is_noticed_by_nobody_who_verifies(
    world: World, redis_server_of_its_own: Service
) -> None:
    server, good, revoked = redis_server_of_its_own, world.issuer.token(sub="bob"), world.issuer.token(sub="alice")
    async with world.agent(server.address) as agent:
        await asyncio.to_thread(server.pause)
        await world.say(world.issuer.revoke_tokens(revoked))
        await until(agent, lambda: rejection(agent, revoked) is RejectionCode.REVOKED)
        assert rejection(agent, good) is None
        async with world.agent(server.address) as late:  # starts without Redis
            assert late.status().started_from == "log"
            assert rejection(late, revoked) is RejectionCode.REVOKED
        await asyncio.to_thread(server.resume)
        async with asking(server.address) as redis:

            async def listed() -> bool:
                return await redis.exists(*entries_of(revoked, prefix=world.prefix)) == 2

            await eventually(listed)


async def test_without_a_deny_list_there_is_none(world: World, redis_server_of_its_own: Service) -> None:
    token = world.issuer.token()
    async with world.agent(redis_server_of_its_own.address, redis_deny_list=False) as agent:
        await world.say(world.issuer.revoke_tokens(token))
        await until(agent, lambda: rejection(agent, token) is RejectionCode.REVOKED)
        await eventually(lambda: agent.status().stores["redis"].events > 0)
    async with asking(redis_server_of_its_own.address) as redis:
        assert await redis.exists(*entries_of(token, prefix=world.prefix)) == 0


@pytest.mark.parametrize(
    ("redis", "changes", "said"),
    [
        ("http://localhost", {}, "setting 'redis' must be redis://"),
        ("redis://:secret@host:x", {}, "setting 'redis' must name each host"),
        ("redis://localhost", {"redis_prefix": "a b"}, "setting 'redis_prefix' must be"),
        ("redis://localhost", {"redis_timeout": 0.0}, "setting 'redis_timeout' must be"),
    ],
)
def test_settings_that_cannot_be_used_are_named(tmp_path: Path, redis: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingInvalid) as refused:
        World(tmp_path, "issuer").agent(redis, **changes)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_the_settings_show_no_password() -> None:
    settings = AgentSettings(log="memory:", trust=Path("trust.json"), redis="rediss://user:secret@host/0")
    assert "secret" not in repr(settings)
    assert "host" in repr(settings)


async def test_with_nothing_saved_an_agent_starts_from_the_issuers_snapshot(
    world: World, redis_server_of_its_own: Service
) -> None:
    world.issuer.revoke(Selector.of(sub="alice"))  # the log does not know of it
    token = world.issuer.token(sub="alice", rsq=0)
    async with world.agent(redis_server_of_its_own.address, log_away=True, source=True, start_timeout=0.0) as agent:
        assert agent.status().started_from == "issuer"
        assert rejection(agent, token) is RejectionCode.REVOKED
        await eventually(lambda: agent.status().stores["redis"].snapshot_age is not None)
