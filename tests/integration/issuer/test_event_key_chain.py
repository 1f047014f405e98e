"""The chain of event keys in the store, on both kinds of it: no number is signed by a key whose time it is not."""

import asyncio
import json

import pytest
from alembic import command
from sqlalchemy import Connection, insert, select

from events import EventOpener, Revoke, Selector, Stream, base64url
from issuer.errors import Conflict
from issuer.keys.choice import key_wrappers
from issuer.keys.event_chain import read_chain
from issuer.keys.generation import generate, public
from issuer.keys.succession import EventKeySuccession
from issuer.keys.vault import EVENT_KEY, KeyVault
from issuer.offline import initialise, succession_of
from issuer.outbox.outbox import Outbox
from issuer.store.database import Database
from issuer.store.migration import _config, migrate
from issuer.store.schema import keys
from tests.issuer_under_test import Installation, on_every_store, until

FOREVER = 4e9


def signer_of(text: bytes) -> str:
    kid: str = json.loads(base64url.decode(text.split(b".")[0]))["kid"]
    return kid


@on_every_store
async def test_who_waits_for_a_number_while_a_key_is_succeeded_gets_it_signed_by_the_new_one(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()
    take_over = EventKeySuccession._take_over

    async def slowly(*how: object) -> None:
        arrived.set()
        await go_on.wait()
        await take_over(*how)  # type: ignore[arg-type]

    monkeypatch.setattr(EventKeySuccession, "_take_over", slowly)
    database = Database(installation.settings.store)
    try:
        vault = KeyVault(database, await key_wrappers(installation.settings))
        signers, _ = await vault.event_signers(installation.settings.issuer)
        outbox = Outbox(database, signers)
        await outbox.initialise()

        async def revoke() -> tuple[int, bytes]:
            async with database.write() as connection:
                record = Revoke(selector=Selector.of(sub="alice"), expires_at=FOREVER)
                event = await outbox.append(connection, Stream.REVOCATIONS, record)
                return event.seq, event.text

        before = await revoke()
        succeeding = asyncio.create_task(installation.succeed())
        await arrived.wait()
        waiting = asyncio.create_task(revoke())  # it has the old key in memory, and asks for the counter
        await asyncio.sleep(0.3)
        assert not waiting.done()
        go_on.set()
        chain, after = await succeeding, await waiting
    finally:
        await database.close()

    assert [signer_of(text) for _, text in (before, after)] == [key.kid for key in chain.keys]
    assert chain.keys[0].ends is not None
    assert before[0] == chain.keys[0].ends["revocations"] == after[0] - 1
    opener = EventOpener(chain.trust)
    assert [opener.open(text, Stream.REVOCATIONS).seq for _, text in (before, after)] == [before[0], after[0]]


@on_every_store
async def test_a_succession_that_does_not_commit_has_not_happened(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise RuntimeError("the process dies")

    before = await chain_of(installation)
    with monkeypatch.context() as patched:
        patched.setattr(EventKeySuccession, "_take_over", fails)
        with pytest.raises(RuntimeError):
            await installation.succeed()

    assert await chain_of(installation) == before
    await installation.succeed()
    assert len(await chain_of(installation)) == 2


async def chain_of(installation: Installation) -> list[str]:
    async with succession_of(installation.settings) as succession:
        return [key.kid for key in (await succession.show()).keys]


async def test_two_successions_at_once_are_one(installation: Installation) -> None:
    following = generate("ES256")

    async def succeed() -> str:
        async with succession_of(installation.settings) as succession:
            try:
                await succession.succeed(
                    installation.heirs[-1], following["kid"], reason="a test", actor="tests", force=True
                )
            except Conflict as error:
                return str(error)
        return "done"

    outcomes = sorted(await asyncio.gather(succeed(), succeed()))

    assert outcomes[0] == "done"
    assert "the successor of event key" in outcomes[1]
    assert len(await chain_of(installation)) == 2


async def test_an_installation_of_before_keeps_its_event_key_which_has_no_successor(
    installation: Installation,
) -> None:
    folder = installation.trust_file.parent
    database = Database(f"sqlite:///{folder}/old.db")
    try:
        await _migrate_to(database, "0011")
        vault = KeyVault(database, await key_wrappers(installation.settings))
        key = await vault.generate("ES256", EVENT_KEY)
        async with database.write() as connection:
            row = {"kid": key.jwk["kid"], "use": EVENT_KEY, "alg": "ES256", "state": "active", "public_jwk": key.jwk}
            sealed = {"sealed": key.sealed, "kek_id": key.kek_id, "created_at": 1.0, "changed_at": 1.0}
            await connection.execute(insert(keys).values(**row, **sealed))
        await migrate(database)
        async with database.read() as connection:
            (only,) = await read_chain(connection)
    finally:
        await database.close()
    assert (only.kid, only.successor, only.ends) == (key.jwk["kid"], "", None)


async def _migrate_to(database: Database, revision: str) -> None:
    def upgrade(connection: Connection) -> None:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    async with database.write() as connection:
        await connection.run_sync(upgrade)


async def test_without_a_successor_nothing_succeeds_until_one_is_pinned(installation: Installation) -> None:
    async with succession_of(installation.settings) as succession:
        await succession.pin("", replace=True)
        with pytest.raises(Conflict, match="has no successor"):
            await installation.succeed()
        heir = generate("ES256")
        installation.heirs.append(heir)
        assert (await succession.pin(heir["kid"])).trust.successor == heir["kid"]
        with pytest.raises(Conflict, match="has a successor already"):
            await succession.pin(generate("ES256")["kid"])
    await installation.succeed()
    assert (await initialise(installation.settings)).successor == installation.heirs[-1]["kid"]


@on_every_store
async def test_the_private_half_of_a_key_that_has_ended_is_not_in_the_store(installation: Installation) -> None:
    chain = await installation.succeed()
    database = Database(installation.settings.store)
    try:
        async with database.read() as connection:
            kept = (await connection.execute(select(keys.c.kid).where(keys.c.use == EVENT_KEY))).scalars().all()
    finally:
        await database.close()
    assert kept == [chain.keys[-1].kid]
    assert public(installation.heirs[0])["x"] == chain.keys[-1].jwk["x"]


async def test_a_replica_whose_task_was_stopped_signs_with_the_new_key_when_it_goes_on(
    installation: Installation,
) -> None:
    async with installation.running() as replica:
        services = replica.services
        for task in asyncio.all_tasks():
            if task.get_name() == "own-agent":
                task.cancel()  # it hears nothing of the succession
        await installation.succeed()
        event = await services.keys.rotate(None, reason="a test", actor="tests", force=True)
        assert signer_of(event.text) == installation.heirs[0]["kid"]
        await until(lambda: services.relay.is_publishing, "the relay publishes")
