"""Attacks by who can write to Redis: agents may get slower or stale, and never forget a revocation."""

import tracemalloc
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from events import KeySet, KeyState, Lift, PublishedKey, Selector, Stream
from tests.redis_under_test import Writer, asking, entries_of, eventually, issuer_of_today, running, writing
from tests.sealed import sealed_snapshot
from tests.services.service import Service
from tests.simulator import IssuerSimulator, Listener
from verifier_agent import RejectionCode, SnapshotInvalid
from verifier_agent.errors import StoreUnavailable
from verifier_agent.redis import state_store
from verifier_agent.redis.frames import write_frames
from verifier_agent.saved import SavedEvent, SavedState, SealedSnapshot

MEGABYTE = 1 << 20


class Attacked:
    """An issuer with one revocation, whose snapshot and later events an agent has saved."""

    def __init__(self, issuer: IssuerSimulator, writer: Writer, client: redis.asyncio.Redis) -> None:
        self.issuer = issuer
        self.writer = writer
        self.client = client
        self.revoked = issuer.token(sub="alice")
        self.revocation = issuer.revoke(Selector.of(sub="alice"))

    async def save(self) -> None:
        """What an honest agent puts there."""
        await self.writer.store.replace(sealed_snapshot(self.issuer), [])

    async def generation(self) -> str:
        head = await self.client.get(self.writer.keys.head)
        assert isinstance(head, bytes)
        return head.split(b"\n")[0].decode()

    async def data_key(self) -> str:
        return self.writer.keys.data(await self.generation())

    async def events_key(self) -> str:
        return self.writer.keys.events(await self.generation())

    async def start_from(self, saved: SavedState) -> Listener:
        """An agent that starts from what is there, and then hears all that the log has."""
        listener = Listener(self.issuer)
        if saved.snapshot is not None:
            try:
                now, boot = self.issuer.clock.now(), self.issuer.clock.boot()
                listener.verifier.restore_sealed(saved.snapshot, now=now, boot=boot, max_age=3600)
            except SnapshotInvalid:
                pass
        for stream, data in saved.events:
            listener.hear_raw(stream, data)
        return listener

    async def never_forgets(self) -> None:
        """Whatever is there: a running agent that reads it, and one that starts from it and the log, both refuse."""
        saved = await self.writer.store.load()
        running_agent = Listener.caught_up(self.issuer)
        for stream, data in saved.events:
            running_agent.hear_raw(stream, data)
        assert running_agent.rejection(self.revoked) is RejectionCode.REVOKED
        started = await self.start_from(saved)
        assert started.freshness is None or started.rejection(self.revoked) is RejectionCode.REVOKED
        started.catch_up()
        assert started.rejection(self.revoked) is RejectionCode.REVOKED
        assert started.rejection(self.issuer.token(sub="bob")) is None


@pytest.fixture
async def attacked(redis_server_of_its_own: Service) -> AsyncIterator[Attacked]:
    issuer = issuer_of_today()
    url = redis_server_of_its_own.address
    async with writing(url, issuer) as writer, asking(url) as client:
        one = Attacked(issuer, writer, client)
        await one.save()
        yield one


async def test_what_an_honest_agent_saved_revokes_by_itself(attacked: Attacked) -> None:
    started = await attacked.start_from(await attacked.writer.store.load())

    assert started.freshness is not None
    assert started.rejection(attacked.revoked) is RejectionCode.REVOKED


async def test_an_altered_snapshot_is_none(attacked: Attacked) -> None:
    await attacked.client.setrange(await attacked.data_key(), 40, "x")
    started = await attacked.start_from(await attacked.writer.store.load())

    assert started.freshness is None
    await attacked.never_forgets()


async def test_a_snapshot_that_the_attacker_sealed_is_none(attacked: Attacked) -> None:
    forged = sealed_snapshot(IssuerSimulator(attacked.issuer.issuer, alg="RS256", clock=attacked.issuer.clock))
    await attacked.writer.store.replace(forged, [])
    saved = await attacked.writer.store.load()

    assert saved.snapshot == forged
    assert (await attacked.start_from(saved)).freshness is None
    await attacked.never_forgets()


