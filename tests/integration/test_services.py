"""The services that the other tests rely on: each is there, is the real one, and ends with the tests."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

import asyncpg
import consul.aio
import pytest
import redis
import redis.asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.services.metadata_request import brokers_known_to
from tests.services.postgresql import drop_database, fresh_database
from tests.services.service import Service

SOON = 30.0
"""Longest wait for what takes milliseconds on an idle machine."""
HUNG_SECONDS = 0.5
TOPIC = "alarms"


async def create_topic(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def produce(bootstrap: str, value: bytes) -> None:
    async with asyncio.timeout(30), AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait(TOPIC, value)


async def consume(bootstrap: str, count: int) -> list[bytes]:
    async with asyncio.timeout(30), AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None) as consumer:
        partition = TopicPartition(TOPIC, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        return [(await consumer.getone()).value for _ in range(count)]


async def test_kafka_keeps_its_log_across_a_stop_and_a_kill_and_starts_anew_when_told(
    kafka_broker_of_its_own: Service,
) -> None:
    broker = kafka_broker_of_its_own
    bootstrap = broker.address
    await create_topic(bootstrap)
    await produce(bootstrap, b"first")
    await asyncio.to_thread(broker.stop)
    with pytest.raises(OSError, match="refused"):
        brokers_known_to(bootstrap)
    await asyncio.to_thread(broker.start)
    await produce(bootstrap, b"second")
    await asyncio.to_thread(broker.kill)
    await asyncio.to_thread(broker.start)
    assert await consume(bootstrap, 2) == [b"first", b"second"]
    await asyncio.to_thread(broker.restart_empty)
    assert broker.address == bootstrap
    await create_topic(bootstrap)  # it is gone, or this would fail
    await produce(bootstrap, b"third")
    assert await consume(bootstrap, 1) == [b"third"]


def test_a_paused_kafka_hangs_until_it_is_resumed(kafka_broker_of_its_own: Service) -> None:
    kafka_broker_of_its_own.pause()
    with pytest.raises(TimeoutError):
        brokers_known_to(kafka_broker_of_its_own.address)
    kafka_broker_of_its_own.resume()
    assert brokers_known_to(kafka_broker_of_its_own.address) == 1


async def test_the_shared_kafka_makes_no_topic_that_was_not_asked_for(kafka: Service) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()
    try:
        described = await admin.describe_topics(["never-created"])
        assert described[0]["error_code"] == 3  # UNKNOWN_TOPIC_OR_PARTITION
    finally:
        await admin.close()


async def test_the_shared_redis_keeps_a_value(redis_server: Service) -> None:
    async with redis.asyncio.Redis.from_url(redis_server.address) as client:
        assert await client.ping()
        await client.set("bell", "rung")
        assert await client.get("bell") == b"rung"


def ask_redis(url: str, *command: str, timeout: float = SOON) -> object:
    with redis.Redis.from_url(url, socket_timeout=timeout, retry=Retry(NoBackoff(), 0)) as client:
        return client.execute_command(*command)


def test_redis_keeps_its_data_across_a_kill_hangs_when_paused_and_starts_anew(redis_server_of_its_own: Service) -> None:
    server = redis_server_of_its_own
    url = server.address
    assert ask_redis(url, "SET", "bell", "rung") is True
    server.pause()
    with pytest.raises(redis.exceptions.TimeoutError):
        ask_redis(url, "GET", "bell", timeout=HUNG_SECONDS)
    server.resume()
    assert ask_redis(url, "GET", "bell") == b"rung"
    server.kill()
    with pytest.raises(redis.exceptions.ConnectionError):
        ask_redis(url, "GET", "bell")
    server.start()
    assert ask_redis(url, "GET", "bell") == b"rung"
    server.restart_empty()
    assert server.address == url
    assert ask_redis(url, "GET", "bell") is None


def consul_client(server: Service) -> consul.aio.Consul:
    host, _, port = server.address.removeprefix("http://").rpartition(":")
    return consul.aio.Consul(host=host, port=int(port))


# py-consul 1.8 passes an argument that aiohttp has renamed.
@pytest.mark.filterwarnings("ignore:ssl_context is deprecated:DeprecationWarning")
async def test_the_shared_consul_keeps_a_value(consul: Service) -> None:
    client = consul_client(consul)
    try:
        assert await client.kv.put("bell", "rung")
        _, entry = await client.kv.get("bell")
        assert entry["Value"] == b"rung"
    finally:
        await client.close()


def ask_consul(server: Service, method: str, path: str, body: bytes | None = None, *, timeout: float = SOON) -> bytes:
    connection = HTTPConnection(server.address.removeprefix("http://"), timeout=timeout)
    try:
        connection.request(method, path, body)
        return connection.getresponse().read()
    finally:
        connection.close()


def test_consul_keeps_its_data_across_a_stop_and_hangs_when_paused(consul_of_its_own: Service) -> None:
    server = consul_of_its_own
    ask_consul(server, "PUT", "/v1/kv/bell", b"rung")
    server.stop()
    server.start()
    assert ask_consul(server, "GET", "/v1/kv/bell?raw") == b"rung"
    server.pause()
    with pytest.raises(TimeoutError):
        ask_consul(server, "GET", "/v1/kv/bell?raw", timeout=HUNG_SECONDS)
    server.resume()
    assert ask_consul(server, "GET", "/v1/kv/bell?raw") == b"rung"


async def test_every_test_gets_an_empty_database(postgresql: Service, postgresql_url: str) -> None:
    other = await asyncio.to_thread(fresh_database, postgresql.address)
    assert other != postgresql_url
    connection = await asyncpg.connect(postgresql_url, timeout=SOON)
    try:
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        assert await connection.fetchval("SELECT current_setting('fsync')") == "on"
    finally:
        await connection.close()
    await asyncio.to_thread(drop_database, postgresql.address, other)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(other, timeout=SOON)


async def test_postgresql_keeps_what_was_committed_across_a_kill_and_hangs_when_paused(
    postgresql_of_its_own: Service,
) -> None:
    server = postgresql_of_its_own
    url = await asyncio.to_thread(fresh_database, server.address)
    connection = await asyncpg.connect(url, timeout=SOON)
    await connection.execute("CREATE TABLE bell AS SELECT 'rung' AS state")
    server.pause()
    with pytest.raises(TimeoutError):
        await connection.fetchval("SELECT state FROM bell", timeout=HUNG_SECONDS)
    connection.terminate()
    server.resume()
    server.kill()
    server.start()
    connection = await asyncpg.connect(url, timeout=SOON)
    try:
        assert await connection.fetchval("SELECT state FROM bell") == "rung"
    finally:
        await connection.close()


OWNER = """
import json, sys, time
from tests.services.postgresql import PostgreSQL
from tests.services.program_service import ProgramService
from tests.services.redis import Redis

kind = {"redis": Redis, "postgresql": PostgreSQL}[sys.argv[1]]()
service = ProgramService(kind, kind.program())
service.start()
if sys.argv[2] == "paused":
    service.pause()
print(json.dumps({"pid": service.pid, "folder": str(service.folder)}), flush=True)
time.sleep(60)
"""


def process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("kind", "state"), [("redis", "running"), ("postgresql", "running"), ("postgresql", "paused")])
def test_a_service_goes_with_the_process_that_started_it(
    services: object, kind: str, state: str, end: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, kind, state],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    ) as owner:
        assert owner.stdout
        started = json.loads(owner.stdout.readline())
        pid, folder = started["pid"], Path(started["folder"])
        assert process_exists(pid)
        assert folder.exists()
        owner.send_signal(end)
        owner.wait(SOON)
    deadline = time.monotonic() + SOON
    while (process_exists(pid) or folder.exists()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not process_exists(pid)
    assert not folder.exists()
