"""Tokens that clients give back at once: one transaction, an event for each client, everybody answered after it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from events import EventOpener, RevokeDigests, Stream, VerifiedEvent
from events.digests import token_digest, unpack_digests
from issuer.errors import StoreUnavailable
from issuer.store.database import WRITERS
from tests.issuer_under_test import (
    AUDIENCE,
    Answer,
    Credentials,
    Installation,
    Replica,
    on_every_store,
    rejection,
    until,
    unverified,
)
from tests.outbox_reader import texts

MANY = 40


@asynccontextmanager
async def nobody_writes(issuer: Replica) -> AsyncIterator[None]:
    """Hold every place at the writer, so that what is asked for meanwhile waits there."""
    database = issuer.services.database
    async with AsyncExitStack() as stack:
        for _ in range(1 if database.kind == "sqlite" else WRITERS):
            await stack.enter_async_context(database.turns.turn(urgent=True))
        yield


def give_back(issuer: Replica, by: Credentials, tokens: list[str]) -> list[asyncio.Task[Answer]]:
    return [asyncio.create_task(issuer.form("/oauth2/revoke", by, token=token)) for token in tokens]


async def waiting(issuer: Replica, count: int) -> None:
    await until(lambda: issuer.services.self_service.waiting == count, f"{count} tokens wait")


async def decided(installation: Installation, issuer: Replica) -> list[VerifiedEvent]:
    opener = EventOpener(installation.trust)
    [_baseline, *events] = await texts(issuer.services.database, Stream.REVOCATIONS)
    return [opener.open(text, Stream.REVOCATIONS) for text in events]


@on_every_store
async def test_what_clients_give_back_at_once_is_one_sorted_event_a_client(
    installation: Installation, issuer: Replica
) -> None:
    other = await installation.client("other", audiences=(AUDIENCE,), token_lifetime=1800)
    ours = [await issuer.token(installation.demo) for _ in range(MANY)]
    theirs = [await issuer.token(other) for _ in range(2)]
    kept = await issuer.token(installation.demo)
    async with installation.agent() as agent:
        async with nobody_writes(issuer):
            answers = give_back(issuer, installation.demo, ours) + give_back(issuer, other, theirs)
            await waiting(issuer, MANY + 2)
            assert not any(answer.done() for answer in answers)
        assert {(await answer).status for answer in answers} == {200}

        events = await decided(installation, issuer)
        await until(lambda: agent.status().digests == MANY + 2, "the agent has heard of all")
        assert {rejection(agent, token) for token in ours + theirs} == {"revoked"}
        assert rejection(agent, kept) is None

    by_actor = {}
    for event in events:
        assert isinstance(event.record, RevokeDigests)
        by_actor[event.record.actor] = event.record
    assert len(events) == 2
    for actor, tokens in (("client demo", ours), ("client other", theirs)):
        assert list(unpack_digests(by_actor[actor].digests)) == sorted(map(token_digest, tokens))
        last = max(unverified(token)["exp"] for token in tokens)
        assert by_actor[actor].expires_at >= last + 2 * installation.settings.skew


async def test_the_same_token_given_back_many_times_at_once_is_decided_once(
    installation: Installation, issuer: Replica
) -> None:
    token = await issuer.token(installation.demo)
    async with nobody_writes(issuer):
        answers = give_back(issuer, installation.demo, [token] * 10)
        await waiting(issuer, 1)
    assert {(await answer).status for answer in answers} == {200}
    assert (await issuer.form("/oauth2/revoke", installation.demo, token=token)).status == 200

    [event] = await decided(installation, issuer)
    assert isinstance(event.record, RevokeDigests)
    assert list(unpack_digests(event.record.digests)) == [token_digest(token)]


async def test_all_of_a_group_that_failed_are_told_so_and_may_ask_again(
    installation: Installation, issuer: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = [await issuer.token(installation.demo) for _ in range(5)]

    async def away(*_: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr("issuer.revocations.read_horizon", away)
        failed = await asyncio.gather(*give_back(issuer, installation.demo, tokens))
    assert {(answer.status, answer.json()["error"]) for answer in failed} == {(503, "temporarily_unavailable")}
    assert await decided(installation, issuer) == []

    again = await asyncio.gather(*give_back(issuer, installation.demo, tokens))
    assert {answer.status for answer in again} == {200}
    for token in tokens:
        assert not await issuer.active(token, installation.demo)