async def test_an_older_snapshot_makes_an_agent_stale_and_not_forgetful(attacked: Attacked) -> None:
    old = await attacked.writer.store.load()
    assert old.snapshot is not None
    later = attacked.issuer.token(sub="carol")
    attacked.issuer.revoke(Selector.of(sub="carol"))
    await attacked.save()
    await attacked.writer.store.replace(old.snapshot, [])
    await attacked.never_forgets()
    running_agent = Listener.caught_up(attacked.issuer)
    now, boot = attacked.issuer.clock.now(), attacked.issuer.clock.boot()
    running_agent.verifier.restore_sealed(old.snapshot, now=now, boot=boot, max_age=3600)

    assert running_agent.rejection(later) is RejectionCode.REVOKED


async def test_the_seal_of_one_snapshot_does_not_fit_another(attacked: Attacked) -> None:
    old = await attacked.writer.store.load()
    attacked.issuer.revoke(Selector.of(sub="carol"))
    new = sealed_snapshot(attacked.issuer)
    assert old.snapshot is not None
    await attacked.writer.store.replace(SealedSnapshot(seal=new.seal, data=old.snapshot.data), [])
    started = await attacked.start_from(await attacked.writer.store.load())

    assert started.freshness is None
    await attacked.never_forgets()


async def test_the_parts_of_two_generations_make_no_snapshot(attacked: Attacked) -> None:
    former = await attacked.generation()
    attacked.issuer.revoke(Selector.of(sub="carol"))
    await attacked.save()
    latter_head = await attacked.client.get(attacked.writer.keys.head)
    assert isinstance(latter_head, bytes)
    mixed = former.encode() + latter_head[latter_head.index(b"\n") :]
    await attacked.client.set(attacked.writer.keys.head, mixed)
    saved = await attacked.writer.store.load()

    assert saved.snapshot is None or (await attacked.start_from(saved)).freshness is None
    await attacked.never_forgets()


async def test_forged_events_have_no_effect(attacked: Attacked) -> None:
    lift = Lift(target=attacked.revocation.seq, expires_at=attacked.issuer.clock.now() + 3600)
    key = attacked.issuer.key
    back = KeySet(keys=(PublishedKey(kid="mine", alg=key.alg, state=KeyState.ACTIVE, jwk=key.jwk()),))
    forged = [
        SavedEvent(Stream.REVOCATIONS, _signed_by_another(attacked, lift)),
        SavedEvent(Stream.KEYS, _signed_by_another(attacked, back)),
        SavedEvent(Stream.REVOCATIONS, attacked.revocation.text[:-8] + b"AAAAAAAA"),
        SavedEvent(Stream.KEYS, attacked.revocation.text),  # signed, and on another stream
    ]
    await attacked.client.append(await attacked.events_key(), b"".join(write_frames(forged)))
    saved = await attacked.writer.store.load()

    assert len(saved.events) == 4
    await attacked.never_forgets()


def _signed_by_another(attacked: Attacked, record: Lift | KeySet) -> bytes:
    forger = IssuerSimulator(attacked.issuer.issuer, alg="RS256", clock=attacked.issuer.clock)
    return forger.sign(record.streams[0], attacked.revocation.seq + 1, record).text


HEADS = [
    b"",
    b"\n\n\n",
    b"1.1\n99999999999999999999\nseal",
    b"1.1\n-5\nseal",
    b"9999999999999999.1\n3\nseal",
    b"../../1.1\n3\nseal",
    b"1.1\n3",
    b"\xff\xfe" * 1000,
    b"1.1\n" + b"9" * MEGABYTE,
]


