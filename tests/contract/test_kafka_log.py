"""What is particular to the log in Kafka: brokers that are away, hang, trim or forget."""

import asyncio
import gc
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from events import LogUnavailable, PositionLost, Stream
from events.log import EventLog, Retention, open_log
from events.log.kafka_settings import KafkaSettings
from events.log.kafka_topics import KafkaTopics
from tests.services.service import Service

T = TypeVar("T")

BOUND = 30.0
"""Seconds after which a call has certainly given up."""

CALLS: dict[str, Callable[[EventLog], Awaitable[object]]] = {
    "append": lambda log: log.append(Stream.KEYS, [b"x"]),
    "read": lambda log: log.read({Stream.KEYS: None}, wait=0.1),
    "head": lambda log: log.head(Stream.KEYS),
    "check": lambda log: log.check(),
}


async def made(service: Service, prefix: str | None = None) -> str:
    """The URL of a log whose topics exist."""
    url = f"kafka://{service.address}?prefix={prefix or f'test-{uuid4().hex[:12]}.'}"
    await KafkaTopics(KafkaSettings.parse(url), Retention()).create()
    return url


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def black_hole() -> Iterator[str]:
    """An address where connections are taken and nothing is ever answered."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(100)
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def impatient() -> Iterator[None]:
    """Calls give up sooner than in earnest, so that tests of giving up take less long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("events.log.kafka.CALL_SECONDS", 1.0)
        patch.setattr("events.log.kafka.STOP_SECONDS", 1.0)
        patch.setattr("events.log.kafka_topics.CALL_SECONDS", 1.0)
        yield


async def refusals(log: EventLog, calls: Iterable[str] = CALLS) -> dict[str, str]:
    """How each call, all made at once, says within bounded time that the log is unavailable."""

    async def refusal(call: str) -> str:
        with pytest.raises(LogUnavailable) as unavailable:
            await CALLS[call](log)
        return str(unavailable.value)

    with impatient():
        async with asyncio.timeout(BOUND):
            return dict(zip(calls, await asyncio.gather(*map(refusal, calls)), strict=True))


@pytest.mark.parametrize("where", ["nobody", "black_hole"])
async def test_a_broker_that_does_not_answer_is_unavailable_by_its_address(
    request: pytest.FixtureRequest, where: str
) -> None:
    address: str = request.getfixturevalue(where)
    log = open_log(f"kafka://{address}")

    assert all(address in words for words in (await refusals(log)).values())
    await log.close()


@pytest.mark.parametrize("call", ["append", "read", "head"])
async def test_a_call_that_is_cancelled_while_connecting_leaves_nothing_open(black_hole: str, call: str) -> None:
    log = open_log(f"kafka://{black_hole}")
    calling = asyncio.ensure_future(CALLS[call](log))
    await asyncio.sleep(0.1)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await log.close()  # an open connection would be warned about, and warnings are errors


async def test_closing_ends_what_is_connecting(black_hole: str) -> None:
    with impatient():
        log = open_log(f"kafka://{black_hole}")
        calling = asyncio.ensure_future(CALLS["read"](log))
        await asyncio.sleep(0.1)
        await log.close()
        with pytest.raises(LogUnavailable):
            await calling


async def test_topics_that_do_not_exist_are_unavailable(kafka: Service) -> None:
    log = open_log(f"kafka://{kafka.address}?prefix=missing-{uuid4().hex[:12]}.")

    assert await refusals(log, ["append", "read", "head"])
    await log.close()


async def test_a_position_that_retention_has_passed_is_lost(kafka: Service) -> None:
    url = await made(kafka)
    log = open_log(url)
    await log.append(Stream.REVOCATIONS, [b"0", b"1", b"2", b"3"])
    topic = KafkaSettings.parse(url).topic(Stream.REVOCATIONS)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=3)})
    await admin.close()

    with pytest.raises(PositionLost) as lost:
        await log.read({Stream.REVOCATIONS: 0}, wait=1.0)
    assert (lost.value.stream, lost.value.position) == (Stream.REVOCATIONS, 0)
    assert [entry.data for entry in await log.read({Stream.REVOCATIONS: None}, wait=5.0)] == [b"3"]
    assert [entry.data for entry in await log.read({Stream.REVOCATIONS: 2}, wait=5.0)] == [b"3"]
    assert await log.head(Stream.REVOCATIONS) == 3
    await log.close()


async def test_a_log_goes_on_when_its_broker_comes_back(kafka_broker_of_its_own: Service) -> None:
    broker = kafka_broker_of_its_own
    log = open_log(await made(broker, "tocsin."))
    await log.append(Stream.REVOCATIONS, [b"before"])
    heard = await log.read({Stream.REVOCATIONS: None}, wait=10.0)
    await asyncio.to_thread(broker.stop)
    assert await refusals(log)
    await asyncio.to_thread(broker.start)
    await _retried(lambda: log.append(Stream.REVOCATIONS, [b"after"]))
    entries = await _retried(lambda: log.read({Stream.REVOCATIONS: heard[-1].position}, wait=10.0))

    assert b"after" in [entry.data for entry in entries]
    await log.close()


