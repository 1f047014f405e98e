"""An agent on three brokers whose leaders are killed. Three JVMs: only where ``TOCSIN_TEST_KAFKA_CLUSTER`` is set."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from events import Stream
from tests.integration.kafka_life import SOON, KafkaLife, rejection, until, watched
from tests.services.cache import Cache
from tests.services.kafka import Kafka
from tests.services.kafka_cluster import KafkaCluster
from tests.services.search import services_are_required
from tests.services.service import ServiceMissing
from verifier_agent import RejectionCode

VARIABLE = "TOCSIN_TEST_KAFKA_CLUSTER"
PAUSE_SECONDS = 0.05

pytestmark = [
    pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} is not set: three brokers need 1 GB"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    """Three brokers, which a test may kill."""
    try:
        made = KafkaCluster(Kafka(Cache.of(os.environ)))
    except ServiceMissing as missing:
        if services_are_required(os.environ):
            raise
        pytest.skip(str(missing))
    with made.running() as running:
        yield running


@pytest.fixture
async def life(cluster: KafkaCluster, tmp_path: Path) -> AsyncIterator[KafkaLife]:
    """Topics with a replica on each broker."""
    begun = await KafkaLife.begin(cluster.address, tmp_path, replication=3)
    yield begun
    await begun.close()


async def test_with_each_leader_killed_in_turn_every_revocation_arrives_once(
    cluster: KafkaCluster, life: KafkaLife
) -> None:
    good = life.issuer.token()
    doomed: list[str] = []

    async def revoke_all_the_while() -> None:
        while True:
            doomed.append(life.issuer.token(sub=f"user-{len(doomed)}"))
            await life.revoke(f"user-{len(doomed) - 1}")
            await asyncio.sleep(PAUSE_SECONDS)

    async def hear_of(more: int) -> None:
        enough = agent.status().selectors + more
        await until(lambda: agent.status().selectors >= enough)
        assert rejection(agent, good) is None

    async with life.agent() as agent:
        effects = watched(agent)
        revoking = asyncio.create_task(revoke_all_the_while())
        led = set()
        for _ in cluster.nodes:
            await hear_of(10)
            leader = await life.leader_of(Stream.REVOCATIONS)
            led.add(leader)
            await asyncio.to_thread(cluster.nodes[leader].kill)
            await hear_of(10)
            await asyncio.to_thread(cluster.nodes[leader].start)
            await life.all_replicas_in_sync(Stream.REVOCATIONS, len(cluster.nodes))
        revoking.cancel()
        await asyncio.wait([revoking], timeout=SOON)
        await life.say(*life.issuer.said[-1:])  # it may have been stopped halfway
        await life.beat()
        await until(lambda: not agent.status().holes and agent.status().selectors == len(doomed))

        assert len(led) > 1
        assert {rejection(agent, token) for token in doomed} == {RejectionCode.REVOKED}
        assert set(effects.values()) == {1}
        assert not agent.status().forks
