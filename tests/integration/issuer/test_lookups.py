"""Clients and users are looked up once and held, and what is changed at one replica is seen at every other."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from sqlalchemy import event, select

from issuer.clients import ClientStore
from issuer.errors import StoreUnavailable
from issuer.lookups import Kind
from issuer.store.database import Database
from issuer.store.schema import changes
from tests.integration.issuer.test_metrics import samples
from tests.issuer_under_test import Credentials, Installation, Replica, on_every_store, until

BURST = 1000
PASSWORD = "correct horse"


@contextmanager
def statements(database: Database, about: str) -> Iterator[list[str]]:
    """Every statement that names ``about``, as the store is sent it."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if about in statement:
            seen.append(statement)

    engines = {database._reader.sync_engine, database._writer.sync_engine}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield seen
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


async def status(issuer: Replica, by: Credentials) -> int:
    """Of a request for a token."""
    return (await issuer.form("/oauth2/token", by, grant_type="client_credentials")).status


@pytest.fixture
async def replicas(installation: Installation) -> AsyncIterator[tuple[Replica, Replica]]:
    """Two on one store, both of which hold the demo client."""
    async with installation.running() as here, installation.running(port=0) as there:
        for each in (here, there):
            assert await status(each, installation.demo) == 200
        yield here, there


