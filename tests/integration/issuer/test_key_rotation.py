"""Keys that rotate themselves: by policy, once however many replicas there are, and told to everybody alike."""

import asyncio
from pathlib import Path
from typing import Any

import jwt
import pytest
from sqlalchemy import func, select, update

from events import KeySet, KeyState, SignedEvent, Stream
from issuer.keys import key_rows
from issuer.keys.key_service import KeyService
from issuer.keys.life_cycle import KeyPolicy
from issuer.keys.vault import KeyVault, SealedKey
from issuer.leadership import LeadershipLost
from issuer.leadership.leadership import EPOCH
from issuer.outbox.own_agent import ASLEEP_SECONDS, POLL_SECONDS
from issuer.store.schema import keys, leases, outbox
from tests.integration.issuer.test_fleet import agents_client, deafen, enrolled, settings
from tests.issuer_under_test import Installation, Replica, ShiftedClock, on_every_store, until, unverified
from verifier_agent import OnStale

DAY = 86_400.0


class Leading:
    """A replica that leads, or does not."""

    def __init__(self, leads: bool) -> None:
        self.leads = leads

    async def confirm(self, _connection: object) -> None:
        """It stays so."""
        assert self.leads


LEADS = Leading(True)


def service(replica: Replica, **policy: Any) -> KeyService:
    """The replica's keys under a policy."""
    services = replica.services
    kept = services.keys
    return KeyService(services.database, kept._outbox, kept._vault, ("ES256",), lambda: KeyPolicy(**policy))


async def age(replica: Replica, seconds: float, state: KeyState = KeyState.ACTIVE) -> None:
    """Let a key have been in its state for so much longer."""
    async with replica.services.database.write() as connection:
        await connection.execute(
            update(keys)
            .where(keys.c.use == "token", keys.c.state == state)
            .values(changed_at=keys.c.changed_at - seconds)
        )


async def reasons(replica: Replica) -> list[str]:
    """Why each key set was published, oldest first."""
    async with replica.services.database.read() as connection:
        query = select(outbox.c.reason).where(outbox.c.stream == Stream.KEYS, outbox.c.type == KeySet.type)
        return list((await connection.execute(query.order_by(outbox.c.seq))).scalars().all())


async def published(replica: Replica) -> None:
    services = replica.services

    async def reached() -> bool:
        return await services.relay.published(Stream.KEYS) >= services.own_agent.verifier.state.keys.seq

    await until(reached, "the key set is published")


@on_every_store
async def test_replicas_that_find_a_rotation_due_at_once_make_one(installation: Installation, issuer: Replica) -> None:
    async with installation.running(port=0) as other:
        await published(issuer)
        await age(issuer, 2 * DAY)
        policies = [service(each, rotate_every=DAY) for each in (issuer, other) * 4]

        events = await asyncio.gather(*(each.advance(dead_before=0.0, leader=LEADS) for each in policies))

    assert len([event for event in events if event is not None]) == 1
    assert await reasons(issuer) == ["first keys", "it has signed for 86400 s (rotate_every)"]


