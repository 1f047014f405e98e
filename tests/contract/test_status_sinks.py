"""What every way of saying how an agent is must do: by the log's agents stream on SQLite and Kafka, and over HTTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from events import AgentStatus, EventSigner, Stream
from events.log import Retention, open_log
from events.log.kafka_settings import KafkaSettings
from events.log.kafka_topics import KafkaTopics
from tests.issuer_under_test import Installation, Replica, until
from tests.services.ports import free_ports
from verifier_agent.fleet.identity import AgentIdentity
from verifier_agent.fleet.issuer_registry import IssuerRegistry
from verifier_agent.fleet.sinks import LogSink, StatusRefused, StatusSink


@dataclass
class Way:
    """A sink, what an issuer hears by it, and one that leads nowhere."""

    sink: StatusSink
    nowhere: Callable[[], StatusSink]
    replica: Replica
    identity: AgentIdentity
    seq: int = 0

    def says(self, **changes: object) -> bytes:
        """A status of the agent's."""
        clock = self.replica.services.parts.clock
        self.seq = max(self.seq + 1, int(clock.now() * 1000))
        status = AgentStatus(agent=self.identity.agent, time=clock.now(), every=5.0, **changes)  # type: ignore[arg-type]
        signer = EventSigner(self.replica.services.settings.issuer, self.identity.key)
        return signer.sign(Stream.AGENTS, self.seq, status, time=clock.now(), txn="x").text

    async def applied(self) -> int:
        """How far the issuer thinks the agent has come."""
        members, _ = await self.replica.services.fleet.members()
        return next(each.applied(Stream.KEYS) for each in members if each.id == self.identity.agent)


@pytest.fixture(params=["sqlite", "kafka", "http"])
async def way(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Way]:
    """Each in turn, of an agent that has enrolled."""
    log, nowhere_log = None, f"sqlite:///{tmp_path}/trust.json/events.db"
    if request.param == "kafka":
        log = f"kafka://{request.getfixturevalue('kafka').address}?prefix=test-{uuid4().hex[:12]}."
        await KafkaTopics(KafkaSettings.parse(log), Retention()).create()
        nowhere_log = f"kafka://127.0.0.1:{free_ports(1)[0]}"
    installation = await Installation.create(tmp_path, log=log)
    client = await installation.client("agents", scopes=("tocsin.agent",), audiences=(installation.settings.issuer,))
    host = installation.settings.issuer.removeprefix("http://")
    async with AsyncExitStack() as stack:
        replica = await stack.enter_async_context(installation.running())
        registry = IssuerRegistry(f"http://agents:{client.secret}@{host}/agents")
        stack.push_async_callback(registry.close)
        by_log = LogSink(lambda: open_log(installation.settings.log))
        stack.push_async_callback(by_log.close)

        def nowhere() -> StatusSink:
            if request.param == "http":
                return IssuerRegistry(f"http://agents:{client.secret}@127.0.0.1:{free_ports(1)[0]}/agents")
            return LogSink(lambda: open_log(nowhere_log))

        sink: StatusSink = registry if request.param == "http" else by_log
        found = Way(sink, nowhere, replica, AgentIdentity.create())
        await registry.enrol({"jwk": found.identity.public_jwk, "status": found.says().decode()})
        await until(lambda: replica.services.relay.is_publishing, "the relay leads", 60)
        yield found


async def test_a_status_that_was_taken_is_heard_by_the_issuer(way: Way) -> None:
    await way.sink.send(way.says(applied={"keys": 7}))

    async def heard() -> bool:
        return await way.applied() == 7

    await until(heard, "the issuer hears it", 60)


async def test_of_several_statuses_the_newest_holds(way: Way) -> None:
    for reached in range(1, 6):
        await way.sink.send(way.says(applied={"keys": reached}))

    async def heard() -> bool:
        return await way.applied() == 5

    await until(heard, "the issuer hears the newest", 60)


async def test_what_does_not_arrive_is_said_to_be_refused_and_can_be_tried_again(way: Way) -> None:
    sink = way.nowhere()
    for _ in range(2):
        with pytest.raises(StatusRefused):
            await sink.send(way.says())
    await sink.close()


async def test_a_sink_may_be_closed_twice_and_before_its_use(way: Way) -> None:
    sink = way.nowhere()
    await sink.close()
    await way.sink.close()
    await way.sink.close()
