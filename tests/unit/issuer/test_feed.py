"""The feed's rules: every reader is told every live event once, in order, wherever it comes and goes."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import EventKey, EventSigner, PositionLost, Revoke, Selector, Stream, pack
from events.log.cursor import parse_cursor
from events.log.server_sent import EventStreamParser, ServerSentEvent
from events.streams import FOLLOWED
from issuer.errors import StoreUnavailable
from issuer.feed.feed import Feed, FeedFull, FellBehind
from issuer.feed.window import Window
from issuer.keys.generation import generate
from issuer.outbox.outbox import StoredEvent
from tests.feed_under_test import KeptEvents

SOON = 60.0


def event(number: int, size: int = 1) -> StoredEvent:
    return StoredEvent(Stream.REVOCATIONS, pack(1, number), "", b"x" * size)


def numbers(events: Sequence[StoredEvent]) -> list[int]:
    return [each.seq - pack(1, 0) for each in events]


def test_a_window_holds_the_newest_events_within_its_bounds() -> None:
    window = Window(0, most_events=3, most_bytes=100)
    for number in range(1, 6):
        window.push(event(number, 10))
    assert (window.behind, window.head) == (pack(1, 2), pack(1, 5))
    assert numbers(window.after(window.behind, 1000)) == [3, 4, 5]

    window.push(event(6, 95))
    assert numbers(window.after(window.behind, 1000)) == [6]
    window.push(event(7, 1000))  # alone above every bound: it is told all the same
    assert numbers(window.after(window.behind, 1)) == [7]


def test_a_window_gives_what_follows_a_position_up_to_so_many_octets() -> None:
    window = Window(pack(1, 10))
    for number in range(11, 16):
        window.push(event(number, 10))

    assert numbers(window.after(pack(1, 12), 1000)) == [13, 14, 15]
    assert numbers(window.after(pack(1, 12), 11)) == [13, 14]
    assert numbers(window.after(pack(1, 15), 11)) == []
    assert numbers(window.after(pack(1, 99), 11)) == []  # another replica has told more


def test_a_window_knows_what_one_can_go_on_after() -> None:
    window = Window(pack(1, 10))
    window.push(event(11))
    window.push(event(11))
    window.push(event(9))

    assert numbers(window.after(window.behind, 1000)) == [11]
    assert [number for number in range(8, 13) if window.holds(pack(1, number))] == [10, 11]


@asynccontextmanager
async def following(kept: KeptEvents, most_readers: int = 10) -> AsyncIterator[Feed]:
    feed = Feed(kept, most_readers)
    await feed.start()
    task = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        task.cancel()
        await asyncio.wait([task])


async def told(feed: Feed, asked: Mapping[Stream, int | None], most: int | None = None) -> list[ServerSentEvent]:
    """What a reader is told: so many events, or everything there is."""
    parser = EventStreamParser()
    found: list[ServerSentEvent] = []
    async with asyncio.timeout(SOON), aclosing(feed.chunks(await feed.reader(asked))) as chunks:
        async for chunk in chunks:
            found += parser.feed(chunk)
            if most is not None and len(found) >= most:
                return found[:most]
            if found and found[-1].name == b"level":
                return found[:-1]
    raise AssertionError("the feed has ended")


ALL: dict[Stream, int | None] = dict.fromkeys(FOLLOWED)
streams = st.sampled_from(FOLLOWED)


@given(said=st.lists(streams, max_size=40), steps=st.lists(st.integers(1, 30), min_size=1, max_size=8), early=st.data())
def test_whoever_comes_again_with_any_position_is_told_the_rest_once(
    said: list[Stream], steps: list[int], early: st.DataObject
) -> None:
    """Readers leave after any number of events, decided before the feed starts or while it runs."""
    before = early.draw(st.integers(0, len(said)))

    async def play() -> None:
        kept = KeptEvents()
        expected: dict[str, list[bytes]] = {stream: [] for stream in FOLLOWED}

        def decide(which: Sequence[Stream], start: int) -> None:
            for number, stream in enumerate(which, start):
                kept.add(stream, f"event-{number}".encode())
                expected[stream].append(f"event-{number}".encode())

        decide(said[:before], 0)
        async with following(kept) as feed:
            decide(said[before:], before)
            feed.look()
            await asyncio.sleep(0.001)
            heard: dict[str, list[bytes]] = {stream: [] for stream in FOLLOWED}
            cursor = ""
            for step in [*steps, None]:
                for name, position, data in await told(feed, ALL | parse_cursor(cursor), step):
                    if name != b"level":
                        heard[name.decode()].append(data)
                    cursor = position.decode() or cursor
        assert heard == expected

    asyncio.run(play())


async def test_every_position_of_a_stream_can_be_resumed_at() -> None:
    kept = KeptEvents()
    for number in range(30):
        kept.add(FOLLOWED[number % 2], f"event-{number}".encode())
    async with following(kept) as feed:
        everything = await told(feed, ALL)
        for index, each in enumerate(everything):
            rest = await told(feed, ALL | parse_cursor(each.id.decode()))
            for stream in FOLLOWED:  # each in its order; how they lie between one another is open
                expected = [other.data for other in everything[index + 1 :] if other.name == stream.encode()]
                assert [other.data for other in rest if other.name == stream.encode()] == expected


async def test_who_comes_without_a_position_is_told_what_is_live() -> None:
    kept = KeptEvents()
    kept.add(Stream.KEYS, b"old", b"new")
    kept.add(Stream.REVOCATIONS, b"past", b"live", b"live too")
    kept.floors |= {Stream.KEYS: pack(1, 2), Stream.REVOCATIONS: pack(1, 2)}
    async with following(kept) as feed:
        assert [each.data for each in await told(feed, ALL)] == [b"new", b"live", b"live too"]


async def test_positions_below_what_is_live_go_on_from_there() -> None:
    kept = KeptEvents()
    kept.add(Stream.REVOCATIONS, b"past", b"past too", b"live")
    kept.floors[Stream.REVOCATIONS] = pack(1, 3)
    async with following(kept) as feed:
        assert [each.data for each in await told(feed, {Stream.REVOCATIONS: pack(1, 1)})] == [b"live"]


@pytest.mark.parametrize("position", [pack(1, 1), pack(1, 6), pack(2, 1)], ids=["pruned", "too high", "another life"])
async def test_a_position_that_the_store_does_not_hold_is_lost(position: int) -> None:
    kept = KeptEvents()
    kept.add(Stream.REVOCATIONS, b"1", b"2", b"3", b"4", b"5")
    kept.prune(Stream.REVOCATIONS, 2)
    async with following(kept) as feed:
        with pytest.raises(PositionLost) as lost:
            await feed.reader({Stream.REVOCATIONS: position})
        assert (lost.value.stream, lost.value.position) == (Stream.REVOCATIONS, position)
        assert [each.data for each in await told(feed, ALL)] == [b"3", b"4", b"5"]


async def test_what_this_process_decides_is_told_without_asking_the_store() -> None:
    kept = KeptEvents()
    signer = EventSigner("https://issuer.example", EventKey(generate("ES256")))
    record = Revoke(selector=Selector(), expires_at=4e9)
    feed = Feed(kept, 1)
    [known] = kept.add(Stream.REVOCATIONS, b"known")
    await feed.start()  # and nobody follows the store
    first, second, fourth = [
        signer.sign(Stream.REVOCATIONS, known.seq + ahead, record, time=1.8e9, txn="txn") for ahead in (1, 2, 4)
    ]
    for offered in (first, first, second, fourth):
        feed.offer(offered)

    rest = await told(feed, {Stream.REVOCATIONS: known.seq})
    assert [each.data for each in rest] == [first.text, second.text]  # there is a gap before the fourth
    assert kept.reads == 0


async def test_a_reader_that_drops_out_of_what_is_held_is_cut_off_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("issuer.feed.feed.Window", lambda head, **_: Window(head, most_events=5))
    kept = KeptEvents()
    async with following(kept) as feed:
        slow, quick = [feed.chunks(await feed.reader({Stream.REVOCATIONS: None})) for _ in range(2)]
        async with aclosing(slow), aclosing(quick):
            for chunks in (slow, quick):
                assert [await anext(chunks), b"level" in await anext(chunks)] == [b"retry: 1000\n\n", True]
            for number in range(1, 10):
                kept.add(Stream.REVOCATIONS, b"event-%d" % number)
                feed.look()
                assert b"event-%d" % number in await anext(quick)

            with pytest.raises(FellBehind):
                await anext(slow)
        assert [each.data for each in await told(feed, ALL)] == [b"event-%d" % number for number in range(1, 10)]


async def test_there_are_only_so_many_places() -> None:
    async with following(KeptEvents(), most_readers=2) as feed:
        with feed.place():
            with feed.place(), pytest.raises(FeedFull), feed.place():
                pass
            with feed.place():
                assert feed.readers == 2
        assert feed.readers == 0


async def test_at_the_end_every_reader_goes_and_none_comes() -> None:
    async with following(KeptEvents()) as feed:
        chunks = feed.chunks(await feed.reader(ALL))
        waiting = asyncio.create_task(_to_the_end(chunks))
        await asyncio.sleep(0.01)
        feed.end()
        async with asyncio.timeout(SOON):
            assert b"level" in await waiting
        with pytest.raises(FeedFull), feed.place():
            pass


async def _to_the_end(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def test_a_silent_feed_says_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("issuer.feed.feed.QUIET_SECONDS", 0.01)
    async with following(KeptEvents()) as feed, aclosing(feed.chunks(await feed.reader(ALL))) as chunks:
        async with asyncio.timeout(SOON):
            assert [await anext(chunks) for _ in range(4)][2:] == [b": still here\n\n"] * 2


async def test_a_heartbeat_is_told_after_what_it_tells_of(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptEvents()
    after = kept.after

    async def slow(stream: Stream, seq: int) -> Sequence[StoredEvent]:
        await asyncio.sleep(0.01)
        return await after(stream, seq)

    async def beat() -> None:
        kept.beats += 1
        kept.add(Stream.REVOCATIONS, b"decided-%d." % kept.beats)
        kept.add(Stream.HEARTBEATS, b"beat-%d." % kept.beats)

    monkeypatch.setattr("issuer.feed.feed.BEAT_SECONDS", 0.01)
    monkeypatch.setattr(kept, "after", slow)
    monkeypatch.setattr(kept, "beat", beat)
    text = b""
    async with following(kept) as feed, aclosing(feed.chunks(await feed.reader(ALL))) as chunks:
        with feed.place():
            async with asyncio.timeout(SOON):
                while b"beat-3." not in text:
                    text += await anext(chunks)
    for number in (1, 2, 3):
        assert b"decided-%d." % number in text.partition(b"beat-%d." % number)[0]


async def test_heartbeats_are_made_for_readers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("issuer.feed.feed.BEAT_SECONDS", 0.01)
    kept = KeptEvents()
    async with following(kept) as feed:
        await asyncio.sleep(0.1)
        assert kept.beats == 0
        with feed.place():
            async with asyncio.timeout(SOON):
                while kept.beats < 3:  # noqa: ASYNC110 - nobody tells of it
                    await asyncio.sleep(0.01)


async def test_a_store_that_is_away_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("issuer.feed.feed.RETRY_SECONDS", 0.01)
    kept = KeptEvents()
    after, away = kept.after, True

    async def fragile(stream: Stream, seq: int) -> Sequence[StoredEvent]:
        if away:
            raise StoreUnavailable("away, as the test says")
        return await after(stream, seq)

    monkeypatch.setattr(kept, "after", fragile)
    async with following(kept) as feed, aclosing(feed.chunks(await feed.reader(ALL))) as chunks:
        assert [await anext(chunks), b"level" in await anext(chunks)] == [b"retry: 1000\n\n", True]
        kept.add(Stream.REVOCATIONS, b"decided")
        feed.look()
        await asyncio.sleep(0.05)
        away = False
        async with asyncio.timeout(SOON):
            assert b"decided" in await anext(chunks)
