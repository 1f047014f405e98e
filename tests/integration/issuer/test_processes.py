"""``tocsin issuer`` as a process that is killed, stopped and doubled: nothing that was answered is lost."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
from aiohttp import ClientError

from events import Stream
from issuer.store.database import Database
from tests.issuer_process import IssuerProcess
from tests.issuer_under_test import Installation, rejection, until
from tests.outbox_reader import numbers, without_holes
from verifier_agent import Agent

AT_ONCE = 8
ROUNDS = 3
TOKENS = 60
"""Revoked in each round, unless it ends before."""
TAKEN_OVER_SECONDS = 30.0


async def revoke_until_the_end(
    issuers: Sequence[IssuerProcess], tokens: list[str], operators: str, answered: list[str]
) -> None:
    """Revoke tokens, many at once, until none is left or nobody answers; note those whose revocation was answered."""
    left = list(tokens)

    async def work(issuer: IssuerProcess) -> None:
        try:
            while left:
                token = left.pop()
                answer = await issuer.admin("POST", "/revocations", {"reason": "x", "token": token}, token=operators)
                assert answer.status == 201, answer
                answered.append(token)
        except ClientError:
            return  # it has been killed

    await asyncio.gather(*(work(issuers[number % len(issuers)]) for number in range(AT_ONCE)))


async def knows_everything(agent: Agent, installation: Installation) -> bool:
    database = Database(installation.settings.store)
    try:
        head = (await numbers(database, Stream.REVOCATIONS))[-1]
    finally:
        await database.close()
    return agent.status().applied["revocations"] == head and agent.status().ready


async def check(installation: Installation, answered: list[str], untouched: list[str]) -> None:
    """Every revocation that was answered is in force for whoever reads the log; store and log have no hole."""
    async with installation.agent() as agent:

        async def complete() -> bool:
            return await knows_everything(agent, installation)

        await until(complete, "an agent that reads the log from its start knows everything", TAKEN_OVER_SECONDS)
        assert {rejection(agent, token) for token in answered} <= {"revoked"}
        assert {rejection(agent, token) for token in untouched} <= {None}
        assert agent.status().holes == {}
        assert agent.status().forks == []
    database = Database(installation.settings.store)
    everything = await numbers(database, Stream.REVOCATIONS)
    await database.close()
    assert without_holes(everything)
    logged = [event.seq for event in await installation.said(Stream.REVOCATIONS)]
    assert list(dict.fromkeys(logged)) == everything


@pytest.fixture
async def installation(tmp_path: Path) -> Installation:
    return await Installation.create(tmp_path)


async def test_whatever_was_answered_before_a_sigkill_is_in_force_after_the_next_start(
    installation: Installation,
) -> None:
    answered: list[str] = []
    untouched: list[str] = []
    for _ in range(ROUNDS):
        async with IssuerProcess.started(installation) as issuer:
            operators = await issuer.token(installation.operator)
            tokens = [await issuer.token(installation.demo) for _ in range(TOKENS)]
            untouched.append(await issuer.token(installation.demo))

            revoking = asyncio.create_task(revoke_until_the_end([issuer], tokens, operators, answered))
            enough = len(answered) + random.randrange(TOKENS // 2)  # noqa: S311 - any moment will do
            await until(partial(_more_than, answered, enough), "some revocations are answered")
            await issuer.kill()
            await revoking

    async with IssuerProcess.started(installation) as issuer:
        await check(installation, answered, untouched)
        for token in answered[::10]:
            assert not await issuer.active(token, installation.demo)
        assert await issuer.stop() == 0
    assert len(answered) < ROUNDS * TOKENS, "every kill came too late"


def _more_than(answered: list[str], count: int) -> bool:
    return len(answered) > count


async def test_sigterm_lets_requests_end_and_the_process_ends_with_0_and_without_a_complaint(
    installation: Installation,
) -> None:
    async with IssuerProcess.started(installation) as issuer:
        operators = await issuer.token(installation.operator)
        tokens = [await issuer.token(installation.demo) for _ in range(TOKENS)]
        answered: list[str] = []
        revoking = asyncio.create_task(revoke_until_the_end([issuer], tokens, operators, answered))
        await until(lambda: answered, "some revocations are answered")

        assert await issuer.stop() == 0

        await revoking
        told = [json.loads(line) for line in issuer.log]
        assert [line for line in told if line["level"] not in ("debug", "info")] == []
    async with IssuerProcess.started(installation) as issuer:
        await until(lambda: _leads(issuer), "the next process need not wait for the lease")
        await check(installation, answered, [])


async def _leads(issuer: IssuerProcess) -> bool:
    return await issuer.relay() == "publishing"


@pytest.fixture
async def on_postgresql(postgresql_url: str, tmp_path: Path) -> Installation:
    return await Installation.create(tmp_path, store=postgresql_url)


@pytest.fixture
async def two(on_postgresql: Installation) -> AsyncIterator[tuple[IssuerProcess, IssuerProcess]]:
    """Two processes on one store, that which relays first."""
    async with AsyncExitStack() as stack:
        leader = await stack.enter_async_context(IssuerProcess.started(on_postgresql))
        await until(lambda: _leads(leader), "the first process relays")
        yield leader, await stack.enter_async_context(IssuerProcess.started(on_postgresql))


async def test_two_issuers_on_one_postgresql_decide_at_once_and_one_goes_on_when_the_other_is_killed(
    on_postgresql: Installation, two: tuple[IssuerProcess, IssuerProcess]
) -> None:
    leader, other = two
    assert await other.relay() == "waiting"
    operators = await leader.token(on_postgresql.operator)
    tokens = [await leader.token(on_postgresql.demo) for _ in range(2 * TOKENS)]
    untouched = [await other.token(on_postgresql.demo)]
    first, second = tokens[:TOKENS], tokens[TOKENS:]
    answered: list[str] = []
    await revoke_until_the_end(two, first, operators, answered)
    assert sorted(answered) == sorted(first)

    revoking = asyncio.create_task(revoke_until_the_end(two, second, operators, answered))
    await until(partial(_more_than, answered, TOKENS + 5), "some revocations are answered")
    await leader.kill()
    await revoking

    await until(lambda: _leads(other), "the other process relays", TAKEN_OVER_SECONDS)
    await check(on_postgresql, answered, untouched)
    revocation = await other.admin(
        "POST", "/revocations", {"reason": "x", "selector": {"client_id": "demo"}}, Prefer="wait=30"
    )
    assert revocation.json()["published"] is True
    assert await other.stop() == 0
