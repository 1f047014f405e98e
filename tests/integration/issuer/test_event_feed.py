"""``GET /events`` of a real issuer: agents hear what is decided, with the event log away and on every replica."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import update

from events import EventOpener, LogUnavailable, PositionLost, Stream, VerifiedEvent, pack
from events.errors import LogMisconfigured
from events.log import Entry, NumberedLog, open_log
from events.log.cursor import format_cursor, parse_cursor
from issuer.settings import IssuerSettings
from issuer.store.schema import streams
from tests.feed_under_test import ServedFeed, self_signed
from tests.integration.issuer.feed_reader import (
    agent_on,
    bearer,
    feed_log,
    feed_url,
    raw_events,
    read_until,
    reading_client,
    starts,
    up_to_level,
)
from tests.issuer_under_test import Credentials, Installation, Replica, on_every_store, rejection, until
from tests.outbox_reader import counter, numbers, texts
from tests.services.ports import free_ports
from verifier_agent import Agent, Secret, SettingInvalid

BASELINE = pack(1, 1)
"""First event of a stream; it is not live for long."""


@pytest.fixture
async def installation(tmp_path: Path, store_url: str) -> Installation:
    """An issuer whose event log is away, for good: nobody listens there."""
    return await Installation.create(tmp_path, store=store_url, log=f"kafka://127.0.0.1:{free_ports(1)[0]}")


@pytest.fixture
async def issuer(installation: Installation) -> AsyncIterator[Replica]:
    async with installation.running() as replica:
        yield replica


@pytest.fixture
async def agents(installation: Installation) -> Credentials:
    """The client that agents read the feed with."""
    return await reading_client(installation)


def refuses(agent: Agent, token: str) -> bool:
    return rejection(agent, token) == "revoked"


def knows_all(agents: Sequence[Agent], revocations: int) -> bool:
    return all(agent.status().digests == revocations and not agent.status().holes for agent in agents)


def opened(installation: Installation, entries: Sequence[Entry]) -> list[VerifiedEvent]:
    opener = EventOpener(installation.trust)
    return [opener.open(entry.data, entry.stream) for entry in entries]


def of(entries: Sequence[Entry], stream: Stream) -> list[Entry]:
    return [entry for entry in entries if entry.stream is stream]


@on_every_store
async def test_with_the_log_away_agents_hear_revocations_lifts_and_keys_by_the_feed(
    installation: Installation, issuer: Replica, agents: Credentials
) -> None:
    token, kept = [await issuer.token(installation.demo) for _ in range(2)]
    async with agent_on(installation, issuer.url, agents) as agent:
        assert (agent.status().ready, rejection(agent, token)) == (True, None)

        revoked = await issuer.revoke(token=token)
        await until(partial(refuses, agent, token), "the agent refuses the token")
        assert rejection(agent, kept) is None
        await issuer.admin("POST", f"/revocations/{revoked['id']}/lift", {"reason": "a mistake"})
        await until(lambda: rejection(agent, token) is None, "the agent takes the token again")
        rotated = (await issuer.admin("POST", "/keys/rotate", {"reason": "x", "force": True})).json()
        await until(lambda: agent.status().applied["keys"] == rotated["seq"], "the agent knows the new key")
        await until(lambda: not agent.status().holes, "the agent is complete")
        assert agent.status().refused == {}
        assert agent.status().log_failures == 0


@on_every_store
async def test_a_replica_tells_what_another_decides_and_beats_without_the_lease(
    installation: Installation, issuer: Replica, agents: Credentials
) -> None:
    async with installation.running(port=0) as other, AsyncExitStack() as stack:
        heard = [
            await stack.enter_async_context(agent_on(installation, replica.url, agents)) for replica in (issuer, other)
        ]
        for number in range(10):
            await (issuer, other)[number % 2].revoke(jti=f"token-{number}")

        await until(lambda: knows_all(heard, 10), "both agents know all")
        for agent in heard:
            beats = agent.verifier.state.freshness.newest
            assert beats is not None
            await until(lambda: agent.verifier.state.freshness.newest != beats, "another heartbeat")  # noqa: B023
        assert [agent.status().refused for agent in heard] == [{}, {}]


@on_every_store
async def test_what_is_decided_is_passed_on_without_waiting_for_the_next_look_or_heartbeat(
    installation: Installation, agents: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOOK_SECONDS", "BEAT_SECONDS"):
        monkeypatch.setattr(f"issuer.feed.feed.{name}", 3600.0)
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(installation.running(port=0)) for _ in range(2)]
        logs = [await stack.enter_async_context(feed_log(replica.url, agents)) for replica in replicas]
        at = [dict.fromkeys([Stream.REVOCATIONS], BASELINE) for _ in logs]
        for log, position in zip(logs, at, strict=True):
            assert await log.read(position, wait=0.0) == []
        decided = await replicas[0].revoke(jti="token")

        for log, position in zip(logs, at, strict=True):
            [entry] = await read_until(log, position, bool)
            assert entry.position == decided["seq"]


@on_every_store
async def test_heartbeats_of_all_replicas_and_of_the_log_are_one_sequence(
    tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever hears several of them orders them by number, and then neither time nor heads go back."""
    monkeypatch.setattr("issuer.feed.feed.BEAT_SECONDS", 0.05)
    monkeypatch.setattr("issuer.outbox.relay.BEAT_SECONDS", 0.05)
    installation = await Installation.create(tmp_path, store=store_url)
    agents = await reading_client(installation)
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(installation.running(port=0)) for _ in range(2)]
        logs = [await stack.enter_async_context(feed_log(issuer.url, agents)) for issuer in (one, two)]

        async def decide() -> list[Entry]:
            for number in range(10):
                await (one, two)[number % 2].revoke(jti=f"token-{number}")
            return []

        def enough(entries: list[Entry]) -> bool:
            return len(of(entries, Stream.HEARTBEATS)) > 10 and len(of(entries, Stream.REVOCATIONS)) >= 10

        reading = [read_until(log, starts(), enough) for log in logs]
        entries = [entry for found in await asyncio.gather(*reading, decide()) for entry in found]
    beats = opened(installation, of(entries, Stream.HEARTBEATS)) + await installation.said(Stream.HEARTBEATS)
    beats.sort(key=lambda beat: beat.seq)
    times = [beat.record.time for beat in beats]  # type: ignore[attr-defined]
    heads = [beat.record.heads["revocations"].head for beat in beats]  # type: ignore[attr-defined]

    assert len({beat.seq for beat in beats}) == len(beats)
    assert times == sorted(times)
    assert heads == sorted(heads)


