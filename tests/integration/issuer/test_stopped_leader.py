"""Two issuers on one PostgreSQL, and the one that rotates the keys is stopped, and goes on later.

Meanwhile both are asked for tokens, and an enrolled agent verifies each as soon as it comes.
"""

import asyncio
import json
import random
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
from aiohttp import ClientError

from events import EventOpener, KeySet, KeyState, Stream
from issuer.outbox.own_agent import ASLEEP_SECONDS
from issuer.store.database import Database
from tests.integration.issuer.test_fleet import agents_client, enrolled, settings
from tests.issuer_process import IssuerProcess
from tests.issuer_under_test import Installation, rejection, until
from tests.outbox_reader import texts
from tests.services.service import Service
from tests.stopping_issuer import CONFIRMED, DECIDED
from verifier_agent import Agent

ROTATE_EVERY: Final = 1.0
CEILING: Final = 100
"""Seconds that a token may live: an issuer keeps so many old keys, and no more."""
BY_CHANCE: Final = "by chance"


class Replicas:
    """Two processes of one installation, what they sign, and an agent that hears of their keys.

    Attributes:
        agent: which verifies.
        signed: how many tokens of each process have been verified.
        refused: good tokens that the agent did not find good: ``kid`` and why.
    """

    def __init__(self, installation: Installation, both: Sequence[IssuerProcess], agent: Agent, folder: Path) -> None:
        self.signed = dict.fromkeys(both, 0)
        self.refused: list[tuple[str, object]] = []
        self._installation = installation
        self.agent = agent
        self._folder = folder
        self._database = Database(installation.settings.store)

    async def leader_and_other(self) -> tuple[IssuerProcess, IssuerProcess]:
        """Who has opened the newest epoch comes first."""
        await until(lambda: max(map(epoch, self.signed)), "one of them leads")
        other, leader = sorted(self.signed, key=epoch)
        return leader, other

    async def keep_asking(self, issuer: IssuerProcess) -> None:
        """Have a process sign all the time, and judge each token at once."""
        while True:
            try:
                answer = await issuer.form("/oauth2/token", self._installation.demo, grant_type="client_credentials")
            except (ClientError, TimeoutError):
                await asyncio.sleep(0.1)  # it is stopped, or ends
                continue
            if answer.status == 503:  # it was stopped within a transaction, which is over
                continue
            assert answer.status == 200, answer
            token: str = answer.json()["access_token"]
            self.signed[issuer] += 1
            code = rejection(self.agent, token)
            if code is not None:
                self.refused.append((kid(token), code))
            await asyncio.sleep(0.01)

    async def stop(self, issuer: IssuerProcess, moment: str) -> None:
        """Stop it at a moment, but not while it writes to the log.

        The log is one SQLite file here, which nobody else can write to meanwhile, other than a log on servers.
        """
        for _ in range(20):
            if moment == BY_CHANCE:
                await asyncio.sleep(random.uniform(0, ROTATE_EVERY))  # noqa: S311 - any moment will do
            else:
                reached = (self._folder / moment).with_suffix(".reached")
                (self._folder / moment).touch()
                await until(reached.exists, f"it comes to where it has {moment}")
                reached.unlink()
            issuer.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(0.1)
            if not self._log_is_locked():
                return
            issuer.process.send_signal(signal.SIGCONT)
        pytest.fail("it writes to the log whenever it is stopped")

    def _log_is_locked(self) -> bool:
        with closing(sqlite3.connect(self._installation.settings.log.removeprefix("sqlite:///"), timeout=0)) as log:
            try:
                log.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            return False

    async def key_sets(self) -> list[KeySet]:
        """All that have been told, oldest first."""
        opener = EventOpener(self._installation.trust)
        records = [opener.open(raw, Stream.KEYS).record for raw in await texts(self._database, Stream.KEYS)]
        return [record for record in records if isinstance(record, KeySet)]

    async def rotated(self, times: int) -> None:
        """Wait for so many rotations more."""
        wanted = rotations(await self.key_sets()) + times

        async def reached() -> bool:
            return rotations(await self.key_sets()) >= wanted

        await until(reached, f"{times} rotations more")

    async def revoked(self, kid: str, by: IssuerProcess) -> None:
        """Revoke a key, and have the agent hear of it."""
        answer = await by.admin("POST", f"/keys/{kid}/revoke", {"reason": "leaked"})
        assert answer.status == 200, answer
        seq = answer.json()["seq"]
        await until(lambda: self.agent.status().applied["keys"] >= seq, "the agent has heard of it")

    async def signs_again(self, issuer: IssuerProcess) -> None:
        """Wait for a few tokens of a process."""
        wanted = self.signed[issuer] + 5
        await until(lambda: self.signed[issuer] >= wanted, "it signs again")

    async def close(self) -> None:
        await self._database.close()


