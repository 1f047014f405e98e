"""What agents save in Redis for others to start from, on a real server."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events import Selector, Stream
from tests.redis_under_test import Writer, asking, eventually, issuer_of_today, running, writing
from tests.sealed import sealed_snapshot
from tests.services.service import Service
from tests.simulator import IssuerSimulator, Listener
from verifier_agent import RejectionCode
from verifier_agent.errors import StoreUnavailable
from verifier_agent.redis import state_store
from verifier_agent.saved import SavedEvent, SealedSnapshot

SNAPSHOT = SealedSnapshot(seal=b"e30.e30.c2VhbA", data=b'{"keys":\n[]}\n\x00\xff' * 1000)


def event(number: int) -> SavedEvent:
    return SavedEvent(Stream.REVOCATIONS, b"e30.%d.c2ln" % number)


@pytest.fixture
def issuer(request: pytest.FixtureRequest) -> IssuerSimulator:
    """One for each test, so that none sees another's keys."""
    return issuer_of_today(f"https://{request.node.name}.example")


@pytest.fixture
async def writer(redis_server: Service, issuer: IssuerSimulator) -> AsyncIterator[Writer]:
    async with writing(redis_server.address, issuer) as one:
        yield one


async def test_an_agent_starts_from_what_another_has_saved(redis_server: Service, issuer: IssuerSimulator) -> None:
    token, later = issuer.token(sub="alice"), issuer.token(sub="bob")
    issuer.revoke(Selector.of(sub="alice"))
    snapshot = sealed_snapshot(issuer)
    since = issuer.revoke(Selector.of(sub="bob"))
    async with writing(redis_server.address, issuer) as first:
        await first.store.replace(snapshot, [])
        await first.store.append([SavedEvent(since.stream, since.text)])
    async with writing(redis_server.address, issuer) as second:
        saved = await second.store.load()
    started = Listener(issuer)
    assert saved.snapshot is not None
    started.verifier.restore_sealed(saved.snapshot, now=issuer.clock.now(), boot=issuer.clock.boot(), max_age=60)
    for stream, data in saved.events:
        started.hear_raw(stream, data)

    assert started.rejection(token) is RejectionCode.REVOKED
    assert started.rejection(later) is RejectionCode.REVOKED


async def test_only_one_agent_writes_and_the_others_read(
    redis_server: Service, issuer: IssuerSimulator, writer: Writer
) -> None:
    await writer.store.replace(SNAPSHOT, [event(1)])
    async with writing(redis_server.address, issuer) as other:
        for attempt in (other.store.append([event(2)]), other.store.replace(SNAPSHOT, [])):
            with pytest.raises(StoreUnavailable) as refused:
                await attempt
            assert refused.value.code == "in_use"
        saved = await other.store.load()

    assert list(saved.events) == [event(1)]


async def test_when_the_writer_stops_another_goes_on_where_it_was(
    redis_server: Service, issuer: IssuerSimulator, writer: Writer
) -> None:
    await writer.store.replace(SNAPSHOT, [event(1)])
    await writer.close()
    async with writing(redis_server.address, issuer) as other:
        await other.store.append([event(2)])
        saved = await other.store.load()

    assert saved.snapshot == SNAPSHOT
    assert list(saved.events) == [event(1), event(2)]


async def test_when_the_writer_dies_its_lease_runs_out(redis_server: Service, issuer: IssuerSimulator) -> None:
    async with (
        writing(redis_server.address, issuer, lease_seconds=0.5) as dead,
        writing(redis_server.address, issuer, lease_seconds=0.5) as other,
    ):
        await dead.store.append([event(1)])

        async def taken_over() -> bool:
            return await other.lease.held() is not None

        await eventually(taken_over)
        await other.store.append([event(2)])

        assert list((await other.store.load()).events) == [event(1), event(2)]