@pytest.fixture
def nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No replica hears of another by itself."""
    monkeypatch.setattr("issuer.outbox.own_agent.POLL_SECONDS", 3600.0)


@on_every_store
async def test_a_burst_of_requests_by_one_client_asks_the_store_once(
    installation: Installation, issuer: Replica
) -> None:
    with statements(issuer.services.database, "client_secrets") as asked:
        answers = await asyncio.gather(*(status(issuer, installation.demo) for _ in range(BURST)))

    assert set(answers) == {200}
    assert len(asked) == 1
    found = await samples(issuer)
    assert found["tocsin_lookups_total answer=loaded kind=client"] == 1
    waited, held = (found[f"tocsin_lookups_total answer={each} kind=client"] for each in ("waited", "held"))
    assert waited + held == BURST - 1
    assert found["tocsin_lookups_held kind=client what=value"] == 1


@on_every_store
async def test_a_burst_of_requests_by_nobody_asks_the_store_once(issuer: Replica) -> None:
    with statements(issuer.services.database, "client_secrets") as asked:
        answers = await asyncio.gather(*(status(issuer, Credentials("nobody", "x")) for _ in range(BURST)))

    assert set(answers) == {401}
    assert len(asked) == 1
    assert (await samples(issuer))["tocsin_lookups_held kind=client what=absent"] == 1


@on_every_store
async def test_a_secret_that_was_rotated_away_is_refused_at_every_replica(
    installation: Installation, replicas: tuple[Replica, Replica]
) -> None:
    database = Database(installation.settings.store)  # as `tocsin client rotate-secret` has one
    store = ClientStore(database)
    secrets = [Credentials("demo", (await store.rotate_secret("demo")).reveal()) for _ in range(2)]
    await database.close()

    for each in replicas:
        await until(partial(refuses, each, installation.demo), "the old secret is refused")
        for secret in secrets:
            await until(partial(accepts, each, secret), "the new ones are accepted")


@on_every_store
async def test_a_client_that_was_nobody_a_moment_ago_is_known_at_every_replica_when_it_has_been_added(
    installation: Installation, replicas: tuple[Replica, Replica]
) -> None:
    for each in replicas:
        assert await status(each, Credentials("late", "x")) == 401
    late = await installation.client("late")

    for each in replicas:
        await until(partial(accepts, each, late), "the client is known")


@on_every_store
async def test_a_client_that_is_disabled_gets_nothing_here_from_the_answer_on_and_elsewhere_soon(
    installation: Installation, replicas: tuple[Replica, Replica]
) -> None:
    here, there = replicas

    answer = await here.admin("POST", "/clients/demo/disable", {"reason": "a test"})
    assert answer.status == 200, answer
    assert await status(here, installation.demo) == 401
    await until(lambda: refuses(there, installation.demo), "the replica beside refuses it")

    answer = await here.admin("POST", "/clients/demo/enable", {"reason": "a test"})
    assert answer.status == 200, answer
    assert await status(here, installation.demo) == 200
    await until(lambda: accepts(there, installation.demo), "the replica beside takes it")


@on_every_store
async def test_a_user_who_is_disabled_is_found_so_here_from_the_answer_on_and_elsewhere_soon(
    installation: Installation, replicas: tuple[Replica, Replica]
) -> None:
    here, there = replicas
    sub = (await here.services.users.add("alice", PASSWORD)).sub
    for each in replicas:
        await until(partial(found_disabled, each, sub, disabled=False), "she is found")

    for action, disabled in (("disable", True), ("enable", False)):
        answer = await here.admin("POST", f"/users/alice/{action}", {"reason": "a test"})
        assert answer.status == 200, answer
        assert await found_disabled(here, sub, disabled=disabled)
        await until(partial(found_disabled, there, sub, disabled=disabled), "the replica beside has heard")


async def test_a_login_needs_the_password_of_this_moment(
    installation: Installation, replicas: tuple[Replica, Replica], nobody_looks: None
) -> None:
    here, there = replicas
    await here.services.users.add("alice", PASSWORD)
    assert await there.services.users.log_in("alice", PASSWORD)

    await here.services.users.set_password("alice", "battery staple")

    assert await there.services.users.log_in("alice", PASSWORD) is None
    assert await there.services.users.log_in("alice", "battery staple")


@on_every_store
async def test_whoever_revokes_after_a_change_elsewhere_has_heard_of_it_before_a_token_claims_to_know_the_revocation(
    nobody_looks: None, installation: Installation, replicas: tuple[Replica, Replica]
) -> None:
    here, there = replicas
    assert await status(there, installation.demo) == 200
    async with here.services.clients.switched("demo", disabled=True):
        pass
    assert await status(there, installation.demo) == 200  # nobody has told it, and its tokens claim to know nothing yet

    await there.revoke(selector={"client_id": "demo"})

    assert await status(there, installation.demo) == 401


async def test_when_the_store_fails_behind_a_revocation_tokens_go_on_claiming_to_know_less(
    installation: Installation, nobody_looks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with installation.running() as issuer:
        token = await issuer.token(installation.demo)
        before = issuer.services.own_agent.rsq
        operators = await issuer.token(installation.operator)

        async def away() -> bool:
            raise StoreUnavailable("away")

        monkeypatch.setattr(issuer.services.own_agent, "catch_up", away)
        body = {"reason": "x", "selector": {"client_id": "demo"}}
        revocation = await issuer.admin("POST", "/revocations", body, token=operators)

        assert revocation.status == 201
        assert issuer.services.own_agent.rsq == before < revocation.json()["seq"]
        assert not await issuer.active(token, installation.operator)
        assert not await issuer.active(await issuer.token(installation.demo), installation.operator)


async def refuses(issuer: Replica, by: Credentials) -> bool:
    """Whether there is no token."""
    return await status(issuer, by) == 401


async def accepts(issuer: Replica, by: Credentials) -> bool:
    """Whether there is one."""
    return await status(issuer, by) == 200


async def found_disabled(issuer: Replica, sub: str, *, disabled: bool) -> bool:
    """Whether a replica finds the user so."""
    user = await issuer.services.users.find(sub)
    return user is not None and user.disabled is disabled


@on_every_store
async def test_every_kind_has_its_counter(installation: Installation) -> None:
    database = Database(installation.settings.store)
    async with database.read() as connection:
        kinds = (await connection.execute(select(changes.c.kind))).scalars().all()
    await database.close()

    assert set(kinds) == set(Kind)


@on_every_store
async def test_a_client_or_user_who_is_deleted_is_nobody_here_from_the_answer_on_and_elsewhere_soon(
    installation: Installation, replicas: tuple[Replica, Replica]
) -> None:
    here, there = replicas
    sub = (await here.services.users.add("alice", PASSWORD)).sub
    for each in replicas:
        await until(partial(found_disabled, each, sub, disabled=False), "she is found")

    for path in ("/clients/demo/delete", "/users/alice/delete"):
        answer = await here.admin("POST", path, {"reason": "a test"})
        assert answer.status == 200, answer

    assert await status(here, installation.demo) == 401
    assert await here.services.users.find(sub) is None
    await until(partial(refuses, there, installation.demo), "the replica beside refuses the client")
    await until(partial(is_nobody, there, sub), "the replica beside finds no such user")


async def is_nobody(issuer: Replica, sub: str) -> bool:
    """Whether a replica finds no such user."""
    return await issuer.services.users.find(sub) is None


@on_every_store
async def test_claims_that_were_set_are_told_by_every_replica(
    installation: Installation, replicas: tuple[Replica, Replica]
) -> None:
    here, there = replicas
    sub = (await here.services.users.add("alice", PASSWORD, claims={"tenant": "acme"})).sub
    for each in replicas:
        await until(partial(says, each, sub, tenant="acme"), "she is found")

    await here.services.users.set_claims("alice", {"tenant": "other"})

    assert await says(here, sub, tenant="other")
    await until(partial(says, there, sub, tenant="other"), "the replica beside has heard of it")


async def says(issuer: Replica, sub: str, **claims: str) -> bool:
    """Whether a replica finds the user with just these claims."""
    user = await issuer.services.users.find(sub)
    return user is not None and user.claims == claims


@on_every_store
@pytest.mark.parametrize("client_id", ["no%00body", "x" * 5000, "a%20b"])
async def test_a_client_that_cannot_be_is_not_found_and_no_change(issuer: Replica, client_id: str) -> None:
    for what in ("disable", "enable", "delete"):
        answer = await issuer.admin("POST", f"/clients/{client_id}/{what}", {"reason": "a test"})
        assert answer.status == 404, answer
