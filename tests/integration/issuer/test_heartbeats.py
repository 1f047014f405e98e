"""Heartbeats: numbered upwards for ever, and never ahead of what is committed."""

import asyncio
from contextlib import suppress
from functools import partial

import pytest
from sqlalchemy import update

from events import Stream, pack
from issuer.store.schema import streams
from tests.integration.issuer.relay_under_test import (
    FragileLog,
    TakenBack,
    any_record,
    decide,
    fresh,
    is_level,
    logged,
    relay_of,
    running,
)
from tests.issuer_under_test import Store, on_every_store, said, until
from tests.outbox_reader import counter

pytestmark = pytest.mark.usefixtures("quick_relay")


async def tells_of(event_log: FragileLog, store: Store, seq: int) -> bool:
    """Whether a heartbeat has told of the revocation of this number."""
    beats = await said(event_log.inner, store.trust, Stream.HEARTBEATS)
    return any(beat.record.heads["revocations"].head == seq for beat in beats)  # type: ignore[attr-defined]


@on_every_store
async def test_heartbeats_are_numbered_upwards_across_relays_and_tell_what_is_committed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_log = FragileLog()
    committed = [(await counter(store.database, Stream.REVOCATIONS)).head]
    for holder in ("one", "two"):
        async with running(relay_of(store.beside(), event_log, holder=holder)):
            for _ in range(3):
                committed.append((await decide(store)).seq)
                await until(partial(tells_of, event_log, store, committed[-1]), "a heartbeat tells of it")
    beats = await said(event_log.inner, store.trust, Stream.HEARTBEATS)
    heads = [beat.record.heads["revocations"].head for beat in beats]  # type: ignore[attr-defined]
    times = [beat.record.time for beat in beats]  # type: ignore[attr-defined]
    assert len(beats) > 5
    assert [beat.seq for beat in beats] == sorted({beat.seq for beat in beats})
    assert times == sorted(times)
    assert heads == sorted(heads)
    assert set(heads) <= set(committed)


@on_every_store
async def test_a_heartbeat_does_not_tell_of_a_decision_that_may_still_be_taken_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_log = FragileLog()
    before = (await decide(store)).seq
    other = store.beside()
    async with running(relay_of(other, event_log)):
        await until(lambda: is_level(store, event_log), "log and store are level")
        with suppress(TakenBack):
            async with store.database.write() as connection:
                await store.outbox.append(connection, Stream.REVOCATIONS, any_record(Stream.REVOCATIONS))
                await asyncio.sleep(0.2)
                raise TakenBack
        await asyncio.sleep(0.1)

    beats = await said(event_log.inner, store.trust, Stream.HEARTBEATS)
    assert {beat.record.heads["revocations"].head for beat in beats} <= {before - 1, before}  # type: ignore[attr-defined]


async def test_a_store_whose_heartbeats_were_numbered_lower_goes_on_above_those_in_the_log(store: Store) -> None:
    event_log = FragileLog()
    async with running(relay_of(store, event_log)):
        await until(lambda: fresh(store, event_log), "a heartbeat tells of everything")
    before = await logged(event_log, Stream.HEARTBEATS)
    async with store.database.write() as connection:
        await connection.execute(update(streams).where(streams.c.stream == "heartbeats").values(head=pack(1, 0)))

    async def another() -> bool:
        return len(await logged(event_log, Stream.HEARTBEATS)) > len(before) + 2

    async with running(relay_of(store, event_log, "two")):
        await until(another, "more heartbeats")
    newest = store.opener.open((await logged(event_log, Stream.HEARTBEATS))[-1], Stream.HEARTBEATS)

    assert newest.seq > store.opener.open(before[-1], Stream.HEARTBEATS).seq
