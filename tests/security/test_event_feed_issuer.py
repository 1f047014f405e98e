"""Attacks on the issuer's feed by those who read it, or may not: each one named after what it tries."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession

from events import RevokeDigests, Stream
from events.digests import TokenDigest, pack_digests
from events.log import EventLog
from events.log.feed_settings import SCOPE
from issuer.feed.window import Window
from tests.integration.issuer.feed_reader import (
    agent_on,
    bearer,
    feed_log,
    not_listening,
    raw_events,
    read_until,
    reading_client,
)
from tests.issuer_under_test import AUDIENCE, Credentials, Installation, Replica, until

SOON = 60.0


@pytest.fixture
async def installation(tmp_path: Path) -> Installation:
    return await Installation.create(tmp_path)


@pytest.fixture
async def issuer(installation: Installation) -> AsyncIterator[Replica]:
    async with installation.running() as replica:
        yield replica


@pytest.fixture
async def agents(installation: Installation) -> Credentials:
    return await reading_client(installation)


async def test_reading_without_a_token(issuer: Replica) -> None:
    for headers in ({}, {"Authorization": "Bearer"}, {"Authorization": "Bearer x"}, {"Authorization": "Basic YTpi"}):
        for accept in ("text/event-stream", "application/json"):
            answer = await issuer.send("GET", "/events", headers=headers | {"Accept": accept})
            assert (answer.status, answer.json()["error"]) == (401, "invalid_token")
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_reading_with_a_token_in_the_address(issuer: Replica, agents: Credentials) -> None:
    token = await issuer.token(agents)

    assert (await issuer.send("GET", f"/events?access_token={token}")).status == 401


async def test_reading_with_a_token_for_something_else(installation: Installation, issuer: Replica) -> None:
    own = (installation.settings.issuer,)
    weak = await installation.client("weak", audiences=own, scopes=("tocsin:read", f"{SCOPE}.not"))
    astray = await installation.client("astray", audiences=(AUDIENCE,), scopes=(SCOPE,))

    for client, status, error in ((weak, 403, "insufficient_scope"), (astray, 401, "invalid_token")):
        answer = await issuer.send("GET", "/events", headers=await bearer(issuer, client))
        assert (answer.status, answer.json()["error"]) == (status, error)


async def to_the_end(issuer: Replica, headers: dict[str, str], opened: asyncio.Event) -> None:
    async with asyncio.timeout(SOON), raw_events(issuer.url, headers) as events:
        async for _ in events:
            opened.set()


@pytest.mark.parametrize("how", ["token", "client", "everything"])
async def test_reading_on_with_a_token_that_was_revoked(issuer: Replica, agents: Credentials, how: str) -> None:
    headers = await bearer(issuer, agents)
    other = await bearer(issuer, agents)
    opened = [asyncio.Event(), asyncio.Event()]
    reading = [
        asyncio.create_task(to_the_end(issuer, each, event))
        for each, event in zip((headers, other), opened, strict=True)
    ]
    for event in opened:
        await event.wait()
    bodies: dict[str, dict[str, object]] = {
        "token": {"token": headers["Authorization"].removeprefix("Bearer ")},
        "client": {"selector": {"client_id": agents.client_id}},
        "everything": {"selector": {}},
    }
    await issuer.revoke(**bodies[how])

    await reading[0]
    assert (await issuer.send("GET", "/events", headers=headers)).status == 401
    if how == "token":
        assert not reading[1].done()
        await issuer.revoke(token=other["Authorization"].removeprefix("Bearer "))
    await reading[1]
    assert issuer.services.feed.cut_off == {"not_allowed": 2}
    assert issuer.services.feed.readers == 0


async def test_keeping_agents_deaf_by_revoking_their_tokens(
    installation: Installation, issuer: Replica, agents: Credentials
) -> None:
    async with agent_on(installation, issuer.url, agents) as agent:
        await issuer.revoke(selector={"client_id": agents.client_id})
        await until(lambda: issuer.services.feed.cut_off == {"not_allowed": 1}, "the stream has ended")
        await issuer.revoke(jti="after that")
        await until(lambda: agent.status().digests == 1, "the agent has come back with another token")


@pytest.mark.parametrize(
    "position",
    [
        "x",
        "k1.1_k1.1",
        "r1.0",
        "0",
        "-1",
        "k1.1, r1.1",
        "k1.1;r1.1",
        "é",
        "k" * 8000,
        "k1." + "9" * 5000,
        "' OR 1=1 --",
    ],
)
async def test_positions_that_were_never_given_out(issuer: Replica, agents: Credentials, position: str) -> None:
    headers = await bearer(issuer, agents)
    for answer in (
        await issuer.send("GET", "/events", headers=headers | {"Last-Event-ID": position}),
        await issuer.send("GET", "/events", headers=headers, params={"last_event_id": position}),
    ):
        assert (answer.status, answer.json()["error"]) == (400, "invalid_request")
        assert len(answer.body) < 300


async def test_two_positions_at_once(issuer: Replica, agents: Credentials) -> None:
    headers = [*(await bearer(issuer, agents)).items(), ("Last-Event-ID", "k1.1"), ("Last-Event-ID", "r1.1")]

    assert (await issuer.send("GET", "/events", headers=headers)).status == 400


@pytest.mark.parametrize("stream", ["agents", "", "KEYS", "keys,revocations", "x" * 4000, "<script>"])
async def test_streams_that_the_feed_does_not_carry(issuer: Replica, agents: Credentials, stream: str) -> None:
    answer = await issuer.send("GET", "/events", headers=await bearer(issuer, agents), params={"stream": stream})

    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")
    assert len(answer.body) < 300


async def test_methods_that_would_wait_for_ever(issuer: Replica, agents: Credentials) -> None:
    headers = await bearer(issuer, agents)
    for method in ("HEAD", "POST", "PUT", "DELETE"):
        assert (await issuer.send(method, "/events", headers=headers)).status == 405


async def told_to_the_last(issuer: Replica, log: EventLog) -> None:
    """Decide more than sockets and buffers hold for one reader, and hear the last of it."""
    outbox = issuer.services.revocations._outbox
    record = RevokeDigests(digests=pack_digests([TokenDigest(number) for number in range(3000)]), expires_at=4e9)
    for _ in range(40):
        async with issuer.services.database.write() as connection:
            event = await outbox.append(connection, Stream.REVOCATIONS, record)
        issuer.services.relay.offer(event)
    last = event.seq
    await read_until(log, {Stream.REVOCATIONS: None}, lambda found: bool(found) and found[-1].position == last)


async def to_its_end(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(SOON):
            while await reader.read(65_536):
                pass


async def test_taking_nothing_of_what_is_told(
    issuer: Replica, agents: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader is left, and the others hear everything meanwhile."""
    monkeypatch.setattr("issuer.endpoints.events.WRITE_SECONDS", 0.5)
    headers = await bearer(issuer, agents)
    async with not_listening(issuer.url, headers), feed_log(issuer.url, agents) as log:
        await told_to_the_last(issuer, log)
        await until(lambda: issuer.services.feed.cut_off == {"stalled": 1}, "it has been left")


