"""When what a mass revocation has left to do is done."""

import asyncio
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from events import Lift, RevokeDigests, TokenDigest
from events.digests import pack_digests
from tests.simulator import ISSUER
from verifier_agent import settling
from verifier_agent.digest_index import DigestIndex
from verifier_agent.revocations import RevocationIndex
from verifier_agent.settling import Settling

SOON = 30.0


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quiet is soon, patience is short."""
    monkeypatch.setattr(settling, "QUIET_SECONDS", 0.02)
    monkeypatch.setattr(settling, "PATIENCE_SECONDS", 0.1)


def revoke(index: RevocationIndex, seq: int) -> None:
    """A batch of 10,000, which takes several steps."""
    packed = pack_digests(map(TokenDigest, range(seq * 10_000, (seq + 1) * 10_000)))
    index.revoke_digests(seq, RevokeDigests(digests=packed, expires_at=50.0))


@asynccontextmanager
async def at_work(index: RevocationIndex) -> AsyncIterator[Settling]:
    """It runs."""
    settling = Settling(index)
    task = asyncio.create_task(settling.run())
    try:
        async with asyncio.timeout(SOON):
            yield settling
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until_settled(index: RevocationIndex) -> None:
    while not index.is_settled:  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(0.001)


async def test_what_was_there_at_the_start_is_settled_without_anything_new(quick: None) -> None:
    index = RevocationIndex(ISSUER)
    revoke(index, 1)
    async with at_work(index):
        await until_settled(index)


async def test_it_is_done_when_nothing_new_has_come_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "QUIET_SECONDS", 0.05)
    monkeypatch.setattr(settling, "PATIENCE_SECONDS", 3600.0)
    index = RevocationIndex(ISSUER)
    async with at_work(index) as settler:
        for seq in range(1, 6):
            revoke(index, seq)
            settler.wake()
            await asyncio.sleep(0)
            assert len(index._digests._unsettled) == seq  # all of it is heard first
        await until_settled(index)

    assert all(index._digests.holds(TokenDigest(seq * 10_000)) for seq in range(1, 6))


async def test_it_is_done_in_the_end_though_something_comes_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "QUIET_SECONDS", 3600.0)
    monkeypatch.setattr(settling, "PATIENCE_SECONDS", 0.05)
    index = RevocationIndex(ISSUER)
    async with at_work(index) as settler:
        revoke(index, 1)
        while not index.is_settled:
            settler.wake()
            await asyncio.sleep(0.001)


async def test_others_have_a_turn_after_each_step(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a step takes."""
    turns, at_step = 0, list[int]()
    settle = DigestIndex.settle

    def watched(index: DigestIndex) -> bool:
        at_step.append(turns)
        return settle(index)

    monkeypatch.setattr(DigestIndex, "settle", watched)
    index = RevocationIndex(ISSUER)
    revoke(index, 1)
    async with at_work(index):
        while not index.is_settled:
            turns += 1
            await asyncio.sleep(0)

    assert len(at_step) > 2
    assert len(set(at_step)) == len(at_step)


@pytest.mark.parametrize("settled", [False, True])
def test_a_record_that_is_said_twice_is_two_batches_of_which_one_may_be_lifted(settled: bool) -> None:
    index = RevocationIndex(ISSUER)
    digests = array("Q", range(100))
    record = RevokeDigests(digests=pack_digests(map(TokenDigest, digests)), expires_at=50.0)
    for seq in (1, 2):
        index.revoke_digests(seq, record)
    while settled and index.settle():
        pass

    index.lift(Lift(target=1, expires_at=50.0))
    assert all(index._digests.holds(TokenDigest(digest)) for digest in digests)
    index.lift(Lift(target=2, expires_at=50.0))
    assert not any(index._digests.holds(TokenDigest(digest)) for digest in digests)
