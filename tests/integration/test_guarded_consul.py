"""A real Consul with access control and TLS, and three that elect a leader: what a program may, and what it says."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from issuer.leadership.consul_lock import ConsulLock
from issuer.leadership.leader_lock import LockUnavailable
from tests.consul_deployments import Authority, GuardedConsul, guarded_consul, leader_of, three_consuls
from tests.integration.test_consul_configuration import say
from tests.services.service import ServiceMissing
from tests.unit.hot.test_hot_configuration import KNOWN, Door, Level
from verifier_agent import Sources
from verifier_agent.clocks import SystemClock
from verifier_agent.consul import ConsulPlace, ConsulSettings, ConsulUnavailable
from verifier_agent.consul.connection import ConsulConnection
from verifier_agent.hot import HotConfiguration
from verifier_agent.hot.following import Following, following, registered

T = TypeVar("T")

SOON = 60.0
"""Seconds within which what is expected happens; none of it takes that long."""
GOODBYE_SECONDS = 1.5
READS = 'key_prefix "{prefix}/door/" {{ policy = "read" }}'


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedConsul]:
    """A server with access control and TLS."""
    try:
        with guarded_consul(tmp_path_factory.mktemp("guarded")) as consul:
            yield consul
    except ServiceMissing as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
async def connections_have_ended(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """TLS has a goodbye, which Consul answers when it has answered what it was asked: until then nothing is closed."""
    monkeypatch.setattr("verifier_agent.consul.watch.WAIT_SECONDS", 1.0)
    yield
    await asyncio.sleep(GOODBYE_SECONDS)


@asynccontextmanager
async def followed(url: str, **more: Any) -> AsyncIterator[Following]:
    configuration = HotConfiguration([Door, Level], Sources({}, {}), KNOWN)
    async with following(configuration, ConsulSettings(consul=url, **more), "door", SystemClock()) as one:
        yield one


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(SOON):
        while not true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.02)


async def tried(call: Callable[[], Awaitable[T]]) -> T:
    """What it comes to, once those who were elected just now answer."""
    async with asyncio.timeout(SOON):
        while True:
            try:
                return await call()
            except (OSError, LockUnavailable):
                await asyncio.sleep(0.1)


def most(one: Following) -> float:
    return one.configuration.live(Door).now.most


def fault(one: Following) -> str:
    return (one.report().consul or {})["error"] or ""


async def test_a_token_that_may_read_its_folder_alone_suffices_to_be_told_over_tls(guarded: GuardedConsul) -> None:
    token = guarded.token(READS.format(prefix="told"))
    guarded.put("told/door/most", "20s")
    async with followed(guarded.url(token, "told")) as one:
        assert most(one) == 20
        guarded.put("told/door/most", "30s")
        await until(lambda: most(one) == 30)
        assert fault(one) == ""

    async with ConsulConnection(ConsulPlace.parse(guarded.url(token, "told"))) as connection:
        with pytest.raises(ConsulUnavailable, match=r"ACL token does not allow it: .*key:write") as refused:
            await connection.write("door", {"most": "40s"}, {})
        assert refused.value.denied
        assert token not in str(refused.value)


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("3f2a8b54-0000-4000-8000-9d5d3f9bb1a1", "does not allow it: .*ACL not found"),
        ("none of its own", "does not allow it: it may not read all that there is"),
        (None, "does not allow it: there is none, and without one Consul shows nothing"),
    ],
)
async def test_a_token_that_may_not_read_is_named_as_the_fault_and_the_folder_not_taken_for_empty(
    guarded: GuardedConsul, token: str | None, words: str
) -> None:
    guarded.put("denied/door/most", "20s")
    if token == "none of its own":
        token = guarded.token('key_prefix "elsewhere/" { policy = "read" }')
    async with ConsulConnection(ConsulPlace.parse(guarded.url(token, "denied"))) as connection:
        with pytest.raises(ConsulUnavailable, match=words) as refused:
            await connection.folder("door")
    assert refused.value.denied
    assert token is None or token not in str(refused.value)

    async with followed(guarded.url(token, "denied")) as one:
        assert most(one) == 10
        assert "ACL token does not allow it" in fault(one)
        assert not one.has_heard


async def test_a_token_that_loses_its_rights_takes_nothing_back(guarded: GuardedConsul) -> None:
    token = guarded.token(READS.format(prefix="lost"))
    guarded.put("lost/door/most", "20s")
    async with followed(guarded.url(token, "lost")) as one:
        assert most(one) == 20

        await asyncio.to_thread(guarded.change_rules, token, 'key_prefix "elsewhere/" { policy = "read" }')
        await until_denied(guarded.url(token, "lost"))
        guarded.put("lost/door/most", "25s")
        await until(lambda: "may not read all" in fault(one))
        assert most(one) in (20, 25), "what Consul was asked before it still answers by the rights of before"

        await asyncio.to_thread(guarded.change_rules, token, READS.format(prefix="lost"))
        guarded.put("lost/door/most", "30s")
        await until(lambda: most(one) == 30)


async def until_denied(url: str) -> None:
    """Consul goes by the rights of before for a moment."""
    async with ConsulConnection(ConsulPlace.parse(url)) as connection, asyncio.timeout(SOON):
        while True:
            try:
                await connection.folder("door")
            except ConsulUnavailable:
                return
            await asyncio.sleep(0.05)


async def test_a_certificate_of_another_authority_is_refused_by_name(guarded: GuardedConsul, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    token = guarded.token(READS.format(prefix="tls"))
    for ca, words in (
        (other.ca, f"its certificate is not good by 'ca' ({other.ca})"),
        (None, "this machine's authorities"),
    ):
        async with followed(guarded.url(token, "tls", ca=ca)) as one:
            assert words in fault(one)
            assert "certificate verify failed" in fault(one)
            assert token not in fault(one)


async def test_a_consul_that_asks_for_a_certificate_gets_ours_or_is_not_spoken_to(guarded: GuardedConsul) -> None:
    token = guarded.token(READS.format(prefix="certificate"))
    guarded.put("certificate/door/most", "20s")
    async with followed(guarded.url(token, "certificate", cert=None, key=None)) as one:
        assert "certificate" in fault(one).lower()
        assert most(one) == 10
    async with followed(guarded.url(token, "certificate")) as one:
        assert most(one) == 20


async def test_registering_takes_a_right_of_its_own_and_nothing_depends_on_it(guarded: GuardedConsul) -> None:
    rules = READS.format(prefix="registered")
    reader, whole = guarded.token(rules), guarded.token(f'{rules} service "tocsin-door" {{ policy = "write" }}')
    guarded.put("registered/door/most", "20s")

    async def listed(token: str) -> bool:
        async with ConsulConnection(ConsulPlace.parse(guarded.url(whole, "registered"))) as asking:
            url = guarded.url(token, "registered")
            settings = ConsulSettings(consul=url, consul_register=True, consul_address="127.0.0.1")
            async with followed(url) as one, registered(one.consul, settings, "tocsin-door", "127.0.0.1", 4711):
                assert most(one) == 20
                for _ in range(20):
                    services = await asking.ask(lambda api: api.agent.services())
                    if services:
                        return True
                    await asyncio.sleep(0.1)
                return False

    assert await listed(whole)
    assert not await listed(reader)


async def test_the_leader_lock_takes_rights_of_its_own_and_says_which_are_missing(guarded: GuardedConsul) -> None:
    rules = 'key "lock/issuer-leader" { policy = "write" } session_prefix "" { policy = "write" }'
    for token, good in ((guarded.token(rules), True), (guarded.token(READS.format(prefix="lock")), False)):
        async with ConsulConnection(ConsulPlace.parse(guarded.url(token, "lock"))) as connection:
            lock = ConsulLock(connection, "one")
            if good:
                assert await lock.held()
                await lock.release()
            else:
                with pytest.raises(LockUnavailable, match=r"ACL token does not allow it: .*session:write"):
                    await lock.held()


@pytest.mark.skipif("TOCSIN_TEST_CLUSTERS" not in os.environ, reason="set TOCSIN_TEST_CLUSTERS=1: three servers")
@pytest.mark.timeout(180)
async def test_when_the_leader_of_three_servers_dies_what_was_set_stays_and_changes_are_heard_again() -> None:
    try:
        cluster = three_consuls()
        with cluster as servers:
            await until(lambda: leader_of(servers) is not None)
            leader = leader_of(servers)
            assert leader is not None
            followers = [server for number, server in enumerate(servers) if number != leader]
            await tried(lambda: say(servers[leader].address, "elected", most="20s"))
            async with followed(f"{followers[0].address}/elected") as one:
                await until(lambda: most(one) == 20)
                async with ConsulConnection(ConsulPlace.parse(f"{followers[0].address}/elected")) as connection:
                    lock = ConsulLock(connection, "one")
                    assert await tried(lock.held)

                    await asyncio.to_thread(servers[leader].kill)
                    await until(lambda: leader_of(followers) not in (None, leader))

                    assert most(one) == 20
                    await tried(lambda: say(followers[1].address, "elected", most="30s"))
                    await until(lambda: most(one) == 30)
                    await until(lambda: fault(one) == "")
                    assert await tried(lock.held), "the session was not lost with the leader"
    except ServiceMissing as error:
        pytest.skip(str(error))