async def test_taking_it_too_slowly(issuer: Replica, agents: Credentials) -> None:
    """Nothing is kept for the reader beyond what is kept for all."""
    windows = issuer.services.feed._windows
    windows[Stream.REVOCATIONS] = Window(windows[Stream.REVOCATIONS].head, most_events=10)
    headers = await bearer(issuer, agents)
    async with not_listening(issuer.url, headers) as reader, feed_log(issuer.url, agents) as log:
        await told_to_the_last(issuer, log)
        await to_its_end(reader)  # it listens again, and finds that it has been left
        await until(lambda: issuer.services.feed.cut_off == {"behind": 1}, "it has been left")


async def test_taking_every_place(tmp_path: Path) -> None:
    """Without a token nobody gets one; with one there is an end of them, and everything else goes on."""
    installation = await Installation.create(tmp_path, feed_readers=5)
    agents = await reading_client(installation)
    async with installation.running() as issuer, contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            assert (await issuer.send("GET", "/events")).status == 401
        assert issuer.services.feed.readers == 0
        headers = await bearer(issuer, agents)
        for _ in range(5):
            await anext(await stack.enter_async_context(raw_events(issuer.url, headers)))
        for _ in range(20):
            assert (await issuer.send("GET", "/events", headers=headers)).status == 503
        assert issuer.services.feed.readers == 5
        assert (await issuer.revoke(jti="x"))["id"]


async def test_coming_and_going_leaves_nothing_behind(issuer: Replica, agents: Credentials) -> None:
    headers = await bearer(issuer, agents)
    before = len(asyncio.all_tasks())

    async def come_and_go(session: ClientSession, number: int) -> None:
        with contextlib.suppress(ClientError, TimeoutError):
            async with asyncio.timeout(0.002 * (number % 10)), session.get(f"{issuer.url}/events", headers=headers):
                pass

    async with ClientSession() as session:
        await asyncio.gather(*(come_and_go(session, number) for number in range(100)))
    await until(lambda: issuer.services.feed.readers == 0, "all have left")
    await until(partial(_no_more_tasks_than, before + 5), "nothing is left of them")


def _no_more_tasks_than(count: int) -> bool:
    return len(asyncio.all_tasks()) <= count