async def test_a_writer_that_was_paused_for_longer_than_its_lease_changes_nothing(
    redis_server: Service, issuer: IssuerSimulator
) -> None:
    async with (
        writing(redis_server.address, issuer) as paused,
        writing(redis_server.address, issuer) as other,
        asking(redis_server.address) as client,
    ):
        await paused.store.replace(SNAPSHOT, [event(1)])
        await client.delete(paused.keys.lease)  # it has run out meanwhile, though by its own clock it is ours
        await other.store.replace(SNAPSHOT, [event(2)])
        before = await other.store.load()
        assert paused.lease.is_held
        for attempt in (paused.store.append([event(3)]), paused.store.replace(SNAPSHOT, [])):
            with pytest.raises(StoreUnavailable) as refused:
                await attempt
            assert refused.value.code == "in_use"

        assert await other.store.load() == before
        assert not paused.lease.is_held
        assert other.lease.is_held


async def test_fencing_numbers_grow_even_when_all_data_are_lost(
    redis_server_of_its_own: Service, issuer: IssuerSimulator
) -> None:
    numbers = []
    for _ in range(3):
        async with writing(redis_server_of_its_own.address, issuer) as one:
            fence = await one.lease.held()
            assert fence is not None
            numbers.append(fence.number)
        if len(numbers) == 2:
            await asyncio.sleep(1.0)  # a server takes longer than that to come back empty
            async with asking(redis_server_of_its_own.address) as client:
                await client.flushall()

    assert numbers[0] < numbers[1] < numbers[2]


async def test_after_everything_was_lost_the_writer_says_so_once_and_begins_anew(
    redis_server_of_its_own: Service, issuer: IssuerSimulator
) -> None:
    url = redis_server_of_its_own.address
    async with writing(url, issuer) as one, asking(url) as client:
        await one.store.replace(SNAPSHOT, [event(1)])
        await client.flushall()
        with pytest.raises(StoreUnavailable) as lost:
            await one.store.append([event(2)])
        assert lost.value.code in ("lost", "in_use")
        await one.store.append([event(2)])

        assert await one.store.load() == (None, [event(2)])