async def test_a_decision_that_another_has_overtaken_is_dropped(
    installation: Installation, issuer: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a replica that was stopped after it had decided, and goes on after somebody else has rotated.

    By its policy a rotation is due again by then, but not by the decision that it had made.
    """
    await published(issuer)
    stopped, made = service(issuer, rotate_every=1e-6), asyncio.Event()

    async def slowly(vault: KeyVault, alg: str) -> SealedKey:
        monkeypatch.setattr(KeyVault, "generate", original)
        event = await service(issuer).rotate(alg, reason="an operator's", actor="operator")
        issuer.services.own_agent.hear(event)
        issuer.services.relay.offer(event)
        await published(issuer)
        made.set()
        return await original(vault, alg)

    original = KeyVault.generate
    monkeypatch.setattr(KeyVault, "generate", slowly)

    assert await stopped.advance(dead_before=0.0, leader=LEADS) is None
    assert made.is_set()
    assert await reasons(issuer) == ["first keys", "an operator's"]


@on_every_store
async def test_a_replica_that_only_thinks_it_leads_rotates_nothing(issuer: Replica) -> None:
    await published(issuer)
    await age(issuer, 2 * DAY)
    inside = issuer.services
    await until(lambda: inside.leadership.leads, "this replica leads")
    async with inside.database.write() as connection:  # another has opened an epoch while this one was stopped
        later = update(leases).where(leases.c.name == EPOCH).values(fence=leases.c.fence + 1, holder="another")
        await connection.execute(later)

    with pytest.raises(LeadershipLost):
        await service(issuer, rotate_every=DAY).advance(dead_before=0.0, leader=inside.leadership)

    assert await reasons(issuer) == ["first keys"]


async def test_only_a_replica_that_leads_rotates_and_any_retires(issuer: Replica) -> None:
    await published(issuer)
    await age(issuer, 2 * DAY)
    found = service(issuer, rotate_every=DAY)

    assert await found.advance(dead_before=0.0, leader=Leading(False)) is None
    assert await found.advance(dead_before=0.0, leader=LEADS) is not None
    await age(issuer, DAY, KeyState.RETIRING)
    async with issuer.services.database.read() as connection:
        now = (await connection.execute(select(issuer.services.database.time()))).scalar_one()
    retired = await found.advance(dead_before=now - 3600, leader=Leading(False))

    assert isinstance(retired, SignedEvent)
    assert (await reasons(issuer))[-1] == "its tokens have expired"


async def test_signatures_of_all_replicas_are_added_up_and_rotate_the_key(
    installation: Installation, issuer: Replica
) -> None:
    async with installation.running(port=0) as other:
        await published(issuer)
        for replica, tokens in ((issuer, 3), (other, 4)):
            for _ in range(tokens):
                await replica.token(installation.demo)
            await replica.services.keys.signing.count()
            await replica.services.keys.signing.count()

    async with issuer.services.database.read() as connection:
        query = select(func.max(keys.c.signatures)).where(keys.c.state == KeyState.ACTIVE)
        assert (await connection.execute(query)).scalar_one() == 7
    assert await service(issuer, rotate_after_signatures=8).advance(dead_before=0.0, leader=LEADS) is None
    assert await service(issuer, rotate_after_signatures=7).advance(dead_before=0.0, leader=LEADS) is not None


async def test_what_was_signed_while_the_store_was_away_is_counted_later(
    installation: Installation, issuer: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = issuer.services.keys
    await issuer.token(installation.demo)
    with monkeypatch.context() as away:
        away.setattr(found._database, "write", lambda: (_ for _ in ()).throw(ConnectionError("away")))
        with pytest.raises(ConnectionError):
            await found.signing.count()
    await found.signing.count()

    async with issuer.services.database.read() as connection:
        query = select(func.max(keys.c.signatures)).where(keys.c.state == KeyState.ACTIVE)
        assert (await connection.execute(query)).scalar_one() == 1


@on_every_store
async def test_a_rotation_with_an_agent_dead_goes_ahead_after_the_time_out_and_names_it(
    installation: Installation, issuer: Replica
) -> None:
    client = await agents_client(installation)
    async with enrolled(settings(installation, client, "dead", on_stale=OnStale.ALLOW)) as dead:
        await until(lambda: dead.status().applied["keys"] > 0, "it hears the keys")
        await deafen(dead)
        standby = next(key for key in (await listed(issuer)) if key["state"] == "pending")
        await issuer.admin("POST", f"/keys/{standby['kid']}/revoke", {"reason": "a new standby"})
        keys_known = issuer.services.own_agent.verifier.state.keys
        await until(lambda: any(key.state is KeyState.PENDING for key in keys_known.published), "there is a standby")
        await published(issuer)
        await age(issuer, 2 * DAY)
        policy = {"rotate_every": DAY, "activation_timeout": 60.0}

        assert await service(issuer, **policy).advance(dead_before=0.0, leader=LEADS) is None
        async with issuer.services.database.write() as connection:
            earlier = keys.c.due_since - 60.0
            noted = await connection.execute(
                update(keys).where(keys.c.due_since.is_not(None)).values(due_since=earlier).returning(keys.c.kid)
            )
            assert len(noted.all()) == 1
        assert await service(issuer, **policy).advance(dead_before=0.0, leader=LEADS) is not None

    assert (await reasons(issuer))[-1].endswith("after 60 s not acknowledged by dead")


async def listed(issuer: Replica) -> Any:
    return (await issuer.admin("GET", "/keys")).json()["keys"]


async def test_the_jwks_document_and_the_key_events_agree_through_a_keys_whole_life(
    installation: Installation, issuer: Replica
) -> None:
    async def agree() -> None:
        await published(issuer)
        newest = (await installation.said(Stream.KEYS))[-1].record
        assert isinstance(newest, KeySet)
        document = (await issuer.send("GET", "/.well-known/jwks.json")).json()["keys"]
        told = {key.kid: key.jwk for key in newest.keys if key.state.verifies}
        assert {key["kid"]: key for key in document} == told
        signs = [key.kid for key in newest.keys if key.state is KeyState.ACTIVE]
        token = await issuer.token(installation.demo)
        assert unverified(token)["iss"] == installation.settings.issuer
        assert [key["kid"] for key in await listed(issuer) if key["state"] == "active"] == signs

    await agree()
    for _ in range(3):
        assert (await issuer.admin("POST", "/keys/rotate", {"reason": "due"})).status == 200
        await agree()
    for state in ("retiring", "pending", "active"):
        kid = next(key["kid"] for key in await listed(issuer) if key["state"] == state)
        assert (await issuer.admin("POST", f"/keys/{kid}/revoke", {"reason": "leaked"})).status == 200
        await agree()
    await age(issuer, 3 * DAY, KeyState.RETIRING)
    async with issuer.services.database.read() as connection:
        now = (await connection.execute(select(issuer.services.database.time()))).scalar_one()
    event = await issuer.services.keys.advance(dead_before=now - DAY, leader=Leading(False))
    assert event is not None
    issuer.services.own_agent.hear(event)
    issuer.services.relay.offer(event)
    await agree()


async def test_a_key_set_does_not_grow_with_every_key_that_has_ever_retired(
    issuer: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_rows, "MOST_RETIRED", 2)
    first = next(key["kid"] for key in await listed(issuer) if key["state"] == "active")
    for _ in range(4):
        await service(issuer).rotate(None, reason="due", actor="operator", force=True)
        await age(issuer, 3 * DAY, KeyState.RETIRING)
        async with issuer.services.database.read() as connection:
            now = (await connection.execute(select(issuer.services.database.time()))).scalar_one()
        event = await service(issuer).advance(dead_before=now - DAY, leader=LEADS)

    assert event is not None
    assert isinstance(event.record, KeySet)
    states = [key.state for key in event.record.keys]
    assert (states.count(KeyState.RETIRED), len(states)) == (2, 4)
    assert first not in {key.kid for key in event.record.keys}


async def test_a_standby_signs_after_the_time_that_those_who_poll_need(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path, jwks_lead_time=60.0)
    async with installation.running() as issuer:
        await published(issuer)
        early = await issuer.admin("POST", "/keys/rotate", {"reason": "due"})
        await age(issuer, 60.0, KeyState.PENDING)
        in_time = await issuer.admin("POST", "/keys/rotate", {"reason": "due"})

    assert (early.status, in_time.status) == (409, 200)
    assert "jwks_lead_time" in early.json()["error_description"]


async def test_a_forced_rotation_says_in_the_audit_trail_what_it_was_forced_past(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path, jwks_lead_time=60.0)
    async with installation.running() as issuer:
        await published(issuer)
        assert (await issuer.admin("POST", "/keys/rotate", {"reason": "now", "force": True})).status == 200

        assert (await reasons(issuer))[-1].startswith("now (forced: it has to be in the JWKS for ")


class SleepingClock(ShiftedClock):
    """This machine's, which has slept for as long as a test says."""

    slept = 0.0

    def boot(self) -> float:
        """Boot-time clock, seconds; it goes on meanwhile."""
        return super().boot() + self.slept


async def test_a_replica_that_was_stopped_looks_at_the_store_before_it_signs(
    installation: Installation, issuer: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SleepingClock()

    async def deaf(_pause: float) -> None:
        await asyncio.Event().wait()

    async with installation.running(port=0, clock=clock) as stopped:
        monkeypatch.setattr(stopped.services.own_agent, "_settle_for", deaf)
        await asyncio.sleep(2 * POLL_SECONDS)
        before = kid(await stopped.token(installation.demo))
        assert (await issuer.admin("POST", f"/keys/{before}/revoke", {"reason": "leaked"})).status == 200
        assert kid(await stopped.token(installation.demo)) == before, "it has not heard of it"

        clock.slept = ASLEEP_SECONDS + 1.0

        after = [kid(await stopped.token(installation.demo)) for _ in range(2)]
    assert before not in after
    assert after == [kid(await issuer.token(installation.demo))] * 2


def kid(token: str) -> str:
    found: str = jwt.get_unverified_header(token)["kid"]
    return found