@on_every_store
async def test_an_agent_goes_on_where_it_was_when_the_issuer_is_restarted(
    installation: Installation, agents: Credentials
) -> None:
    async with AsyncExitStack() as stack:
        async with installation.running() as before:
            agent = await stack.enter_async_context(agent_on(installation, before.url, agents))
            for number in range(5):
                await before.revoke(jti=f"before-{number}")
        async with installation.running() as after:
            for number in range(5):
                await after.revoke(jti=f"after-{number}")
            await until(lambda: knows_all([agent], 10), "the agent knows all")
            assert agent.status().log_failures > 0
            assert agent.status().refused == {}


@on_every_store
async def test_a_reader_that_is_cut_off_after_any_event_is_told_the_rest_and_nothing_twice(
    installation: Installation, issuer: Replica, agents: Credentials
) -> None:
    for number in range(5):
        await issuer.revoke(jti=f"token-{number}")
    await issuer.admin("POST", "/keys/rotate", {"reason": "x", "force": True})
    headers, query = await bearer(issuer, agents), "?stream=keys&stream=revocations"
    everything = await up_to_level(issuer.url, headers, query)
    kept = [event.data for event in everything if event.name == b"revocations"]

    assert kept[-5:] == (await texts(issuer.services.database, Stream.REVOCATIONS))[1:]  # without the baseline
    assert [event.data for event in everything if event.name == b"keys"] == [
        (await texts(issuer.services.database, Stream.KEYS))[-1]
    ]
    for index, event in enumerate(everything):
        rest = await up_to_level(issuer.url, headers | {"Last-Event-ID": event.id.decode()}, query)
        assert rest == everything[index + 1 :]
        assert rest == await up_to_level(issuer.url, headers, f"{query}&last_event_id={event.id.decode()}")


