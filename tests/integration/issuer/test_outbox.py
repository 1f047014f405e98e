"""Numbers without holes, in the order of commits; heartbeats and floors that never run ahead of them."""

import asyncio
import time
from contextlib import suppress
from functools import partial

import pytest
from sqlalchemy import text, update

from events import Lift, Revoke, Selector, Stream, unpack
from issuer.store.database import Database
from issuer.store.schema import outbox
from tests.issuer_under_test import Installation, Replica, Store, on_every_store, until
from tests.outbox_reader import counter, numbers, without_holes

FAR = 4e9
AT_ONCE = 100
"""Decisions of each replica."""

only_postgresql = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
"""SQLite lets one transaction write at a time; nothing interleaves there."""


class TakenBack(Exception):
    """Ends a transaction without effect."""


def revoke(expires_at: float = FAR) -> Revoke:
    return Revoke(selector=Selector(), expires_at=expires_at)


async def decide(store: Store, record: Revoke | Lift | None = None) -> int:
    async with store.database.write() as connection:
        return (await store.outbox.append(connection, Stream.REVOCATIONS, record or revoke())).seq


def _knows(replica: Replica, seq: int) -> bool:
    return replica.services.own_agent.rsq == seq


async def somebody_waits(store: Store) -> bool:
    """Whether a transaction waits for another one's lock; on SQLite nothing tells."""
    if store.database.kind == "sqlite":
        await asyncio.sleep(0.05)
        return True
    async with store.database.read() as connection:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return bool((await connection.execute(text(waiting))).scalar_one())


@on_every_store
async def test_of_two_decisions_at_once_the_second_gets_the_number_that_the_first_gave_back(store: Store) -> None:
    other = store.beside()
    before = (await counter(store.database, Stream.REVOCATIONS)).head
    taken: list[int] = []
    go_on = asyncio.Event()

    async def decide_and_take_back() -> None:
        async with store.database.write() as connection:
            taken.append((await store.outbox.append(connection, Stream.REVOCATIONS, revoke())).seq)
            await go_on.wait()
            raise TakenBack

    first = asyncio.create_task(decide_and_take_back())
    await until(lambda: taken, "the first decision has its number")
    second = asyncio.create_task(decide(other))
    await until(lambda: somebody_waits(store), "the second decision waits for the first")
    assert not second.done()
    go_on.set()
    with suppress(TakenBack):
        await first

    assert taken == [await second] == [before + 1]
    assert without_holes(await numbers(store.database, Stream.REVOCATIONS))
    assert (await counter(store.database, Stream.REVOCATIONS)).head == before + 1


@on_every_store
async def test_of_two_decisions_at_once_the_second_comes_after_the_first_when_that_one_stands(store: Store) -> None:
    other = store.beside()
    go_on = asyncio.Event()

    async def decide_slowly() -> int:
        async with store.database.write() as connection:
            event = await store.outbox.append(connection, Stream.REVOCATIONS, revoke())
            await go_on.wait()
        return event.seq

    first = asyncio.create_task(decide_slowly())
    await asyncio.sleep(0.05)
    second = asyncio.create_task(decide(other))
    await until(lambda: somebody_waits(store), "the second decision waits for the first")
    go_on.set()

    assert await second == await first + 1


@on_every_store
async def test_under_load_of_two_replicas_whatever_anybody_sees_has_no_hole(installation: Installation) -> None:
    async with installation.running() as one, installation.running(port=0) as other, installation.agent() as agent:
        store = Database(installation.settings.store)
        seen: list[list[int]] = []
        done = asyncio.Event()

        async def watch() -> None:
            while not done.is_set():
                seen.append(await numbers(store, Stream.REVOCATIONS))
                await asyncio.sleep(0.001)

        async with asyncio.TaskGroup() as watching:
            watching.create_task(watch())
            decided = await asyncio.gather(
                *(
                    replica.services.revocations.revoke(Selector.of(sub=f"user-{number}"), reason="load", actor="test")
                    for number in range(AT_ONCE)
                    for replica in (one, other)
                )
            )
            done.set()

        everything = await numbers(store, Stream.REVOCATIONS)
        assert all(without_holes(numbers) for numbers in seen)
        assert len({len(numbers) for numbers in seen}) > 3, "the watcher saw next to nothing"
        assert sorted(revocation.seq for revocation in decided) == everything[1:]
        await until(lambda: agent.status().selectors == 2 * AT_ONCE, "the agent has heard of every revocation")
        logged = [event.seq for event in await installation.said(Stream.REVOCATIONS)]
        assert list(dict.fromkeys(logged)) == everything
        for replica in (one, other):
            await until(partial(_knows, replica, everything[-1]), "both replicas know of everything")
        await store.close()


@on_every_store
async def test_what_is_not_committed_is_in_no_heartbeat(store: Store) -> None:
    other = store.beside()
    before = await decide(store)
    async with store.database.write() as connection:
        event = await store.outbox.append(connection, Stream.REVOCATIONS, revoke())

        async with other.database.read() as reader:
            meanwhile = (await other.outbox.heads(reader)).heads[Stream.REVOCATIONS]

    async with other.database.read() as reader:
        afterwards = (await other.outbox.heads(reader)).heads[Stream.REVOCATIONS]
    assert meanwhile.head == before
    assert (afterwards.head, afterwards.digest) == (event.seq, event.digest)