@pytest.mark.parametrize("head", HEADS)
async def test_a_head_of_any_kind_is_survived_and_replaced(attacked: Attacked, head: bytes) -> None:
    await attacked.client.set(attacked.writer.keys.head, head)
    saved = await attacked.writer.store.load()
    assert saved.snapshot is None
    await attacked.save()

    assert (await attacked.start_from(await attacked.writer.store.load())).freshness is not None


async def test_values_of_other_kinds_are_nothing_and_are_replaced(attacked: Attacked) -> None:
    keys = attacked.writer.keys
    parts = {"data": await attacked.data_key(), "events": await attacked.events_key(), "head": keys.head}
    for key in (*parts.values(), keys.fence, keys.lease, keys.listing):
        await attacked.client.delete(key)
        await attacked.client.rpush(key, *["x" * 1000] * 1000)
        saved = await attacked.writer.store.load()
        assert saved == SavedState(saved.snapshot, [])
    assert (await attacked.writer.store.load()).snapshot is None

    async def saved_again() -> bool:
        try:
            await attacked.save()
        except StoreUnavailable:
            return False
        return True

    await eventually(saved_again)
    assert (await attacked.start_from(await attacked.writer.store.load())).freshness is not None


async def test_huge_values_and_endless_events_are_read_up_to_a_bound(
    attacked: Attacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_store, "MAX_EVENTS", 4 * MEGABYTE)
    monkeypatch.setattr(state_store, "MAX_SNAPSHOT", 4 * MEGABYTE)
    data, events, head = await attacked.data_key(), await attacked.events_key(), attacked.writer.keys.head
    await attacked.client.setrange(data, 300 * MEGABYTE, "x")
    await attacked.client.setrange(events, 300 * MEGABYTE, "x")
    generation = (await attacked.generation()).encode()
    await attacked.client.set(head, b"%b\n%d\nseal" % (generation, 300 * MEGABYTE + 1))
    tracemalloc.start()
    saved = await attacked.writer.store.load()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert saved.snapshot is None
    assert peak < 24 * MEGABYTE
    await attacked.client.setrange(head, 300 * MEGABYTE, "x")
    assert (await attacked.writer.store.load()).snapshot is None


async def test_a_snapshot_of_another_issuer_is_none(attacked: Attacked) -> None:
    other = issuer_of_today("https://elsewhere.example")
    await attacked.writer.store.replace(sealed_snapshot(other), [])
    await attacked.never_forgets()


async def test_nothing_in_redis_makes_the_agent_lift_or_list(attacked: Attacked) -> None:
    """What is read for the deny-list decides whether to write it, and nothing else."""
    token, free = attacked.issuer.token(), attacked.issuer.token()
    attacked.issuer.revoke_tokens(token)
    attacked.writer.listener.catch_up()
    before = attacked.writer.listener.verifier.state.revocations.dump()
    client = attacked.client
    async with running(attacked.writer.run()):
        await eventually(lambda: attacked.writer.deny_list.is_level)
        for name in entries_of(free):
            await client.set(name, "g99999999999999999999999999999")
        await client.set(attacked.writer.keys.listing, "9" * 31)
        await client.delete(*entries_of(token))

        async def made_good() -> bool:
            return int(await client.exists(*entries_of(token))) == 2

        await eventually(made_good)

    assert attacked.writer.listener.verifier.state.revocations.dump() == before
    assert attacked.writer.listener.rejection(free) is None
    assert attacked.writer.listener.rejection(token) is RejectionCode.REVOKED


async def test_a_lease_that_somebody_made_for_ever_is_none(redis_server_of_its_own: Service) -> None:
    issuer, url = issuer_of_today(), redis_server_of_its_own.address
    async with writing(url, issuer) as one, asking(url) as client:
        await client.set(one.keys.lease, "mine")
        assert await one.lease.held() is not None
    async with writing(url, issuer) as other, asking(url) as client:
        await client.set(other.keys.lease, "mine", ex=10**6)
        await client.set(other.keys.fence, "9" * 40 + ".mine")
        fence = await other.lease.held()

    assert fence is not None
    assert fence.number < 10**14
