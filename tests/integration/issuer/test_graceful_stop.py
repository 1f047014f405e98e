"""An issuer that is told to stop says so first, lets requests end, and is gone within a bound."""

import asyncio
import signal
import sqlite3
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientError, ServerDisconnectedError

from tests.issuer_process import IssuerProcess
from tests.issuer_under_test import Credentials, Installation, until

BODY = b"grant_type=client_credentials"


@pytest.fixture
async def installation(tmp_path: Path) -> Installation:
    return await Installation.create(tmp_path)


async def half_a_request(issuer: IssuerProcess, by: Credentials) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A token request whose body has not come in whole."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(issuer.url).port)
    basic = b64encode(f"{by.client_id}:{by.secret}".encode()).decode()
    writer.write(
        f"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {basic}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(BODY)}\r\n"
        "Expect: 100-continue\r\n\r\n".encode()
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 "), "the handler has begun to read"
    writer.write(BODY[:5])
    await writer.drain()
    return reader, writer


async def refuses_connections(issuer: IssuerProcess) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(issuer.url).port)
    except OSError:
        return True
    writer.close()
    return False


async def test_for_its_drain_time_it_is_not_ready_but_does_all_it_is_asked(installation: Installation) -> None:
    async with IssuerProcess.started(installation, drain_time="10m") as issuer:
        assert (await issuer.send("GET", "/readyz")).status == 200
        issuer.process.send_signal(signal.SIGTERM)

        async def says_so() -> bool:
            answer = await issuer.send("GET", "/readyz")
            return answer.status == 503 and answer.json() == {"status": "stopping"}

        await until(says_so, "it says that it stops")
        token = await issuer.token(installation.demo)
        assert await issuer.active(token, installation.demo)
        assert (await issuer.send("GET", "/livez")).status == 200

        assert await issuer.stop() == 0, "a second signal cuts the rest short"


@contextmanager
def locked(installation: Installation) -> Iterator[None]:
    """Keep the issuer from writing, as another process with a long transaction would."""
    connection = sqlite3.connect(installation.settings.store.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


async def test_a_request_in_flight_is_answered_and_no_new_one_is_taken(installation: Installation) -> None:
    async with IssuerProcess.started(installation, stop_timeout="60s") as issuer:
        token = await issuer.token(installation.demo)
        with locked(installation):
            revoking = asyncio.create_task(issuer.form("/oauth2/revoke", installation.demo, token=token))

            async def is_in_flight() -> bool:
                return b"tocsin_self_service_waiting 1.0" in (await issuer.send("GET", "/metrics")).body

            await until(is_in_flight, "the revocation waits for the store")
            issuer.process.send_signal(signal.SIGTERM)
            await until(lambda: refuses_connections(issuer), "it takes no more connections")
            assert not revoking.done()

        assert (await revoking).status == 200
        assert await issuer.process.wait() == 0


async def test_a_request_that_does_not_end_is_cut_off_in_the_end(installation: Installation) -> None:
    async with IssuerProcess.started(installation, stop_timeout="200ms") as issuer:
        reader, writer = await half_a_request(issuer, installation.demo)

        assert await issuer.stop() == 0

        assert b"200 OK" not in await reader.read()
        writer.close()


async def test_readers_of_the_feed_are_let_go(installation: Installation) -> None:
    async with IssuerProcess.started(installation, feed="open", stop_timeout="60s") as issuer:
        following = asyncio.create_task(issuer.send("GET", "/events"))

        async def is_read() -> bool:
            return b"tocsin_feed_readers 1.0" in (await issuer.send("GET", "/metrics")).body

        await until(is_read, "the feed is read")
        assert await issuer.stop() == 0

        with suppress(ClientError, ServerDisconnectedError):
            assert (await following).status == 200
        assert following.done()
