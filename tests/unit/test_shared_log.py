"""One reader for several who follow a log in one process."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import LogUnavailable, PositionLost, Stream
from events.log import Entry, EventLog, SharedLog
from events.log.memory import MemoryLog
from events.streams import FOLLOWED

SOON = 60.0
START: Mapping[Stream, int | None] = dict.fromkeys(FOLLOWED)


class Source:
    """A log of which every handle sees the same, and how it is used.

    Attributes:
        handles: that have been opened.
        failing: what its reads raise.
    """

    def __init__(self) -> None:
        self.handles: list[Handle] = []
        self.failing: Exception | None = None
        self.kept = MemoryLog()

    def open(self) -> EventLog:
        self.handles.append(Handle(self))
        return self.handles[-1]

    def open_handles(self) -> int:
        return sum(not handle.closed for handle in self.handles)

    async def say(self, *texts: str, stream: Stream = Stream.REVOCATIONS) -> None:
        await self.kept.append(stream, [text.encode() for text in texts])


class Handle:
    """One of them."""

    def __init__(self, source: Source) -> None:
        self.closed = False
        self.reads = 0
        self._source = source

    async def append(self, stream: Stream, events: Sequence[bytes]) -> None:
        await self._source.kept.append(stream, events)

    async def read(self, after: Mapping[Stream, int | None], *, wait: float, limit: int = 1000) -> list[Entry]:
        self.reads += 1
        if self._source.failing is not None:
            raise self._source.failing
        return await self._source.kept.read(after, wait=wait, limit=limit)

    async def head(self, stream: Stream) -> int | None:
        return await self._source.kept.head(stream)

    async def check(self) -> list[str]:
        return ["as it is"]

    async def close(self) -> None:
        self.closed = True


class Follower:
    """Reads on from where it is, as an agent does."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.at = dict(START)
        self.heard: list[str] = []

    async def read(self, wait: float = 0.0, limit: int = 1000) -> int:
        entries = await self.log.read(self.at, wait=wait, limit=limit)
        for stream, position, data in entries:
            self.at[stream] = position
            self.heard.append(data.decode())
        return len(entries)

    async def hear(self, *texts: str) -> None:
        """Read on until so much has been heard, and find that it is this."""
        async with asyncio.timeout(SOON):
            while len(self.heard) < len(texts):
                await self.read(wait=SOON)
        assert self.heard == list(texts)


@pytest.fixture
def source() -> Source:
    """An empty log."""
    return Source()


@pytest.fixture
def shared(source: Source) -> SharedLog:
    """What shares it."""
    return SharedLog(source.open)


async def level(shared: SharedLog, count: int) -> list[Follower]:
    """Followers who wait for what comes next, and have heard nothing."""
    followers = [Follower(shared.open()) for _ in range(count)]
    for follower in followers:
        await follower.read()
    for follower in followers:
        await follower.read()
    return followers


async def test_one_connection_brings_everything_to_all_who_are_level(source: Source, shared: SharedLog) -> None:
    followers = await level(shared, 5)
    reads = source.handles[0].reads
    waiting = [asyncio.create_task(follower.hear("a", "b")) for follower in followers]
    await asyncio.sleep(0)
    await source.say("a", "b")
    await asyncio.gather(*waiting)

    assert source.open_handles() == 1
    assert source.handles[0].reads == reads + 1


async def test_all_who_wait_are_woken_at_once_and_not_one_after_the_other(source: Source, shared: SharedLog) -> None:
    followers = await level(shared, 20)
    turns = 0
    woken: list[int] = []

    async def count_turns() -> None:
        nonlocal turns
        while len(woken) < len(followers):
            await asyncio.sleep(0)
            turns += 1

    async def hear(follower: Follower) -> None:
        await follower.hear("a")
        woken.append(turns)

    waiting = [asyncio.create_task(hear(follower)) for follower in followers]
    await asyncio.sleep(0)
    await source.say("a")
    await asyncio.gather(count_turns(), *waiting)

    assert max(woken) - min(woken) < 4


async def test_who_will_not_wait_as_long_as_the_one_who_reads_goes_with_nothing(
    source: Source, shared: SharedLog
) -> None:
    patient, hasty = await level(shared, 2)
    waiting = asyncio.create_task(patient.hear("a"))
    await asyncio.sleep(0)

    assert await hasty.read(wait=0.01) == 0
    assert not waiting.done()
    await source.say("a")
    await asyncio.gather(waiting, hasty.hear("a"))


async def test_who_comes_later_reads_by_a_connection_of_its_own_until_it_is_level(
    source: Source, shared: SharedLog
) -> None:
    (first,) = await level(shared, 1)
    await source.say("a", "b")
    await first.hear("a", "b")
    later = Follower(shared.open())
    await later.hear("a", "b")

    assert source.open_handles() == 2
    await later.read()
    assert source.open_handles() == 1
    await source.say("c")
    await later.hear("a", "b", "c")
    await first.hear("a", "b", "c")


