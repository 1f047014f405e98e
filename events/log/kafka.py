"""A log in Kafka: one topic a stream, one partition each, no consumer group, so everybody hears everything.

aiokafka's defaults do not suit: the settings below each answer a way in which it waits or loses (see
``docs/adr/0003-kafka-client.md``).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import RecordMetadata

from events.errors import LogUnavailable, PositionLost
from events.log.kafka_settings import CALL_SECONDS, MAX_MESSAGE_BYTES, KafkaSettings
from events.log.kafka_topics import KafkaTopics
from events.log.protocol import Entry
from events.log.retention import Retention
from events.signing import UnverifiedEvent
from events.streams import Stream
from events.succession import successor_named

STOP_SECONDS: Final = 5.0
"""Longest wait for a client to stop."""
FETCH_WAIT_MS: Final = 2500
"""How long a broker keeps a fetch that it has nothing for. There is a heartbeat each second."""

log = logging.getLogger(__name__)


class KafkaLog:
    """A producer and a consumer, each made when first needed and thrown away when it fails.

    aiokafka does not go back to its bootstrap addresses once connected, so a new client is the way to find brokers
    that have moved. A broker answers one request of a connection after the other, and a fetch waits for what comes
    next: so a consumer only ever reads on, and what else is asked meanwhile goes through another one.
    """

    def __init__(self, settings: KafkaSettings, retention: Retention) -> None:
        self._settings = settings
        self._retention = retention
        self._producer: AIOKafkaProducer | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._asker: AIOKafkaConsumer | None = None
        self._read_to: dict[TopicPartition, int | None] = {}
        self._appended_to: dict[Stream, int] = {}
        # Calls at once would each make a client otherwise, and all but one would leak.
        self._starting = {AIOKafkaProducer: asyncio.Lock(), AIOKafkaConsumer: asyncio.Lock()}
        self._reading = asyncio.Lock()  # a consumer is at one place at a time
        self._closed = False

    @classmethod
    def at(cls, url: str, retention: Retention) -> Self:
        """The log at ``url``.

        Raises:
            LogMisconfigured: as ``KafkaSettings.parse``.
        """
        return cls(KafkaSettings.parse(url), retention)

    async def append(self, stream: Stream, events: Sequence[bytes]) -> None:
        """See ``EventLog.append``. The keys topic is compacted, so its entries have a key: each succession its own.

        A log that was made anew, or whose new leader lacks its last events, may have grown beyond its former end before
        anybody looks there. That the offsets go back is told as ``LogUnavailable``, once: what was appended has been.
        """
        producer = await self._producing()
        topic = self._settings.topic(stream)
        sent: list[asyncio.Future[RecordMetadata]] = []
        try:
            async with asyncio.timeout(CALL_SECONDS):
                for data in events:
                    sending = producer.send(topic, data, key=_key(stream, data), partition=0)
                    sent.append(await sending)
                offsets = [each.offset for each in await asyncio.gather(*sent)]
        except (KafkaError, TimeoutError, OSError) as error:
            for each in sent:
                each.cancel()  # nobody asks any more what became of it
            await self._drop_producer(producer)
            raise LogUnavailable(f"Kafka did not acknowledge: {_words(error)}") from error
        if offsets:
            before, self._appended_to[stream] = self._appended_to.get(stream, -1), offsets[-1]
            if offsets[0] <= before:
                raise LogUnavailable(f"{topic} has lost what was appended to it: it went to {before}")

    async def read(self, after: Mapping[Stream, int | None], *, wait: float, limit: int = 1000) -> list[Entry]:
        """See ``EventLog.read``. Reads of one log object follow each other."""
        async with self._reading:
            return await self._read(after, wait, limit)

    async def _read(self, after: Mapping[Stream, int | None], wait: float, limit: int) -> list[Entry]:
        wanted = {TopicPartition(self._settings.topic(stream), 0): position for stream, position in after.items()}
        if self._read_to not in ({}, wanted):
            await self._drop_consumer()
        consumer = await self._consuming()
        try:
            async with asyncio.timeout(wait + CALL_SECONDS):
                await self._seek(consumer, wanted)
                batches = await consumer.getmany(timeout_ms=int(wait * 1000), max_records=limit)
        except OffsetOutOfRangeError as error:
            await self._drop_consumer()
            partition, offset = next(iter(error.args[0].items()))
            raise PositionLost(self._stream(partition), offset - 1) from error
        except PositionLost:
            await self._drop_consumer()
            raise
        except (KafkaError, TimeoutError, OSError) as error:
            await self._drop_consumer()
            raise LogUnavailable(f"Kafka did not answer: {_words(error)}") from error
        self._check_open()
        found: list[Entry] = []
        for partition, records in batches.items():
            stream = self._stream(partition)
            found.extend(Entry(stream, record.offset, UnverifiedEvent(record.value or b"")) for record in records)
            self._read_to[partition] = records[-1].offset
        return found

    async def head(self, stream: Stream) -> int | None:
        """See ``EventLog.head``."""
        consumer = await self._asking()
        partition = TopicPartition(self._settings.topic(stream), 0)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                start = (await consumer.beginning_offsets([partition]))[partition]
                end = (await consumer.end_offsets([partition]))[partition]
        except (KafkaError, TimeoutError, OSError) as error:
            await self._drop_consumer()
            await self._drop_asker()
            raise LogUnavailable(f"Kafka did not answer: {_words(error)}") from error
        return end - 1 if end > start else None

    async def check(self) -> list[str]:
        """See ``EventLog.check``: each topic with a setting that would lose events is named."""
        return await KafkaTopics(self._settings, self._retention).check()

    async def close(self) -> None:
        """See ``EventLog.close``."""
        self._closed = True
        async with self._starting[AIOKafkaProducer]:  # what is being started is stopped too
            await self._drop_producer(self._producer)
        async with self._starting[AIOKafkaConsumer]:
            await self._drop_consumer()
            await self._drop_asker()

    async def _producing(self) -> AIOKafkaProducer:
        async with self._connecting(AIOKafkaProducer):
            return self._producer or await self._new_producer()

    async def _new_producer(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._settings.connection(),
            acks="all",  # the default, 1, loses what the leader alone had
            linger_ms=0,  # a real delay otherwise
            request_timeout_ms=3000,
            enable_idempotence=False,  # repetition is harmless here, and a fenced producer id is not
            max_request_size=MAX_MESSAGE_BYTES,
            compression_type=None,
        )
        await _started(producer)
        self._producer = producer
        return producer

    async def _consuming(self) -> AIOKafkaConsumer:
        async with self._connecting(AIOKafkaConsumer):
            self._consumer = self._consumer or await self._new_consumer()
            return self._consumer

    async def _asking(self) -> AIOKafkaConsumer:
        """The consumer until it reads something, and then another one."""
        async with self._connecting(AIOKafkaConsumer):
            if self._read_to:
                self._asker = self._asker or await self._new_consumer()
                return self._asker
            self._consumer = self._consumer or await self._new_consumer()
            return self._consumer

    async def _new_consumer(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **self._settings.connection(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",  # a lost position is for the reader to decide about
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=int(CALL_SECONDS * 1000),
            max_partition_fetch_bytes=4 * MAX_MESSAGE_BYTES,
        )
        await _started(consumer)
        try:
            # It would learn of a topic when it is asked about it, and sleep a while before it sees what it has learnt.
            await consumer._client.set_topics([self._settings.topic(stream) for stream in Stream])  # noqa: SLF001
        except BaseException:
            await _stopped(consumer)
            raise
        return consumer

    @asynccontextmanager
    async def _connecting(self, kind: type[AIOKafkaProducer | AIOKafkaConsumer]) -> AsyncIterator[None]:
        """One at a time, and all within the time of one call."""
        try:
            async with asyncio.timeout(CALL_SECONDS), self._starting[kind]:
                self._check_open()
                yield
        except (KafkaError, TimeoutError, OSError) as error:
            raise LogUnavailable(f"no Kafka broker answers at {','.join(self._settings.servers)}") from error

    async def _seek(self, consumer: AIOKafkaConsumer, wanted: Mapping[TopicPartition, int | None]) -> None:
        """Bring a new consumer to where the reader is; nothing to do while it reads on."""
        if wanted == self._read_to:
            return
        starts = await consumer.beginning_offsets(list(wanted))
        ends = await consumer.end_offsets(list(wanted))
        targets = {}
        for partition, position in wanted.items():
            targets[partition] = starts[partition] if position is None else position + 1
            if not starts[partition] <= targets[partition] <= ends[partition]:
                raise PositionLost(self._stream(partition), targets[partition] - 1)
        # Between these there is no await: an assigned partition without a position would be an error to the fetcher.
        consumer.assign(list(wanted))
        for partition, target in targets.items():
            consumer.seek(partition, target)
        self._read_to = dict(wanted)

    def _stream(self, partition: TopicPartition) -> Stream:
        return Stream(partition.topic.removeprefix(self._settings.prefix))

    async def _drop_producer(self, failed: AIOKafkaProducer | None) -> None:
        """Stop a producer; another one that has been made meanwhile stays."""
        if self._producer is failed:
            self._producer = None
        if failed is not None:
            await _cut_off(failed)

    async def _drop_consumer(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._read_to = {}
        if consumer is not None:
            await _stopped(consumer)

    async def _drop_asker(self) -> None:
        asker, self._asker = self._asker, None
        if asker is not None:
            await _stopped(asker)

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("this log has been closed")


def _key(stream: Stream, data: bytes) -> bytes | None:
    """What an entry is kept by: of the key sets the newest, and every succession of event keys."""
    if stream is not Stream.KEYS:
        return None
    successor = successor_named(data)
    return str(stream).encode() if successor is None else f"succession/{successor}".encode()


async def _started(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    try:
        await client.start()
    except BaseException:  # also a cancellation must leave no connection behind
        await _stopped(client)
        raise


async def _cut_off(producer: AIOKafkaProducer) -> None:
    """Stop a producer, whatever it still has to say: by itself it does not stop before a broker has taken that, and
    told to stop within some time it would leave its tasks behind.
    """
    producer._closed = True  # noqa: SLF001 - there is no public way
    sender = producer._sender.sender_task  # noqa: SLF001
    await producer.client.close()  # what waits for an answer there fails now
    for _ in range(2):  # told once, it waits for what it has sent; told twice, no more
        if sender is not None and not sender.done():
            sender.cancel()
            await asyncio.wait([sender], timeout=STOP_SECONDS / 5)
    await producer.client.close()  # it may have connected anew meanwhile


async def _stopped(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    """Stop a client that may be beyond stopping."""
    task = asyncio.current_task()
    cancelled = task.cancelling() if task else 0
    connections = client._client if isinstance(client, AIOKafkaConsumer) else client.client  # noqa: SLF001
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await client.stop()
    except (KafkaError, TimeoutError, OSError) as error:
        log.debug("kafka_client_not_stopped", extra={"error": _words(error)})
        await connections.close()
    except asyncio.CancelledError:
        # Before it has hung up, a client lets out the cancellation of its own fetches
        # (https://github.com/aio-libs/aiokafka/issues/647), which would end whoever reads.
        await connections.close()
        if task and task.cancelling() > cancelled:
            raise


def _words(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip()
