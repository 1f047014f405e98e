"""Tokens that clients give back are committed in groups."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest

from events.digests import TokenDigest
from issuer import self_service
from issuer.errors import OAuthError, StoreUnavailable
from issuer.revocations import RevocationService, TokenBatch
from issuer.self_service import SelfService
from tests.unit.issuer.test_turns import settled


class Writer:
    """Stands in for ``RevocationService``: commits when a test lets it, or fails."""

    def __init__(self) -> None:
        self.may_begin = asyncio.Event()
        self.may_end = asyncio.Event()
        self.groups: list[Sequence[TokenBatch]] = []
        self.error: Exception | None = None

    async def revoke_batches(self, gathered: Callable[[], Sequence[TokenBatch]]) -> None:
        await self.may_begin.wait()
        self.groups.append(gathered())
        await self.may_end.wait()
        if self.error is not None:
            raise self.error

    def let(self) -> None:
        self.may_begin.set()
        self.may_end.set()


@asynccontextmanager
async def running(writer: Writer) -> AsyncIterator[SelfService]:
    service = SelfService(cast("RevocationService", writer))
    task = asyncio.create_task(service.run())
    try:
        yield service
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def give(service: SelfService, client: str, *digests: int, exp: float = 100.0) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(service.revoke(client, TokenDigest(digest), exp)) for digest in digests]


async def test_what_comes_before_the_transaction_begins_is_one_group_with_a_batch_a_client() -> None:
    writer = Writer()
    async with running(writer) as service:
        callers = give(service, "a", 1) + give(service, "b", 9)
        await settled()
        callers += give(service, "a", 3, 2)
        await settled()
        assert not any(caller.done() for caller in callers)
        writer.let()
        await asyncio.gather(*callers)

    [[first, second]] = writer.groups
    assert (first.actor, set(first.tokens)) == ("client a", {1, 2, 3})
    assert (second.actor, set(second.tokens)) == ("client b", {9})


async def test_nobody_is_answered_before_the_commit() -> None:
    writer = Writer()
    writer.may_begin.set()
    async with running(writer) as service:
        [caller] = give(service, "a", 1)
        await settled()
        assert len(writer.groups) == 1
        assert not caller.done()
        writer.let()
        await caller


async def test_a_token_that_is_being_revoked_is_not_revoked_a_second_time() -> None:
    writer = Writer()
    async with running(writer) as service:
        waiting = give(service, "a", 1, 1)
        await settled()
        writer.may_begin.set()
        await settled()
        committing = give(service, "a", 1)
        await settled()
        writer.let()
        await asyncio.gather(*waiting, *committing)

        assert (service.groups, service.tokens) == (1, 1)


async def test_the_failure_of_a_group_is_told_to_all_of_it_and_the_next_goes_on() -> None:
    writer = Writer()
    writer.let()
    writer.error = StoreUnavailable("away")
    async with running(writer) as service:
        told = await asyncio.gather(*give(service, "a", 1, 2), *give(service, "b", 3), return_exceptions=True)
        assert [type(each) for each in told] == [StoreUnavailable] * 3
        assert service.failed == 1

        writer.error = None
        await asyncio.gather(*give(service, "a", 1))
        assert service.waiting == 0


async def test_an_unforeseen_error_does_not_end_the_service() -> None:
    writer = Writer()
    writer.let()
    writer.error = RuntimeError("a mistake of ours")
    async with running(writer) as service:
        with pytest.raises(StoreUnavailable, match="RuntimeError"):
            await service.revoke("a", TokenDigest(1), 100.0)
        writer.error = None
        await service.revoke("a", TokenDigest(1), 100.0)


async def test_a_caller_that_leaves_takes_nobody_with_it() -> None:
    writer = Writer()
    async with running(writer) as service:
        leaving, staying = give(service, "a", 1, 2)
        await settled()
        leaving.cancel()
        await settled()
        writer.let()
        await staying

    assert set(writer.groups[0][0].tokens) == {1, 2}


async def test_a_group_takes_only_so_many_clients_and_the_next_ones_wait_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(self_service, "MOST_CLIENTS", 2)
    writer = Writer()
    async with running(writer) as service:
        callers = [task for client in "abca" for task in give(service, client, ord(client))]
        await settled()
        writer.let()
        await asyncio.gather(*callers)

    assert [[batch.actor for batch in group] for group in writer.groups] == [["client a", "client b"], ["client c"]]


async def test_when_too_many_wait_further_ones_are_told_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_service, "MOST_WAITING", 3)
    writer = Writer()
    async with running(writer) as service:
        callers = give(service, "a", 1, 2, 3)
        await settled()
        with pytest.raises(OAuthError) as refused:
            await service.revoke("a", TokenDigest(4), 100.0)
        assert (refused.value.status, refused.value.retry_after) == (503, self_service.RETRY_AFTER)
        again = give(service, "a", 3)  # that one waits already
        await settled()
        writer.let()
        await asyncio.gather(*callers, *again)


async def test_who_waits_longer_than_anybody_should_is_told_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_service, "WAIT_SECONDS", 0.0)
    async with running(Writer()) as service:
        with pytest.raises(StoreUnavailable):
            await service.revoke("a", TokenDigest(1), 100.0)