async def test_heads_carry_the_stores_time_from_before_what_they_tell(store: Store) -> None:
    seq = await decide(store)
    async with store.database.read() as connection:
        heartbeat = await store.outbox.heads(connection)

    assert heartbeat.heads[Stream.REVOCATIONS].head == seq
    assert abs(heartbeat.time - time.time()) < 3600
    assert set(heartbeat.heads) == {"keys", "revocations"}


async def test_the_floor_rises_over_what_has_expired_and_stops_at_what_is_live(store: Store) -> None:
    expired = [await decide(store, revoke(expires_at=1.0)) for _ in range(2)]
    live = await decide(store)
    await decide(store, revoke(expires_at=1.0))  # above a live one

    await store.outbox.advance_floor()

    assert (await counter(store.database, Stream.REVOCATIONS)).floor == live == expired[-1] + 1


async def test_the_floor_lies_above_the_head_when_nothing_is_live_and_what_comes_then_is_live(store: Store) -> None:
    last = await decide(store, revoke(expires_at=1.0))
    await store.outbox.advance_floor()
    assert (await counter(store.database, Stream.REVOCATIONS)).floor == last + 1

    live = await decide(store)
    await store.outbox.advance_floor()

    assert (await counter(store.database, Stream.REVOCATIONS)).floor == live


async def test_the_floor_never_goes_back(store: Store) -> None:
    await decide(store, revoke(expires_at=1.0))
    await store.outbox.advance_floor()
    floor = (await counter(store.database, Stream.REVOCATIONS)).floor
    async with store.database.write() as connection:  # as if the store's clock had been put back
        await connection.execute(update(outbox).values(expires_at=FAR))

    await store.outbox.advance_floor()

    assert (await counter(store.database, Stream.REVOCATIONS)).floor == floor


async def test_a_lift_lives_as_long_as_what_it_lifts(store: Store) -> None:
    target = await decide(store)
    lift = await decide(store, Lift(target=target, expires_at=FAR))
    async with store.database.write() as connection:
        await connection.execute(update(outbox).where(outbox.c.seq == target).values(expires_at=1.0))

    await store.outbox.advance_floor()

    assert (await counter(store.database, Stream.REVOCATIONS)).floor == lift


@only_postgresql
async def test_the_floor_does_not_step_over_a_revocation_that_commits_meanwhile(store: Store) -> None:
    other = store.beside()
    await decide(store, revoke(expires_at=1.0))

    async with store.database.write() as connection:
        live = await store.outbox.append(connection, Stream.REVOCATIONS, revoke())
        advancing = asyncio.create_task(other.outbox.advance_floor())
        await until(lambda: somebody_waits(other), "the floor waits for the revocation")
    await advancing

    assert (await counter(store.database, Stream.REVOCATIONS)).floor == live.seq


@on_every_store
async def test_each_stream_begins_with_one_baseline_however_many_processes_start_at_once(store: Store) -> None:
    others = [store.beside() for _ in range(3)]

    await asyncio.gather(*(other.outbox.initialise() for other in others))

    for stream in (Stream.KEYS, Stream.REVOCATIONS):
        assert [unpack(seq) for seq in await numbers(store.database, stream)] == [(1, 1)]


@on_every_store
async def test_what_stands_in_the_outbox_is_signed_for_its_place_and_says_what_was_decided(store: Store) -> None:
    seq = await decide(store, Revoke(selector=Selector.of(sub="alice"), expires_at=FAR, reason="why", actor="who"))

    async with store.database.read() as connection:
        [stored] = await store.outbox.after(connection, Stream.REVOCATIONS, seq - 1)

    event = store.opener.open(stored.text, Stream.REVOCATIONS)
    assert (event.seq, event.digest) == (seq, stored.digest)
    assert event.record == Revoke(selector=Selector.of(sub="alice"), expires_at=FAR, reason="why", actor="who")


@on_every_store
async def test_events_are_read_within_bounds_of_number_and_of_octets(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seqs = [await decide(store) for _ in range(3)]

    async def read(most_bytes: int, limit: int = 500) -> list[int]:
        monkeypatch.setattr("issuer.outbox.outbox.MOST_BYTES", most_bytes)
        async with store.database.read() as connection:
            found = await store.outbox.after(connection, Stream.REVOCATIONS, seqs[0] - 1, limit=limit)
            return [event.seq for event in found]

    async with store.database.read() as connection:
        sizes = [len(event.text) for event in await store.outbox.after(connection, Stream.REVOCATIONS, seqs[0] - 1)]
    assert await read(sum(sizes)) == seqs
    assert await read(sum(sizes), limit=2) == seqs[:2]
    assert await read(sum(sizes) - 1) == seqs[:2]
    assert await read(1) == seqs[:1]