async def test_a_snapshot_counts_when_all_of_it_is_there_and_not_before(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_store, "PIECE", 100)
    await writer.store.replace(SNAPSHOT, [event(1)])
    monkeypatch.setattr(writer.keys, "events", lambda generation: writer.keys.base + generation + ":elsewhere")
    other = SealedSnapshot(seal=b"e30.e30.b3RoZXI", data=b"other" * 100)
    asked = writer.connection._call
    calls = 0

    async def fails_on_the_way(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise StoreUnavailable("the connection broke")
        return await asked(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(writer.connection, "_call", fails_on_the_way)
    with pytest.raises(StoreUnavailable, match="broke"):
        await writer.store.replace(other, [event(2)])
    monkeypatch.undo()

    assert await writer.store.load() == (SNAPSHOT, [event(1)])


async def test_who_reads_while_another_generation_is_put_in_its_place_gets_one_of_them_whole(
    redis_server: Service, issuer: IssuerSimulator, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_store, "PIECE", 1000)
    snapshots = [SealedSnapshot(seal=b"%d" % number, data=os.urandom(30_000)) for number in range(12)]
    await writer.store.replace(snapshots[0], [])
    found: list[SealedSnapshot | None] = []

    async def read() -> None:
        async with writing(redis_server.address, issuer) as reader:
            while len(found) < 30:
                found.append((await reader.store.load()).snapshot)

    reading = asyncio.create_task(read())
    for snapshot in snapshots[1:]:
        await writer.store.replace(snapshot, [])
    await reading

    assert all(snapshot in snapshots for snapshot in found)


async def test_everything_that_is_written_goes_away_by_itself(redis_server: Service, writer: Writer) -> None:
    await writer.store.replace(SNAPSHOT, [event(1)])
    await writer.store.replace(SNAPSHOT, [event(1)])
    await writer.store.append([event(2)])
    async with asking(redis_server.address) as client:
        keys = [key async for key in client.scan_iter(match=writer.keys.base.replace("[", "?").replace("]", "?") + "*")]
        lives = {key: await client.ttl(key) for key in keys}

    assert len(lives) >= 5
    assert all(0 < life <= 7 * 86_400 for life in lives.values())
    former = [life for key, life in lives.items() if key.endswith(b".1:data")]
    assert former
    assert all(life <= state_store.READER_SECONDS for life in former)


async def test_events_beyond_the_bound_are_left_out_until_the_next_snapshot(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_store, "MAX_EVENTS", 200)
    await writer.store.replace(SNAPSHOT, [])
    for number in range(20):
        await writer.store.append([event(number)])
    saved = await writer.store.load()

    assert list(saved.events) == [event(number) for number in range(len(saved.events))]
    assert len(saved.events) + writer.store.left_out == 20
    assert writer.store.left_out
    await writer.store.replace(SNAPSHOT, [event(20)])
    assert list((await writer.store.load()).events) == [event(20)]


async def test_a_million_digests_are_read_in_one_go(writer: Writer) -> None:
    snapshot = SealedSnapshot(seal=SNAPSHOT.seal, data=os.urandom(11_000_000))
    await writer.store.replace(snapshot, [event(1)])
    calls = writer.connection.calls
    saved = await writer.store.load()

    assert saved == (snapshot, [event(1)])
    assert writer.connection.calls - calls <= 4
    await writer.store.replace(SNAPSHOT, [event(2)])
    calls = writer.connection.calls
    assert await writer.store.load() == (SNAPSHOT, [event(2)])
    assert writer.connection.calls - calls == 1


async def test_what_would_be_too_long_to_read_is_not_written(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_store, "MAX_SNAPSHOT", 1000)
    with pytest.raises(StoreUnavailable) as refused:
        await writer.store.replace(SNAPSHOT, [])
    assert refused.value.code == "too_long"


async def test_two_issuers_do_not_meet(redis_server: Service, issuer: IssuerSimulator, writer: Writer) -> None:
    await writer.store.replace(SNAPSHOT, [event(1)])
    async with writing(redis_server.address, issuer_of_today("https://elsewhere.example")) as other:
        assert await other.store.load() == (None, [])
        await other.store.append([event(2)])
    assert list((await writer.store.load()).events) == [event(1)]


WRITER = """
import asyncio, sys
from events import Stream
from tests.redis_under_test import issuer_of_today, writing
from verifier_agent.errors import StoreUnavailable
from verifier_agent.saved import SavedEvent

async def main():
    async with writing(sys.argv[1], issuer_of_today(sys.argv[2]), lease_seconds=1.0) as writer:
        while True:
            try:
                await writer.store.append([SavedEvent(Stream.REVOCATIONS, b"of the first")])
                print("written", flush=True)
            except StoreUnavailable as error:
                print(error.code, flush=True)
            await asyncio.sleep(0.01)

asyncio.run(main())
"""


async def test_a_process_that_was_stopped_while_writing_is_fenced_out_when_it_goes_on(
    redis_server: Service, issuer: IssuerSimulator
) -> None:
    with subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", WRITER, redis_server.address, issuer.issuer],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout
        try:
            for _ in range(20):
                assert await asyncio.to_thread(process.stdout.readline) == b"written\n"
            process.send_signal(signal.SIGSTOP)
            async with (
                writing(redis_server.address, issuer, lease_seconds=1.0) as other,
                running(other.lease.keep()),
            ):
                await eventually(lambda: other.lease.is_held)
                await other.store.replace(SNAPSHOT, [event(1)])
                process.send_signal(signal.SIGCONT)
                said = b""
                while said != b"in_use\n":
                    said = await asyncio.to_thread(process.stdout.readline)
                    assert said, "the process ended"
                assert await other.store.load() == (SNAPSHOT, [event(1)])
        finally:
            process.kill()
