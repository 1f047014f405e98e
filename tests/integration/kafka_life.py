"""What operators and accidents do to topics, and an issuer and an agent on them."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self
from uuid import uuid4

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from events import LogUnavailable, RefusalCode, Selector, SignedEvent, Stream, UnverifiedEvent
from events.log import Entry, EventLog, Retention, open_log
from events.log.kafka_settings import KafkaSettings
from events.log.kafka_topics import KafkaTopics
from events.streams import SEQUENCED
from tests.simulator import AUDIENCE, FakeClock, IssuerSimulator, publish
from verifier_agent import Agent, AgentSettings, Outcome, RejectionCode, TokenRejected
from verifier_agent.clocks import Clock, SystemClock

SOON: Final = 60.0
"""Seconds within which what is expected happens."""


class KafkaLife:
    """An issuer that publishes to topics of its own, and what may happen to these.

    Attributes:
        issuer: decides and signs; its clock is set to this machine's at each heartbeat.
        log: the issuer's end.
        url: for agents.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.issuer = IssuerSimulator(clock=FakeClock(now=time.time()))
        self.log: EventLog = open_log(url)
        self._way = _Way()
        self._settings = KafkaSettings.parse(url)
        self._trust = folder / "trust.json"
        self.issuer.trust.save(self._trust)

    @classmethod
    async def begin(cls, address: str, folder: Path, replication: int = 1) -> Self:
        """New topics on a broker, with all that an issuer says at first."""
        life = cls(f"kafka://{address}?prefix=test-{uuid4().hex[:12]}.&replication={replication}", folder)
        await life.create_topics()
        await life.say(*life.issuer.said)
        await life.beat()
        return life

    def agent(self, clock: Clock | None = None, **settings: Any) -> Agent:
        """An agent on these topics, by its own clock."""
        return Agent(
            AgentSettings(log=self.url, trust=self._trust, audience=AUDIENCE, start_timeout=SOON, **settings),
            open_event_log=lambda: _LogBeyond(self._way, open_log(self.url)),
            clock=clock,
        )

    async def cut_off(self, agent: Agent) -> None:
        """Let nothing through to agents, and wait until this one has noticed."""
        self._way.open = False
        failures = agent.status().log_failures
        await until(lambda: agent.status().log_failures > failures)

    def let_through(self) -> None:
        """Let agents reach the broker again."""
        self._way.open = True

    async def revoke(self, sub: str) -> SignedEvent:
        """Decide, publish, and tell of it in a heartbeat."""
        event = self.issuer.revoke(Selector.of(sub=sub))
        await self.say(event)
        await self.beat()
        return event

    async def beat(self) -> None:
        """Publish a heartbeat of now."""
        self.issuer.clock.wall = time.time()
        await self.say(self.issuer.beat())

    async def say(self, *events: SignedEvent) -> None:
        """Append, again and again while the log is away, as a relay does."""
        async with asyncio.timeout(SOON):
            while True:
                try:
                    return await publish(self.log, *events)
                except LogUnavailable:
                    await asyncio.sleep(0.1)

    async def create_topics(self) -> None:
        """Those that are missing."""
        await KafkaTopics(self._settings, Retention()).create()

    async def delete_topics(self, *streams: Stream) -> None:
        """Delete them, and wait until the broker has."""
        names = [self._settings.topic(stream) for stream in streams]
        admin = await self._admin()
        try:
            await admin.delete_topics(names, timeout_ms=10_000)
            async with asyncio.timeout(SOON):
                while set(names) & set(await admin.list_topics()):  # noqa: ASYNC110 - Kafka tells nobody
                    await asyncio.sleep(0.05)
        finally:
            await admin.close()

    async def pass_retention(self, stream: Stream) -> None:
        """Have the broker forget all that the topic holds."""
        partition = TopicPartition(self._settings.topic(stream), 0)
        admin = await self._admin()
        try:
            await admin.delete_records({partition: RecordsToDelete(before_offset=-1)})
        finally:
            await admin.close()

    async def leader_of(self, stream: Stream) -> int:
        """Number of the node that leads the topic."""
        leader: int = (await self._partition(stream))["leader"]
        return leader

    async def all_replicas_in_sync(self, stream: Stream, replicas: int) -> None:
        """Wait until so many nodes have all of the topic, and one of them leads it."""
        async with asyncio.timeout(SOON):
            while len((await self._partition(stream))["isr"]) < replicas:  # noqa: ASYNC110 - Kafka tells nobody
                await asyncio.sleep(0.2)

    async def _partition(self, stream: Stream) -> dict[str, Any]:
        admin = await self._admin()
        try:
            [topic] = await admin.describe_topics([self._settings.topic(stream)])
        finally:
            await admin.close()
        partition: dict[str, Any] = topic["partitions"][0]
        return partition

    async def close(self) -> None:
        """Hang up."""
        await self.log.close()

    async def _admin(self) -> AIOKafkaAdminClient:
        admin = AIOKafkaAdminClient(**self._settings.connection())
        await admin.start()
        return admin


class _Way:
    """Between agents and the broker."""

    open = True


class _LogBeyond:
    """The log, as long as the way to it is open."""

    def __init__(self, way: _Way, log: EventLog) -> None:
        self._way = way
        self._log = log

    async def append(self, stream: Stream, events: Sequence[bytes]) -> None:
        raise NotImplementedError

    async def read(self, after: Mapping[Stream, int | None], *, wait: float, limit: int = 1000) -> list[Entry]:
        self._check()
        found = await self._log.read(after, wait=wait, limit=limit)
        self._check()
        return found

    async def head(self, stream: Stream) -> int | None:
        self._check()
        return await self._log.head(stream)

    async def check(self) -> list[str]:
        return await self._log.check()

    async def close(self) -> None:
        await self._log.close()

    def _check(self) -> None:
        if not self._way.open:
            raise LogUnavailable("the way to the broker is cut off")


class TravellingClock:
    """This machine's clocks, put forward or back by a test.

    Attributes:
        wall: seconds by which the wall clock is ahead.
        slept: seconds for which this machine has been suspended.
    """

    def __init__(self) -> None:
        self.wall = self.slept = 0.0
        self._machine = SystemClock()

    def now(self) -> float:
        """Wall clock, seconds since the epoch."""
        return self._machine.now() + self.wall

    def boot(self) -> float:
        """Boot-time clock, seconds."""
        return self._machine.boot() + self.slept


def watched(agent: Agent) -> Counter[tuple[Stream, int]]:
    """How often each event of the sequenced streams takes effect from now on."""
    counted: Counter[tuple[Stream, int]] = Counter()
    apply = agent.verifier.apply

    def counting(stream: Stream, raw: UnverifiedEvent | bytes, **received: Any) -> Outcome | RefusalCode:
        outcome = apply(stream, raw, **received)
        seq = agent.verifier.seq_of(stream, raw)
        if outcome is Outcome.APPLIED and stream in SEQUENCED and seq is not None:
            counted[stream, seq] += 1
        return outcome

    agent.verifier.apply = counting  # type: ignore[method-assign]
    return counted


def rejection(agent: Agent, token: str) -> RejectionCode | None:
    """Why the agent rejects the token; ``None`` when it is good."""
    try:
        agent.verify(token)
    except TokenRejected as rejected:
        return rejected.code
    return None


async def until(holds: Callable[[], object]) -> None:
    """Wait for what happens soon."""
    async with asyncio.timeout(SOON):
        while not holds():  # noqa: ASYNC110 - much of it is nothing that the agent applies
            await asyncio.sleep(0.02)
