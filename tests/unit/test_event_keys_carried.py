"""Successions of event keys on their way: first in a feed, kept by logs and stores, waited for by a follower."""

import asyncio
from contextlib import aclosing
from pathlib import Path

from events import Selector, SignedEvent, Stream
from events.log import Retention, open_log
from events.log.kafka import _key
from events.log.memory import MemoryLog
from events.log.server_sent import EventStreamParser
from events.log.sqlite import PRUNE_EVERY
from events.succession import successor_named
from issuer.feed.feed import Feed
from issuer.outbox.outbox import StoredEvent
from tests.feed_under_test import KeptEvents
from tests.simulator import IssuerSimulator, Listener, publish
from verifier_agent.follower import LogFollower
from verifier_agent.saved import SavedEvent
from verifier_agent.saved.live_events import live
from verifier_agent.unopened import MOST_BYTES, Unopened


def saved(*events: SignedEvent) -> list[SavedEvent]:
    return [SavedEvent(event.stream, event.text) for event in events]


def test_a_succession_is_told_by_its_looks_and_nothing_else_is(issuer: IssuerSimulator) -> None:
    others = [*issuer.said, issuer.revoke(Selector.of(sub="alice")), issuer.beat()]
    kid = issuer.heir.kid
    event = issuer.succeed()

    assert successor_named(event.text) == kid
    assert [successor_named(each.text) for each in others] == [None] * len(others)
    assert [successor_named(raw) for raw in (b"", b"a.b.c", b"..", b"e30.e30.")] == [None] * 4


def test_each_succession_is_kept_by_a_key_of_its_own_in_a_compacted_topic(issuer: IssuerSimulator) -> None:
    first, second = issuer.succeed(), issuer.succeed()
    key_set = issuer.said[-1]

    assert len({_key(Stream.KEYS, event.text) for event in (first, second, key_set)}) == 3
    assert _key(Stream.KEYS, key_set.text) == b"keys"
    assert _key(Stream.REVOCATIONS, first.text) is None


async def test_a_log_in_a_file_that_prunes_itself_keeps_successions(issuer: IssuerSimulator, tmp_path: Path) -> None:
    log = open_log(f"sqlite:///{tmp_path}/events.db", Retention(revocations=0, heartbeats=0, agents=0))
    events = [issuer.succeed() for _ in range(3)]
    try:
        await publish(log, *issuer.said)
        for _ in range(PRUNE_EVERY):
            await log.append(Stream.KEYS, [issuer.said[-1].text])
        kept = [entry.data for entry in await log.read({Stream.KEYS: None}, wait=0.0)]
    finally:
        await log.close()

    assert [data for data in kept if successor_named(data)] == [event.text for event in events]
    assert len(kept) < PRUNE_EVERY


def test_of_saved_events_successions_stay_and_come_first(issuer: IssuerSimulator) -> None:
    old = issuer.revoke(Selector.of(sub="alice"))
    first, second = issuer.succeed(), issuer.succeed()
    newest, beat = issuer.said[-1], issuer.beat()
    least = {"keys": newest.seq, "revocations": old.seq + 1}

    assert live(saved(old, second, newest, first, beat, first), least) == saved(first, second, newest, beat)


async def test_a_feed_tells_first_of_the_successions_that_a_reader_has_slept_through() -> None:
    kept = KeptEvents()
    added = kept.add(Stream.KEYS, *(f"event-{number}".encode() for number in range(6)))
    kept.chain = [StoredEvent(Stream.KEYS, added[number].seq, "", f"chain-{number}".encode()) for number in (1, 3)]
    kept.floors[Stream.KEYS] = added[5].seq
    feed = Feed(kept, 10)
    await feed.start()

    async def told(position: int | None) -> list[bytes]:
        parser, found = EventStreamParser(), []
        asked = {Stream.REVOCATIONS: None, Stream.KEYS: position}
        async with asyncio.timeout(5), aclosing(feed.chunks(await feed.reader(asked))) as chunks:
            async for chunk in chunks:
                found += parser.feed(chunk)
                if found and found[-1].name == b"level":
                    break
        return [event.data for event in found[:-1]]

    assert await told(None) == [b"chain-1", b"chain-3", b"event-5"]
    assert await told(added[2].seq) == [b"chain-3", b"event-5"]
    assert await told(added[3].seq) == [b"event-5"]
    assert await told(added[5].seq) == []


class StreamAfterStream(MemoryLog):
    """Gives revocations before keys, whatever the order in which they were decided."""

    async def read(self, after, *, wait, limit=1000):  # type: ignore[no-untyped-def]
        """See ``EventLog.read``."""
        entries = await super().read(after, wait=wait, limit=limit)
        return sorted(
            entries, key=lambda entry: [Stream.HEARTBEATS, Stream.REVOCATIONS, Stream.KEYS].index(entry.stream)
        )


async def test_what_a_new_key_says_before_its_succession_is_read_takes_effect_with_it(issuer: IssuerSimulator) -> None:
    listener, event_log, heard = Listener(issuer), StreamAfterStream(), []
    applied = asyncio.Event()
    await publish(event_log, *issuer.said, issuer.beat())
    follower = LogFollower(
        listener.verifier, lambda: event_log, issuer.clock, applied.set, lambda stream, raw: heard.append((stream, raw))
    )
    for number in range(2):
        issuer.succeed()
        await publish(event_log, *issuer.said[-2:], issuer.revoke(Selector.of(sub=f"user-{number}")))
    await publish(event_log, issuer.beat())
    task = asyncio.create_task(follower.run())
    try:
        async with asyncio.timeout(10):
            while listener.freshness is None:
                applied.clear()
                await applied.wait()
                await publish(event_log, issuer.beat())
    finally:
        task.cancel()
        await asyncio.wait([task])

    assert listener.verifier.event_keys.generation == 2
    assert listener.verifier.state.revocations.selectors == 2
    assert listener.verifier.state.holes() == {}
    assert {raw for _, raw in heard} >= {event.text for event in [*issuer.successions, issuer.said[-1]]}


def test_what_cannot_be_opened_is_kept_within_a_bound() -> None:
    unopened = Unopened(0)
    for number in range(10):
        unopened.keep(Stream.REVOCATIONS, bytes([number]) * (MOST_BYTES // 4))
    unopened.keep(Stream.HEARTBEATS, b"a beat")

    assert unopened.take(0) == []
    assert [data[0] for _, data in unopened.take(1)] == [6, 7, 8, 9]
    assert unopened.take(1) == []