async def test_a_broker_that_hangs_is_unavailable(kafka_broker_of_its_own: Service) -> None:
    broker = kafka_broker_of_its_own
    log = open_log(await made(broker, "tocsin."))
    await log.append(Stream.KEYS, [b"before"])
    await log.read({Stream.KEYS: None}, wait=10.0)
    await asyncio.to_thread(broker.pause)
    assert await refusals(log, ["append", "head", "check"])
    await asyncio.to_thread(broker.resume)
    await _retried(lambda: log.append(Stream.KEYS, [b"after"]))
    await log.close()


async def test_what_is_given_up_leaves_nothing_running(
    kafka_broker_of_its_own: Service, caplog: pytest.LogCaptureFixture
) -> None:
    broker = kafka_broker_of_its_own
    log = open_log(await made(broker, "tocsin."))
    await log.append(Stream.KEYS, [b"before"])
    await log.read({Stream.KEYS: None}, wait=10.0)
    await asyncio.to_thread(broker.pause)
    with impatient():
        for _ in range(2):
            with pytest.raises(LogUnavailable):
                await log.append(Stream.KEYS, [b"1", b"2", b"3"])
        await log.close()

    left = {task.get_name(): task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    gc.collect()
    assert not left
    assert not [record for record in caplog.records if record.name == "asyncio"]
    await asyncio.to_thread(broker.resume)


async def test_a_log_that_was_emptied_has_lost_every_position(kafka_broker_of_its_own: Service) -> None:
    broker = kafka_broker_of_its_own
    url = await made(broker, "tocsin.")
    log = open_log(url)
    await log.append(Stream.REVOCATIONS, [b"0", b"1", b"2"])
    heard = await log.read({Stream.REVOCATIONS: None}, wait=10.0)
    await asyncio.to_thread(broker.restart_empty)
    await made(broker, "tocsin.")

    with pytest.raises(PositionLost):
        await _retried(lambda: log.read({Stream.REVOCATIONS: heard[-1].position}, wait=1.0))
    other = open_log(url)  # this one would say that it has lost what it was given
    await other.append(Stream.REVOCATIONS, [b"anew"])
    await other.close()
    assert [entry.data for entry in await log.read({Stream.REVOCATIONS: None}, wait=10.0)] == [b"anew"]
    await log.close()


async def test_who_appends_to_a_log_that_has_lost_what_he_appended_before_is_told_so(kafka: Service) -> None:
    """It has grown again beyond where it was: whoever looks at where it ends sees nothing."""
    url = await made(kafka)
    log = open_log(url)
    await log.append(Stream.REVOCATIONS, [b"0", b"1", b"2"])
    settings = KafkaSettings.parse(url)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()
    await admin.delete_topics([settings.topic(Stream.REVOCATIONS)])
    await admin.close()
    await _retried(lambda: _make_topics(settings))

    with pytest.raises(LogUnavailable, match="has lost what was appended to it"):
        await _appended(log, [b"3", b"4", b"5", b"6"])
    assert await log.head(Stream.REVOCATIONS) == 3
    await log.append(Stream.REVOCATIONS, [b"0", b"1", b"2"])
    assert await log.head(Stream.REVOCATIONS) == 6
    await log.close()


async def _make_topics(settings: KafkaSettings) -> None:
    """Make what is missing, once the broker has got rid of what is to be gone."""
    if not await KafkaTopics(settings, Retention()).create():
        raise LogUnavailable("the topic is not gone yet")


async def _appended(log: EventLog, events: list[bytes]) -> None:
    """Append once the producer has heard that there is such a topic again."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await log.append(Stream.REVOCATIONS, events)
            except LogUnavailable as error:
                if "lost" in str(error):
                    raise
                await asyncio.sleep(0.2)


async def test_a_fetch_that_waits_at_the_broker_holds_up_nothing_else(
    kafka: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.log.kafka.FETCH_WAIT_MS", 100_000)
    log = open_log(await made(kafka))
    await log.append(Stream.KEYS, [b"one"])
    await log.append(Stream.REVOCATIONS, [b"two", b"three"])
    after: dict[Stream, int | None] = dict.fromkeys([Stream.KEYS, Stream.REVOCATIONS])
    async with asyncio.timeout(BOUND):
        while None in after.values():
            after |= {entry.stream: entry.position for entry in await log.read(after, wait=1.0)}
    assert await log.read(after, wait=0.2) == []

    assert await log.head(Stream.REVOCATIONS) == after[Stream.REVOCATIONS]
    back = await log.read({Stream.KEYS: None}, wait=BOUND)
    assert [entry.data for entry in back] == [b"one"]
    await log.close()


async def _retried(call: Callable[[], Awaitable[T]]) -> T:
    """Try again while the log is unavailable, as those who follow it do."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await call()
            except LogUnavailable:
                await asyncio.sleep(0.2)
