"""The store does not answer: so do the endpoints, with 503, until it is back; nothing ends and nothing is lost."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events import Stream
from issuer.lookups import Kind
from tests.issuer_under_test import Answer, Credentials, Installation, Replica, rejection, until
from tests.outbox_reader import numbers, without_holes
from tests.services.postgresql import fresh_database
from tests.services.service import Service


def is_unavailable(answer: Answer) -> bool:
    assert (answer.status, answer.json()["error"]) == (503, "temporarily_unavailable"), answer
    assert answer.headers["Cache-Control"] == "no-store"
    return True


async def ready(issuer: Replica) -> bool:
    return (await issuer.send("GET", "/readyz")).status == 200


@pytest.fixture
async def on_postgresql(postgresql_of_its_own: Service, tmp_path: Path) -> AsyncIterator[tuple[Installation, Replica]]:
    store = await asyncio.to_thread(fresh_database, postgresql_of_its_own.address)
    installation = await Installation.create(tmp_path, store=store)
    async with installation.running() as issuer:
        yield installation, issuer


async def test_while_postgresql_is_away_every_endpoint_says_so_and_afterwards_all_works_again(
    on_postgresql: tuple[Installation, Replica], postgresql_of_its_own: Service
) -> None:
    installation, issuer = on_postgresql
    demo, stranger = installation.demo, await installation.client("stranger")
    async with installation.agent() as agent:
        operators, token = await issuer.token(installation.operator), await issuer.token(demo)
        before = await issuer.revoke(selector={"sub": "somebody"})

        for end in (postgresql_of_its_own.stop, postgresql_of_its_own.kill):
            await asyncio.to_thread(end)

            assert is_unavailable(await issuer.form("/oauth2/token", stranger, grant_type="client_credentials"))
            assert is_unavailable(await issuer.form("/oauth2/introspect", stranger, token=token))
            assert is_unavailable(await issuer.form("/oauth2/revoke", stranger, token=token))
            body = {"reason": "x", "selector": {"client_id": "demo"}}
            assert is_unavailable(await issuer.admin("POST", "/revocations", body, token=operators))
            assert is_unavailable(await issuer.admin("GET", "/revocations", token=operators))
            assert is_unavailable(await issuer.admin("POST", "/keys/rotate", {"reason": "x"}, token=operators))
            assert (await issuer.send("GET", "/livez")).status == 200
            answer = await issuer.send("GET", "/readyz")
            assert (answer.status, answer.json()["store"]) == (503, "unavailable")
            assert (await issuer.send("GET", "/.well-known/jwks.json")).status == 200
            assert rejection(agent, token) is None

            await asyncio.to_thread(postgresql_of_its_own.start)

            await until(lambda: ready(issuer), "the issuer is ready again")
            assert await issuer.active(token, demo)

        after = await issuer.revoke(selector={"client_id": "demo"})
        assert after["seq"] > before["seq"]
        assert without_holes(await numbers(issuer.services.database, Stream.REVOCATIONS))
        await until(lambda: rejection(agent, token) == "revoked", "the agent hears what is decided now")


async def test_while_another_program_keeps_the_sqlite_file_locked_nothing_is_decided_but_tokens_are_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("issuer.store.database.BUSY_SECONDS", 0.2)
    installation = await Installation.create(tmp_path)
    async with installation.running() as issuer:
        operators, token = await issuer.token(installation.operator), await issuer.token(installation.demo)
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None, check_same_thread=False)
        # In a thread: the issuer must be able to end what it is writing.
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")

        body = {"reason": "x", "selector": {"client_id": "demo"}}
        refused = await issuer.admin("POST", "/revocations", body, token=operators)
        assert is_unavailable(refused)
        assert await issuer.active(token, installation.demo)
        await issuer.token(installation.demo)

        other.execute("ROLLBACK")
        other.close()

        answer = await issuer.admin("POST", "/revocations", body, token=operators)
        assert answer.status == 201
        assert not await issuer.active(token, installation.demo)
        assert without_holes(await numbers(issuer.services.database, Stream.REVOCATIONS))


async def test_while_postgresql_hangs_nobody_waits_for_ever_and_what_was_decided_before_is_enforced(
    on_postgresql: tuple[Installation, Replica],
    postgresql_of_its_own: Service,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("issuer.store.database.ANSWER_SECONDS", 0.3)
    installation, issuer = on_postgresql
    operators, revoked = [await issuer.token(installation.operator) for _ in range(2)]
    await issuer.revoke(token=revoked)
    body = {"reason": "x", "selector": {"client_id": "demo"}}

    await asyncio.to_thread(postgresql_of_its_own.pause)
    try:
        assert is_unavailable(await issuer.admin("POST", "/revocations", body, token=operators))
        stranger = Credentials("stranger", "x")
        assert is_unavailable(await issuer.form("/oauth2/token", stranger, grant_type="client_credentials"))
        assert (await issuer.send("GET", "/livez")).status == 200
        assert (await issuer.admin("GET", "/keys", token=operators)).status == 200  # judged from memory
        assert (await issuer.admin("GET", "/keys", token=revoked)).status == 401
    finally:
        await asyncio.to_thread(postgresql_of_its_own.resume)

    await until(lambda: ready(issuer), "the issuer is ready again")
    assert (await issuer.admin("POST", "/revocations", body, token=operators)).status == 201
    assert without_holes(await numbers(issuer.services.database, Stream.REVOCATIONS))


async def test_while_the_store_is_away_a_client_that_is_held_goes_on_and_a_revocation_decided_elsewhere_hits_its_tokens(
    on_postgresql: tuple[Installation, Replica], postgresql_of_its_own: Service
) -> None:
    installation, issuer = on_postgresql
    async with installation.agent() as agent:
        held = issuer.services.lookups[Kind.CLIENT]
        held._now = lambda: 0.0  # however long the server takes to end
        await issuer.token(installation.demo)
        await asyncio.to_thread(postgresql_of_its_own.stop)

        token = await issuer.token(installation.demo)
        assert rejection(agent, token) is None
        assert is_unavailable(await issuer.form("/oauth2/revoke", installation.demo, token=token))

        await asyncio.to_thread(postgresql_of_its_own.start)
        await until(lambda: ready(issuer), "the issuer is ready again")
        await issuer.revoke(selector={"client_id": "demo"})
        await until(lambda: rejection(agent, token) == "revoked", "the agent hears of it")
