"""One suite for every place where agents save what they have heard."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from events import Stream
from tests.redis_under_test import issuer_of_today, writing
from tests.services.service import Service
from verifier_agent.errors import StoreUnavailable
from verifier_agent.saved import SavedEvent, SealedSnapshot, StateStore
from verifier_agent.saved.disk import DiskStore

Open = Callable[[], Awaitable[StateStore]]
SNAPSHOT = SealedSnapshot(seal=b"e30.e30.c2VhbA", data=b'{"keys":\n[]}\n\n\x00\xff' * 1000)
OTHER = SealedSnapshot(seal=b"e30.e30.b3RoZXI", data=b"")


def event(number: int, stream: Stream = Stream.REVOCATIONS) -> SavedEvent:
    return SavedEvent(stream, b"e30.%d.c2ln" % number)


@pytest.fixture(params=["disk", "redis"])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens the same store again and again."""
    async with AsyncExitStack() as stack:

        async def opening() -> StateStore:
            if request.param == "disk":
                store = DiskStore(tmp_path / "state")
                stack.push_async_callback(store.close)
                return store
            server: Service = request.getfixturevalue("redis_server")
            issuer = issuer_of_today(f"https://{tmp_path.name}.example")
            return (await stack.enter_async_context(writing(server.address, issuer))).store

        yield opening


@pytest.fixture
async def store(open_store: Open) -> StateStore:
    """A store in which nothing is yet."""
    return await open_store()


async def test_an_empty_store_holds_nothing(store: StateStore) -> None:
    saved = await store.load()

    assert saved.snapshot is None
    assert list(saved.events) == []


async def test_what_was_saved_is_there_in_order(store: StateStore) -> None:
    await store.replace(SNAPSHOT, [event(1), event(2, Stream.KEYS)])
    await store.append([event(3, Stream.HEARTBEATS)])
    await store.append([event(4), event(4)])
    saved = await store.load()

    assert saved.snapshot == SNAPSHOT
    assert list(saved.events) == [event(1), event(2, Stream.KEYS), event(3, Stream.HEARTBEATS), event(4), event(4)]


async def test_the_next_agent_finds_what_the_last_one_saved(open_store: Open) -> None:
    first = await open_store()
    await first.replace(SNAPSHOT, [event(1)])
    await first.append([event(2)])
    await first.close()
    saved = await (await open_store()).load()

    assert saved.snapshot == SNAPSHOT
    assert list(saved.events) == [event(1), event(2)]


async def test_events_can_be_kept_without_a_snapshot(store: StateStore) -> None:
    await store.append([event(1)])
    await store.append([event(2)])
    saved = await store.load()

    assert saved.snapshot is None
    assert list(saved.events) == [event(1), event(2)]


async def test_a_new_snapshot_takes_the_place_of_all_that_was_there(store: StateStore) -> None:
    await store.replace(SNAPSHOT, [event(1)])
    await store.append([event(2)])
    await store.replace(OTHER, [event(3)])
    saved = await store.load()

    assert saved.snapshot == OTHER
    assert list(saved.events) == [event(3)]


async def test_a_snapshot_can_be_let_go(store: StateStore) -> None:
    await store.replace(SNAPSHOT, [event(1)])
    await store.replace(None, [event(2)])
    saved = await store.load()

    assert saved.snapshot is None
    assert list(saved.events) == [event(2)]


async def test_large_snapshots_and_events_are_kept_whole(store: StateStore) -> None:
    snapshot = SealedSnapshot(seal=SNAPSHOT.seal, data=bytes(range(256)) * 40_000)
    large = SavedEvent(Stream.REVOCATIONS, b"e30." + b"A" * 999_000 + b".c2ln")
    await store.replace(snapshot, [large])
    await store.append([large, event(2)])
    saved = await store.load()

    assert saved.snapshot == snapshot
    assert list(saved.events) == [large, large, event(2)]


async def test_nothing_to_add_changes_nothing(store: StateStore) -> None:
    await store.replace(SNAPSHOT, [])
    await store.append([])
    saved = await store.load()

    assert saved.snapshot == SNAPSHOT
    assert list(saved.events) == []


async def test_a_closed_store_says_so_and_can_be_closed_again(store: StateStore) -> None:
    await store.close()
    await store.close()

    with pytest.raises(StoreUnavailable):
        await store.load()
    with pytest.raises(StoreUnavailable):
        await store.append([event(1)])