async def test_who_comes_late_is_told_what_is_live_and_no_more(
    installation: Installation, issuer: Replica, agents: Credentials
) -> None:
    for number in range(3):
        await issuer.revoke(jti=f"token-{number}")
    database = issuer.services.database
    await raise_floor(issuer, (await counter(database, Stream.REVOCATIONS)).head)
    async with feed_log(issuer.url, agents) as log:
        entries = await read_until(log, starts(), lambda found: bool(of(found, Stream.HEARTBEATS)))

    revocations, keys = [await numbers(database, stream) for stream in (Stream.REVOCATIONS, Stream.KEYS)]
    assert [entry.position for entry in of(entries, Stream.REVOCATIONS)] == revocations[-1:]
    assert [entry.position for entry in of(entries, Stream.KEYS)] == keys[-1:]
    beats = opened(installation, of(entries, Stream.HEARTBEATS))
    assert [beat.seq for beat in beats] == [entry.position for entry in of(entries, Stream.HEARTBEATS)]
    assert entries[-1].stream is Stream.HEARTBEATS  # after what it tells of


async def raise_floor(issuer: Replica, floor: int) -> None:
    async with issuer.services.database.write() as connection:
        await connection.execute(update(streams).where(streams.c.stream == "revocations").values(floor=floor))


