"""What every event log must do: one suite over memory, SQLite, Kafka, the issuer's feed, and sharers of one of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from events import LogUnavailable, PositionLost, Stream
from events.log import Entry, EventLog, Retention, SharedLog, open_log
from events.log.kafka_settings import KafkaSettings
from events.log.kafka_topics import KafkaTopics
from events.streams import FOLLOWED
from tests.feed_under_test import ServedFeed

SOON = 30.0
"""Seconds within which an entry is certainly heard; none of it takes that long."""


@dataclass
class Place:
    """Somewhere to keep a log: every handle opened here is on the same one.

    Attributes:
        url: where.
        feed: what is served there, when it is a feed.
        sharing: what its handles share, when they do.
        opened: handles that the fixture closes.
    """

    url: str
    feed: ServedFeed | None = None
    sharing: SharedLog | None = None
    opened: list[EventLog] = field(default_factory=list)

    def open(self, retention: Retention | None = None) -> EventLog:
        """One more handle; the fixture closes it."""
        log = open_log(self.url, retention) if self.sharing is None else self.sharing.open()
        self.opened.append(log if self.feed is None else self.feed.written(log))
        return self.opened[-1]


async def in_memory(_request: pytest.FixtureRequest) -> Place:
    """A log of this process."""
    return Place("memory:")


async def in_sqlite(request: pytest.FixtureRequest) -> Place:
    """A log in a file of its own."""
    folder: Path = request.getfixturevalue("tmp_path")
    return Place(f"sqlite:///{folder}/a folder/events.db".replace(" ", "%20"))


async def in_kafka(request: pytest.FixtureRequest) -> Place:
    """A log in topics of its own."""
    address: str = request.getfixturevalue("kafka").address
    url = f"kafka://{address}?prefix=test-{uuid4().hex[:12]}."
    await KafkaTopics(KafkaSettings.parse(url), Retention()).create()
    return Place(url)


async def in_feed(_request: pytest.FixtureRequest) -> Place:
    """A feed on this machine, of what its handles append to its source."""
    feed = await ServedFeed.start()
    return Place(feed.url, feed)


def shared_in(
    kind: Callable[[pytest.FixtureRequest], Awaitable[Place]],
) -> Callable[[pytest.FixtureRequest], Awaitable[Place]]:
    """A log whose handles share one reader."""

    async def make(request: pytest.FixtureRequest) -> Place:
        place = await kind(request)
        place.sharing = SharedLog(lambda: open_log(place.url))
        return place

    return make


PLACES: dict[str, Callable[[pytest.FixtureRequest], Awaitable[Place]]] = {
    "memory": in_memory,
    "sqlite": in_sqlite,
    "kafka": in_kafka,
    "feed": in_feed,
    "shared sqlite": shared_in(in_sqlite),
    "shared kafka": shared_in(in_kafka),
    "shared feed": shared_in(in_feed),
}
SHARED = [kind for kind in PLACES if kind != "memory"]
OPAQUE = [kind for kind in PLACES if "feed" not in kind]


@pytest.fixture(params=list(PLACES))
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """Each kind of log in turn."""
    async with _made(request) as made:
        yield made


@pytest.fixture(params=SHARED)
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """Each kind of log of which two objects at one URL are the same log."""
    async with _made(request) as made:
        yield made


@asynccontextmanager
async def _made(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    made = await PLACES[request.param](request)
    yield made
    for log in made.opened:
        await log.close()
    if made.feed is not None:
        await made.feed.stop()


@pytest.fixture(params=OPAQUE)
async def opaque(request: pytest.FixtureRequest) -> AsyncIterator[EventLog]:
    """An empty log of each kind that carries any octets; a feed carries lines."""
    async with _made(request) as made:
        yield made.open()


@pytest.fixture
def log(place: Place) -> EventLog:
    """An empty log."""
    return place.open()


def numbered(start: int, stop: int) -> list[bytes]:
    return [f"event {number}".encode() for number in range(start, stop)]


async def read_all(
    log: EventLog, stream: Stream, count: int, after: int | None = None, limit: int = 1000
) -> list[Entry]:
    """Read on until so many entries have been heard, and then once more."""
    found: list[Entry] = []
    async with asyncio.timeout(SOON):
        while len(found) < count:
            found += await log.read({stream: found[-1].position if found else after}, wait=1.0, limit=limit)
    return found + await log.read({stream: found[-1].position if found else after}, wait=0.0, limit=limit)


async def test_entries_are_read_in_the_order_in_which_they_were_appended(log: EventLog) -> None:
    await log.append(Stream.REVOCATIONS, numbered(0, 50))
    for number in range(50, 60):
        await log.append(Stream.REVOCATIONS, numbered(number, number + 1))
    entries = await read_all(log, Stream.REVOCATIONS, 60)

    assert [entry.data for entry in entries] == numbered(0, 60)
    assert {entry.stream for entry in entries} == {Stream.REVOCATIONS}
    positions = [entry.position for entry in entries]
    assert positions == sorted(set(positions))


async def test_what_concurrent_appends_add_is_kept_whole_and_in_each_ones_order(log: EventLog) -> None:
    await asyncio.gather(*(log.append(Stream.REVOCATIONS, numbered(start, start + 20)) for start in range(0, 100, 20)))
    heard = [entry.data for entry in await read_all(log, Stream.REVOCATIONS, 100)]

    assert sorted(heard) == sorted(numbered(0, 100))
    for start in range(0, 100, 20):
        own = numbered(start, start + 20)
        assert [data for data in heard if data in own] == own


async def test_reading_goes_on_after_any_position(log: EventLog) -> None:
    await log.append(Stream.REVOCATIONS, numbered(0, 10))
    entries = await read_all(log, Stream.REVOCATIONS, 10)

    for index in (3, 8, 0, 9):  # also back
        rest = await read_all(log, Stream.REVOCATIONS, 9 - index, after=entries[index].position)
        assert rest == entries[index + 1 :]


async def test_the_same_read_gives_the_same_entries_again(log: EventLog) -> None:
    await log.append(Stream.REVOCATIONS, numbered(0, 3))

    assert await read_all(log, Stream.REVOCATIONS, 3) == await read_all(log, Stream.REVOCATIONS, 3)


async def test_one_read_gives_entries_of_several_streams_each_in_order(log: EventLog) -> None:
    for stream in Stream:
        await log.append(stream, [f"{stream} {number}".encode() for number in range(5)])
    after: dict[Stream, int | None] = dict.fromkeys(FOLLOWED)
    heard: dict[Stream, list[bytes]] = {stream: [] for stream in FOLLOWED}
    async with asyncio.timeout(SOON):
        while sum(map(len, heard.values())) < 15:
            for stream, position, data in await log.read(after, wait=1.0, limit=4):
                heard[stream].append(data)
                after[stream] = position

    assert heard == {stream: [f"{stream} {number}".encode() for number in range(5)] for stream in FOLLOWED}
    assert await log.read(after, wait=0.0) == []


async def test_no_answer_holds_more_than_its_limit(log: EventLog) -> None:
    await log.append(Stream.REVOCATIONS, numbered(0, 10))
    after: int | None = None
    heard: list[bytes] = []
    async with asyncio.timeout(SOON):
        while len(heard) < 10:
            entries = await log.read({Stream.REVOCATIONS: after}, wait=1.0, limit=3)
            assert len(entries) <= 3
            if entries:
                after = entries[-1].position
            heard += [entry.data for entry in entries]

    assert heard == numbered(0, 10)


async def test_without_entries_a_read_that_does_not_wait_is_empty(log: EventLog) -> None:
    assert await log.read(dict.fromkeys(FOLLOWED), wait=0.0) == []


async def test_without_entries_a_read_that_waits_ends_empty(log: EventLog) -> None:
    assert await log.read(dict.fromkeys(FOLLOWED), wait=0.05) == []


async def test_a_waiting_read_hears_what_is_appended_meanwhile(log: EventLog) -> None:
    await log.append(Stream.REVOCATIONS, numbered(0, 1))
    after: dict[Stream, int | None] = dict.fromkeys(FOLLOWED)
    async with asyncio.timeout(SOON):
        while not (entries := await log.read(after, wait=1.0)):
            pass
    after[Stream.REVOCATIONS] = entries[0].position

    reading = asyncio.create_task(log.read(after, wait=SOON))
    await asyncio.sleep(0.05)
    assert not reading.done()
    await log.append(Stream.AGENTS, [b"not asked for"])
    await log.append(Stream.REVOCATIONS, numbered(1, 2))

    assert [entry.data for entry in await reading] == numbered(1, 2)


async def test_a_waiting_read_hears_another_log_object_at_the_same_url(shared: Place) -> None:
    reader, writer = shared.open(), shared.open()
    await writer.append(Stream.KEYS, numbered(0, 1))
    first = await read_all(reader, Stream.KEYS, 1)
    reading = asyncio.create_task(reader.read({Stream.KEYS: first[-1].position}, wait=SOON))
    await asyncio.sleep(0.05)
    await writer.append(Stream.KEYS, numbered(1, 2))

    assert [entry.data for entry in await reading] == numbered(1, 2)


async def test_two_readers_both_hear_everything(shared: Place) -> None:
    log, other = shared.open(), shared.open()
    await log.append(Stream.REVOCATIONS, numbered(0, 5))
    first, second = await asyncio.gather(read_all(log, Stream.REVOCATIONS, 5), read_all(other, Stream.REVOCATIONS, 5))

    assert [entry.data for entry in first] == [entry.data for entry in second] == numbered(0, 5)


async def test_two_readers_of_one_log_object_both_hear_everything(log: EventLog) -> None:
    await log.append(Stream.REVOCATIONS, numbered(0, 5))
    await log.append(Stream.KEYS, numbered(5, 8))
    first, second, third = await asyncio.gather(
        read_all(log, Stream.REVOCATIONS, 5, limit=2),
        read_all(log, Stream.KEYS, 3, limit=1),
        read_all(log, Stream.REVOCATIONS, 5),
    )

    assert [entry.data for entry in first] == [entry.data for entry in third] == numbered(0, 5)
    assert [entry.data for entry in second] == numbered(5, 8)


async def test_many_log_objects_open_at_once(shared: Place) -> None:
    logs = [shared.open() for _ in range(5)]
    await asyncio.gather(*(log.append(Stream.REVOCATIONS, [str(at).encode()]) for at, log in enumerate(logs)))
    heard = await asyncio.gather(*(read_all(log, Stream.REVOCATIONS, 5) for log in logs))

    assert all(entries == heard[0] for entries in heard)
    assert sorted(entry.data for entry in heard[0]) == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_cancelled_read_loses_nothing(log: EventLog) -> None:
    await log.append(Stream.REVOCATIONS, numbered(0, 1))
    entries = await read_all(log, Stream.REVOCATIONS, 1)
    reading = asyncio.create_task(log.read({Stream.REVOCATIONS: entries[-1].position}, wait=SOON))
    await asyncio.sleep(0.05)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await log.append(Stream.REVOCATIONS, numbered(1, 3))

    heard = await read_all(log, Stream.REVOCATIONS, 2, after=entries[-1].position)
    assert [entry.data for entry in heard] == numbered(1, 3)


async def test_the_head_is_the_position_of_the_newest_entry(log: EventLog) -> None:
    assert await log.head(Stream.REVOCATIONS) is None
    await log.append(Stream.REVOCATIONS, numbered(0, 3))
    head = await log.head(Stream.REVOCATIONS)

    assert head == (await read_all(log, Stream.REVOCATIONS, 3))[-1].position
    assert await log.head(Stream.KEYS) is None
    assert await log.read({Stream.REVOCATIONS: head}, wait=0.0) == []


async def test_appending_nothing_changes_nothing(log: EventLog) -> None:
    await log.append(Stream.REVOCATIONS, [])

    assert await log.head(Stream.REVOCATIONS) is None


@pytest.mark.parametrize("beyond", [1, 1000])
async def test_a_position_that_the_log_never_had_is_lost(log: EventLog, beyond: int) -> None:
    await log.append(Stream.REVOCATIONS, numbered(0, 3))
    head = await log.head(Stream.REVOCATIONS)
    assert head is not None

    with pytest.raises(PositionLost) as lost:
        await log.read({Stream.KEYS: None, Stream.REVOCATIONS: head + beyond}, wait=0.0)
    assert (lost.value.stream, lost.value.position) == (Stream.REVOCATIONS, head + beyond)
    assert [entry.data for entry in await read_all(log, Stream.REVOCATIONS, 3)] == numbered(0, 3)


async def test_a_position_in_an_empty_stream_is_lost(log: EventLog) -> None:
    with pytest.raises(PositionLost):
        await log.read({Stream.REVOCATIONS: 0}, wait=0.0)


@pytest.mark.parametrize("data", [b"", b"\0", bytes(range(256)), b"x" * 700_000], ids=["empty", "zero", "all", "large"])
async def test_an_entry_is_kept_octet_by_octet(opaque: EventLog, data: bytes) -> None:
    await opaque.append(Stream.REVOCATIONS, [data, b"next"])

    assert [entry.data for entry in await read_all(opaque, Stream.REVOCATIONS, 2)] == [data, b"next"]


async def test_many_large_entries_are_all_heard(log: EventLog) -> None:
    large = [bytes([number]) * 700_000 for number in range(8)]
    await log.append(Stream.REVOCATIONS, large)

    assert [entry.data for entry in await read_all(log, Stream.REVOCATIONS, 8)] == large


async def test_a_log_that_was_just_made_has_nothing_wrong(log: EventLog) -> None:
    assert await log.check() == []


async def test_a_closed_log_is_unavailable(place: Place) -> None:
    log = place.open()
    await log.append(Stream.REVOCATIONS, numbered(0, 1))
    await read_all(log, Stream.REVOCATIONS, 1)
    await log.close()
    await log.close()

    with pytest.raises(LogUnavailable):
        await log.read({Stream.REVOCATIONS: None}, wait=0.0)
    with pytest.raises(LogUnavailable):
        await log.head(Stream.REVOCATIONS)
    with pytest.raises(LogUnavailable):
        await log.append(Stream.REVOCATIONS, numbered(1, 2))


async def test_a_log_that_was_never_used_can_be_closed(place: Place) -> None:
    log = place.open()
    await log.close()

    with pytest.raises(LogUnavailable):
        await log.head(Stream.REVOCATIONS)


async def test_closing_ends_a_read_that_waits(place: Place) -> None:
    log = place.open()
    reading = asyncio.create_task(log.read({Stream.REVOCATIONS: None}, wait=SOON))
    await asyncio.sleep(0.2)
    await log.close()

    with pytest.raises(LogUnavailable):
        await reading


async def test_what_was_appended_outlives_the_log_object(shared: Place) -> None:
    writer = shared.open()
    await writer.append(Stream.REVOCATIONS, numbered(0, 3))
    await writer.close()

    assert [entry.data for entry in await read_all(shared.open(), Stream.REVOCATIONS, 3)] == numbered(0, 3)