async def test_who_is_too_slow_holds_nobody_up_and_catches_up_by_itself(
    source: Source, shared: SharedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.log.shared.MOST_WAITING", 3)
    quick, slow = await level(shared, 2)
    texts = [str(number) for number in range(20)]
    for at, text in enumerate(texts, 1):
        await source.say(text)
        await quick.hear(*texts[:at])
    await slow.read(limit=1)
    assert source.open_handles() == 2
    await slow.hear(*texts)

    await source.say("last")
    await asyncio.gather(quick.hear(*texts, "last"), slow.hear(*texts, "last"))
    await slow.read()
    assert source.open_handles() == 1


async def test_whose_turn_it_was_may_leave_and_another_reads_on(source: Source, shared: SharedLog) -> None:
    followers = await level(shared, 3)
    waiting = [asyncio.create_task(follower.hear("a")) for follower in followers]
    await asyncio.sleep(0.01)
    await followers[0].log.close()
    with pytest.raises(LogUnavailable):
        await waiting[0]
    waiting[1].cancel()
    await source.say("a")

    await waiting[2]
    await followers[1].hear("a")


async def test_the_last_one_closes_the_connection_and_the_next_opens_another(source: Source, shared: SharedLog) -> None:
    first, second = await level(shared, 2)
    await first.log.close()
    assert source.open_handles() == 1
    await second.log.close()
    assert source.open_handles() == 0
    await source.say("a")

    await Follower(shared.open()).hear("a")
    assert source.open_handles() == 1


async def test_who_opens_a_log_that_is_silent_is_given_another_connection(
    source: Source, shared: SharedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    (left,) = await level(shared, 1)
    monkeypatch.setattr("events.log.shared.SILENCE_SECONDS", -1.0)
    shared.open()
    assert source.open_handles() == 2
    monkeypatch.undo()
    shared.open()

    assert source.open_handles() == 2
    await left.log.close()
    assert source.open_handles() == 1


async def test_who_goes_back_is_told_by_the_log_and_not_from_memory(source: Source, shared: SharedLog) -> None:
    staying, going = await level(shared, 2)
    await source.say("a", "b")
    await asyncio.gather(staying.hear("a", "b"), going.hear("a", "b"))
    source.kept = MemoryLog()  # made anew, and grown past where they are
    await source.say("A", "B", "C")
    going.at[Stream.REVOCATIONS] = None
    going.heard.clear()

    await going.hear("A", "B", "C")
    await staying.hear("a", "b", "C")


async def test_who_is_not_level_is_told_by_the_log_that_it_never_had_a_position(
    source: Source, shared: SharedLog
) -> None:
    await level(shared, 1)
    later = Follower(shared.open())
    await later.read()
    later.at[Stream.REVOCATIONS] = 1000

    with pytest.raises(PositionLost):
        await later.read()
    assert await source.handles[0].check() == await later.log.check()


async def test_what_was_read_for_one_who_has_left_is_not_taken_for_what_follows(
    source: Source, shared: SharedLog
) -> None:
    await source.say("a", "b")
    (leaving,) = await level(shared, 1)
    staying = Follower(shared.open())
    await leaving.hear("a", "b")
    waiting = asyncio.create_task(leaving.hear("a", "b", "c"))
    await asyncio.sleep(0.01)
    await source.say("c")
    await leaving.log.close()  # and its read has its answer already

    await staying.hear("a", "b", "c")
    await asyncio.gather(waiting, return_exceptions=True)


async def test_a_lost_position_is_lost_to_each(source: Source, shared: SharedLog) -> None:
    followers = await level(shared, 2)
    await source.say("a", "b")
    await asyncio.gather(*(follower.hear("a", "b") for follower in followers))
    source.kept = MemoryLog()
    await source.say("A")
    for follower in followers:
        with pytest.raises(PositionLost) as lost:
            await follower.read()
        assert (lost.value.stream, lost.value.position) == (Stream.REVOCATIONS, 1)
        follower.at[Stream.REVOCATIONS] = None
        follower.heard.clear()
        await follower.hear("A")

    await source.say("B")
    await asyncio.gather(*(follower.hear("A", "B") for follower in followers))
    await asyncio.gather(*(follower.read() for follower in followers))
    assert source.open_handles() == 1


async def test_a_failing_log_fails_whoever_reads_and_all_go_on_when_it_is_back(
    source: Source, shared: SharedLog
) -> None:
    followers = await level(shared, 2)
    source.failing = LogUnavailable("away")
    for follower in followers:
        with pytest.raises(LogUnavailable, match="away"):
            await follower.read()
    source.failing = None
    await source.say("a")

    await asyncio.gather(*(follower.hear("a") for follower in followers))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, 2), st.integers(1, 6)),
        st.tuples(st.just("read"), st.integers(0, 2), st.integers(1, 7)),
        st.tuples(st.just("wait"), st.integers(0, 2), st.integers(1, 7)),
        st.tuples(st.just("reopen"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("back"), st.integers(0, 2), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS)
def test_each_hears_everything_once_and_in_order_whatever_the_others_do(steps: list[tuple[str, int, int]]) -> None:
    asyncio.run(_each_hears_everything(steps))


async def _each_hears_everything(steps: list[tuple[str, int, int]]) -> None:
    source = Source()
    shared = SharedLog(source.open)
    followers = [Follower(shared.open()) for _ in range(3)]
    said: dict[Stream, list[str]] = {stream: [] for stream in FOLLOWED}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("events.log.shared.MOST_WAITING", 5)
        for what, who, count in steps:
            if what == "say":
                stream = FOLLOWED[who]
                texts = [f"{stream} {len(said[stream]) + number}" for number in range(count)]
                said[stream] += texts
                await source.say(*texts, stream=stream)
                continue
            follower = followers[who]
            if what == "reopen":
                await follower.log.close()
                follower.log = shared.open()
            elif what == "back":
                follower.at, follower.heard = dict(START), []
            else:
                await follower.read(wait=0.001 if what == "wait" else 0.0, limit=count)
        for follower in followers:
            while len(follower.heard) < sum(map(len, said.values())):
                await follower.read()
            for stream, texts in said.items():
                assert [text for text in follower.heard if text.startswith(stream)] == texts
            await follower.log.close()
    assert source.open_handles() == 0
