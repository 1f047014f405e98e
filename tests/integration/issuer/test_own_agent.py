"""The issuer's own agent: it knows what was committed, from its own mouth and from the store."""

import logging
import time
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import update

from events import Revoke, Selector, SignedEvent, Stream
from issuer.outbox.own_agent import OwnAgent
from issuer.store.schema import outbox
from tests.issuer_under_test import Installation, ShiftedClock, Store, on_every_store, until
from verifier_agent.clocks import SystemClock


def own_agent(store: Store) -> OwnAgent:
    return OwnAgent(store.database, store.outbox, store.trust, skew=5.0, clock=SystemClock())


async def decide(store: Store, expires_at: float = 4e9) -> SignedEvent:
    async with store.database.write() as connection:
        record = Revoke(selector=Selector.of(sub="alice"), expires_at=expires_at)
        return await store.outbox.append(connection, Stream.REVOCATIONS, record)


@on_every_store
async def test_it_catches_up_with_more_than_one_batch_and_is_complete(store: Store, monkeypatch: Any) -> None:
    monkeypatch.setattr("issuer.outbox.own_agent.BATCH", 3)
    agent = own_agent(store)
    events = [await decide(store) for _ in range(10)]

    await agent.catch_up()

    assert agent.rsq == events[-1].seq
    assert agent.verifier.state.revocations.selectors == 10
    assert agent.verifier.state.freshness.covered is not None


@on_every_store
async def test_what_is_below_the_floor_need_not_be_read(store: Store) -> None:
    for _ in range(3):
        await decide(store, expires_at=1.0)
    live = await decide(store)
    await store.outbox.advance_floor()
    agent = own_agent(store)

    await agent.catch_up()

    assert agent.rsq == live.seq
    assert agent.verifier.state.revocations.selectors == 1


async def test_it_does_not_claim_to_know_what_it_has_only_heard_of_beyond_a_gap(store: Store) -> None:
    agent = own_agent(store)
    await agent.catch_up()
    before = agent.rsq
    await decide(store)  # by another replica
    after = await decide(store)

    agent.hear(after)

    assert agent.rsq == before
    assert agent.verifier.state.revocations.selectors == 1
    await agent.catch_up()
    assert agent.rsq == after.seq


async def test_hearing_of_an_event_while_it_is_being_read_is_no_fault(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = own_agent(store)
    await agent.catch_up()
    event = await decide(store)
    read = store.outbox.after

    async def read_while_it_is_heard(*args: Any, **how: Any) -> Sequence[Any]:
        found = await read(*args, **how)
        agent.hear(event)
        return found

    monkeypatch.setattr(store.outbox, "after", read_while_it_is_heard)
    with caplog.at_level(logging.ERROR):
        await agent.catch_up()

    assert agent.rsq == event.seq
    assert caplog.messages == []


@on_every_store
async def test_an_event_that_was_tampered_with_in_the_store_is_reported_and_not_applied(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    agent = own_agent(store)
    await agent.catch_up()
    event = await decide(store)
    async with store.database.write() as connection:
        await connection.execute(
            update(outbox).where(outbox.c.seq == event.seq).values(event=event.text[:-4] + b"AAAA")
        )

    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            await agent.catch_up()

    assert caplog.messages == ["outbox_event_refused"]
    assert agent.rsq == event.seq - 1
    assert agent.verifier.refused["bad_signature"] == 3  # type: ignore[index]


@on_every_store
async def test_a_store_clock_that_leaps_is_told_once_and_nothing_is_forgotten_for_it(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = own_agent(store)
    await decide(store, expires_at=time.time() + 3600)
    await agent.catch_up()
    clock = store.database.time_before_reading()

    monkeypatch.setattr(store.database, "time_before_reading", lambda: clock + 86_400)
    monkeypatch.setattr(agent, "_heads", store.outbox.heads_query())
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            await agent.catch_up()

    assert caplog.messages == ["store_clock_leaps"]
    assert agent.verifier.state.revocations.selectors == 1


@on_every_store
async def test_what_another_replica_decides_is_enforced_here_soon(installation: Installation) -> None:
    async with installation.running() as here, installation.running(port=0) as there:
        token = await here.token(installation.demo)
        revocation = await there.revoke(selector={"client_id": "demo"})

        async def refused() -> bool:
            return not await here.active(token, installation.demo)

        await until(refused, "the replica beside refuses the token")
        renewed = await here.token(installation.demo)
        assert here.services.own_agent.rsq >= revocation["seq"]
        assert await here.active(renewed, installation.demo)
        assert await there.active(renewed, installation.demo)


@on_every_store
async def test_who_asks_for_a_token_after_a_revocation_gets_a_good_one_whatever_other_replicas_decided_before(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("issuer.outbox.own_agent.POLL_SECONDS", 3600.0)  # nobody looks just in time
    async with installation.running() as here, installation.running(port=0) as there:
        await there.revoke(selector={"sub": "somebody"})
        await here.revoke(selector={"client_id": "demo"})

        token = await here.token(installation.demo)

        assert await here.active(token, installation.demo)


async def test_a_token_that_was_stamped_before_a_revocation_elsewhere_is_not_good_after_it(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("issuer.outbox.own_agent.POLL_SECONDS", 3600.0)  # this replica hears nothing from the other
    async with installation.running() as late, installation.running(port=0) as other:
        await other.revoke(selector={"client_id": "demo"})

        token = await late.token(installation.demo)

        assert not await other.active(token, installation.demo)


async def test_when_the_store_has_been_away_too_long_nothing_is_claimed(installation: Installation) -> None:
    clock = ShiftedClock()
    async with installation.running(clock=clock) as issuer:
        token = await issuer.token(installation.operator)
        clock.ahead = 901.0  # as old as what is known would be

        answer = await issuer.admin("GET", "/keys", token=token)

        assert (answer.status, answer.json()["error"]) == (503, "temporarily_unavailable")


async def test_what_was_revoked_is_enforced_from_the_first_request_after_a_start(installation: Installation) -> None:
    for number in range(3):
        async with installation.running() as issuer:
            await issuer.revoke(selector={"sub": f"user-{number}"})
            assert issuer.services.own_agent.verifier.state.revocations.selectors == number + 1