def told(issuer: IssuerProcess, event: str) -> list[dict[str, Any]]:
    """Every line of its log about one thing."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in issuer.log if line.startswith("{")]
    return [line for line in lines if line.get("event") == event]


def epoch(issuer: IssuerProcess) -> int:
    """The newest that it has opened; 0 when it has never led."""
    return max((line["epoch"] for line in told(issuer, "leadership_taken")), default=0)


def kid(token: str) -> str:
    found: str = jwt.get_unverified_header(token)["kid"]
    return found


def rotations(key_sets: Sequence[KeySet]) -> int:
    return sum("rotate_every" in key_set.reason for key_set in key_sets)


def check_each_transition_is_made_once(key_sets: Sequence[KeySet]) -> None:
    """Each key set after the first is one whole rotation that was due, or the revocation of one key."""
    began: list[float] = []
    for before, after in pairwise(key_sets):
        states, now = ({key.kid: key.state for key in each.keys} for each in (before, after))
        changed = sorted((states.get(kid, "none"), now[kid]) for kid in now if states.get(kid) != now[kid])
        if "rotate_every" in after.reason:
            assert changed == [("active", "retiring"), ("none", "pending"), ("pending", "active")], after
            began += [key.changed_at for key in after.keys if key.state is KeyState.ACTIVE]
        else:
            assert changed == [("retiring", "revoked")], after
    assert all(later - earlier >= ROTATE_EVERY for earlier, later in pairwise(began)), began


@asynccontextmanager
async def replicas(url: str, folder: Path, **lock: Any) -> AsyncIterator[Replicas]:
    """Both, asked for tokens all the time."""
    installation = await Installation.create(folder, store=url)
    client = await agents_client(installation)
    started = partial(
        IssuerProcess.started,
        installation,
        program=("tests.stopping_issuer", str(folder)),
        rotate_every=f"{ROTATE_EVERY}s",
        jwks_lead_time="0s",
        token_lifetime_ceiling=f"{CEILING}s",
        access_token_lifetime=f"{CEILING}s",
        id_token_lifetime=f"{CEILING}s",
        **lock,
    )
    async with AsyncExitStack() as stack:
        both = await asyncio.gather(*(stack.enter_async_context(started()) for _ in range(2)))
        host = both[0].url.removeprefix("http://")
        enrolling = settings(installation, client, "web", enrol_url=f"http://agents:{client.secret}@{host}/agents")
        agent = await stack.enter_async_context(enrolled(enrolling))
        found = Replicas(installation, both, agent, folder)
        stack.push_async_callback(found.close)
        asking = [asyncio.create_task(found.keep_asking(issuer)) for issuer in both]
        try:
            yield found
        finally:
            for task in asking:
                task.cancel()
            ended = await asyncio.gather(*asking, return_exceptions=True)
        assert [end for end in ended if not isinstance(end, asyncio.CancelledError)] == []


async def go_on(found: Replicas, stopped: IssuerProcess) -> None:
    """Let who was stopped go on, with the other, and judge what both have done."""
    stopped.process.send_signal(signal.SIGCONT)
    await found.signs_again(stopped)
    await found.rotated(1)
    assert found.refused == []
    check_each_transition_is_made_once(await found.key_sets())


@pytest.mark.parametrize("lock", ["store", "redis", "consul"])
async def test_a_leader_that_slept_since_its_decision_neither_repeats_it_nor_signs_with_a_key_revoked_meanwhile(
    lock: str, postgresql_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    given = {"leader_lock": lock}
    if lock != "store":
        server: Service = request.getfixturevalue("redis_server" if lock == "redis" else "consul")
        folder = f"/{tmp_path.name.replace('_', '-')}" if lock == "consul" else ""
        given[lock] = f"{server.address}{folder}"
    async with replicas(postgresql_url, tmp_path, **given) as found:
        leader, other = await found.leader_and_other()
        await found.stop(leader, DECIDED)
        asleep = time.monotonic() + ASLEEP_SECONDS
        signed = next(key.kid for key in (await found.key_sets())[-1].keys if key.state is KeyState.ACTIVE)
        await until(lambda: epoch(other) > epoch(leader), "the other leads")
        await found.rotated(1)
        await found.revoked(signed, other)
        await until(lambda: time.monotonic() > asleep, "it has slept for long")

        await go_on(found, leader)

        await until(lambda: told(leader, "key_rotation_left_to_another"), "it finds out that another leads")


async def test_a_leader_that_is_stopped_anywhere_or_in_its_transaction_holds_nobody_up_and_rotates_nothing_twice(
    postgresql_url: str, tmp_path: Path
) -> None:
    async with replicas(postgresql_url, tmp_path) as found:
        for moment in (BY_CHANCE, CONFIRMED):
            leader, other = await found.leader_and_other()
            await found.stop(leader, moment)
            await until(lambda: epoch(other) > epoch(leader), "the other leads")  # noqa: B023 - at once
            await found.rotated(1)
            await go_on(found, leader)