async def test_the_newest_heartbeat_is_told_and_none_that_is_old(
    issuer: Replica, agents: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("issuer.feed.source.RECENT_SECONDS", 0.3)
    async with feed_log(issuer.url, agents) as log:
        [old, *_] = await read_until(log, {Stream.HEARTBEATS: None}, bool)
        assert await log.head(Stream.HEARTBEATS) == old.position
    await until(lambda: issuer.services.feed.readers == 0, "the reader has left")
    await asyncio.sleep(0.5)
    async with feed_log(issuer.url, agents) as log:
        assert await log.head(Stream.HEARTBEATS) is None
        [new, *_] = await read_until(log, {Stream.HEARTBEATS: None}, bool)

    assert new.position > old.position


async def test_the_heads_are_told_without_a_stream(issuer: Replica, agents: Credentials) -> None:
    await issuer.revoke(jti="token")
    async with feed_log(issuer.url, agents) as log:
        for stream in (Stream.KEYS, Stream.REVOCATIONS):
            assert await log.head(stream) == (await counter(issuer.services.database, stream)).head
        assert await log.check() == []
    headers = await bearer(issuer, agents) | {"Accept": "application/json"}
    answer = (await issuer.send("GET", "/events?stream=revocations", headers=headers)).json()

    assert list(parse_cursor(answer["cursor"])) == [Stream.REVOCATIONS]


async def test_a_position_that_the_store_does_not_hold_is_gone_and_named(
    installation: Installation, issuer: Replica, agents: Credentials
) -> None:
    head = (await counter(issuer.services.database, Stream.REVOCATIONS)).head
    async with feed_log(issuer.url, agents) as log:
        with pytest.raises(PositionLost) as lost:
            await log.read(starts() | {Stream.REVOCATIONS: head + 1}, wait=1.0)
    assert (lost.value.stream, lost.value.position) == (Stream.REVOCATIONS, head + 1)

    headers = await bearer(issuer, agents) | {"Last-Event-ID": format_cursor({Stream.KEYS: pack(9, 9)})}
    answer = await issuer.send("GET", "/events", headers=headers)
    assert (answer.status, answer.json()["error"], answer.json()["stream"]) == (410, "position_lost", "keys")


async def test_who_knows_what_he_has_heard_has_his_place_in_the_feed(issuer: Replica, agents: Credentials) -> None:
    first, second = [await issuer.revoke(jti=f"token-{number}") for number in range(2)]
    async with feed_log(issuer.url, agents) as log:
        assert isinstance(log, NumberedLog)
        assert log.place_behind(0) is None
        [entry] = await read_until(log, {Stream.REVOCATIONS: log.place_behind(first["seq"])}, bool)
        assert entry.position == second["seq"]


async def test_an_agent_whose_position_is_lost_reads_from_the_start(
    installation: Installation, issuer: Replica, agents: Credentials
) -> None:
    await issuer.revoke(jti="token")
    agent = agent_on(installation, issuer.url, agents)
    agent._logs.first._positions = starts() | {Stream.REVOCATIONS: pack(7, 7)}
    async with agent:
        assert knows_all([agent], 1)


async def test_an_answer_is_stored_and_buffered_by_nobody(issuer: Replica, agents: Credentials) -> None:
    headers = await bearer(issuer, agents) | {"X-Request-Id": "mine"}
    async with issuer._session.get(f"{issuer.url}/events", headers=headers) as answer:
        told = {name: answer.headers.get(name) for name in ("Cache-Control", "X-Accel-Buffering", "X-Request-Id")}
        assert told == {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Request-Id": "mine"}
        assert answer.content_type == "text/event-stream"


async def test_a_hundred_readers_hear_everything(issuer: Replica, agents: Credentials) -> None:
    async with AsyncExitStack() as stack:
        logs = [await stack.enter_async_context(feed_log(issuer.url, agents)) for _ in range(100)]
        wanted = {Stream.REVOCATIONS: None}

        def all_heard(entries: list[Entry]) -> bool:
            return bool(entries) and entries[-1].position == BASELINE + 5

        reading: list[asyncio.Task[list[Entry]]] = []
        for some in range(0, 100, 10):  # at once, who waits for its turn at the door gives up after a while
            reading += [asyncio.create_task(read_until(log, wanted, all_heard)) for log in logs[some : some + 10]]
            await until(lambda: issuer.services.feed.readers >= some + 10, "all of them are there")  # noqa: B023
        for number in range(5):
            await issuer.revoke(jti=f"token-{number}")
        heard = await asyncio.gather(*reading)

        decided = (await texts(issuer.services.database, Stream.REVOCATIONS))[1:]
        assert all([entry.data for entry in entries][-5:] == decided for entries in heard)
    await until(lambda: issuer.services.feed.readers == 0, "all have left")


async def test_readers_are_counted_and_what_they_are_told(issuer: Replica, agents: Credentials) -> None:
    async with feed_log(issuer.url, agents) as log:
        await read_until(log, starts(), lambda found: bool(of(found, Stream.HEARTBEATS)))
        found = (await issuer.send("GET", "/metrics")).body.decode()
    assert "tocsin_feed_readers 1.0" in found
    assert 'tocsin_feed_events_total{stream="keys"} 1.0' in found
    issuer.services.feed.cut_off["behind"] += 1
    assert 'tocsin_feed_cut_off_total{reason="behind"} 1.0' in (await issuer.send("GET", "/metrics")).body.decode()


async def test_when_the_issuer_stops_its_readers_are_let_go_and_the_answer_ends(
    installation: Installation, agents: Credentials
) -> None:
    async with AsyncExitStack() as stack:
        async with installation.running() as issuer:
            headers = await bearer(issuer, agents)
            events = await stack.enter_async_context(raw_events(issuer.url, headers))
            await anext(events)
        rest = [event async for event in events]  # no error: it was ended, not torn
        assert b"level" in {event.name for event in rest}


async def test_an_issuer_that_has_halted_tells_nothing_any_more(issuer: Replica, agents: Credentials) -> None:
    headers = await bearer(issuer, agents)
    async with raw_events(issuer.url, headers) as events:
        await anext(events)
        issuer.services.relay.halted = "the store has gone back, says the test"
        assert [event async for event in events][-1].name in (b"level", b"heartbeats")
    answer = await issuer.send("GET", "/events", headers=headers)

    assert (answer.status, answer.json()["error"]) == (503, "temporarily_unavailable")


async def test_a_feed_that_is_open_asks_for_no_token(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path, feed="open")
    async with installation.running() as issuer, feed_log(issuer.url, None) as log:
        assert await read_until(log, {Stream.KEYS: None}, bool)


async def test_a_feed_that_is_off_is_not_there(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path, feed="off")
    agents = await reading_client(installation)
    async with installation.running() as issuer, feed_log(issuer.url, agents) as log:
        assert (await issuer.send("GET", "/events", headers=await bearer(issuer, agents))).status == 404
        with pytest.raises(LogMisconfigured, match="'feed' may be off"):
            await log.read(starts(), wait=0.0)


async def test_who_finds_no_place_is_told_when_to_come_again(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path, feed="open", feed_readers=1)
    async with installation.running() as issuer, feed_log(issuer.url, None) as log:
        async with raw_events(issuer.url, {}) as events:
            await anext(events)
            answer = await issuer.send("GET", "/events")
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
            with pytest.raises(LogUnavailable, match="503 temporarily_unavailable; again in 2 s"):
                await log.read(starts(), wait=0.0)
        await until(lambda: issuer.services.feed.readers == 0, "the reader has left")
        assert await read_until(log, {Stream.KEYS: None}, bool)


async def test_a_token_is_replaced_before_it_ends_and_the_reader_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.log.feed_access.RENEW_AFTER", 0.2)
    installation = await Installation.create(tmp_path, skew=0)
    agents = await installation.client(
        "hasty", audiences=(installation.settings.issuer,), scopes=("tocsin.events",), token_lifetime=4.0
    )
    async with installation.running() as issuer, feed_log(issuer.url, agents) as log:
        entries = await read_until(log, starts(), lambda found: len(of(found, Stream.HEARTBEATS)) > 6)
        assert issuer.services.feed.cut_off == {}

    positions = [entry.position for entry in of(entries, Stream.HEARTBEATS)]
    assert positions == sorted(set(positions))
    assert len(of(entries, Stream.KEYS)) == 1


def test_the_feed_is_no_log_for_an_issuer(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match="can only be read"):
        IssuerSettings(
            issuer="https://issuer.example", store="sqlite:///x", log="https://a.example/events", kek=Secret("x")
        )


async def test_who_tries_to_write_to_a_feed_is_told_that_it_cannot(issuer: Replica, agents: Credentials) -> None:
    async with feed_log(issuer.url, agents) as log:
        with pytest.raises(LogMisconfigured, match="only be read"):
            await log.append(Stream.REVOCATIONS, [b"x"])
        with pytest.raises(LogMisconfigured, match="does not carry agents"):
            await log.read({Stream.AGENTS: None}, wait=0.0)
    assert feed_url(issuer.url, agents) not in repr(log)


async def test_an_encrypted_feed_is_read_when_its_certificate_is_vouched_for(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    served = await ServedFeed.start(tls=serving)
    served.add(Stream.KEYS, b"keys")
    for url, heard in ((served.url, None), (f"{served.url}?ca={certificate}", [b"keys"])):
        log = open_log(url)
        try:
            found = [bytes(entry.data) for entry in await log.read({Stream.KEYS: None}, wait=1.0)]
        except LogUnavailable:
            found = None
        finally:
            await log.close()
        assert found == heard
    await served.stop()
