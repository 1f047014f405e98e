"""The deny-list for verifiers in other languages, on a real server."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from events import RevokeDigests, Stream, TokenDigest
from events.digests import pack_digests
from tests.redis_under_test import Writer, asking, entries_of, eventually, issuer_of_today, running, writing
from tests.services.service import Service
from tests.simulator import IssuerSimulator
from verifier_agent.redis import deny_list, deny_writer

LIFE = 900.0


@pytest.fixture
def issuer() -> IssuerSimulator:
    return issuer_of_today()


@pytest.fixture
async def client(redis_server_of_its_own: Service) -> AsyncIterator[redis.asyncio.Redis]:
    async with asking(redis_server_of_its_own.address) as one:
        yield one


@pytest.fixture
async def writer(redis_server_of_its_own: Service, issuer: IssuerSimulator) -> AsyncIterator[Writer]:
    async with writing(redis_server_of_its_own.address, issuer) as one:
        yield one


async def hear_and_follow(writer: Writer) -> None:
    writer.listener.catch_up()
    await writer.deny_list.follow()


async def there(client: redis.asyncio.Redis, *tokens: str) -> int:
    return int(await client.exists(*entries_of(*tokens)))


def revoke_digests(issuer: IssuerSimulator, *digests: int, life: float = LIFE) -> None:
    packed = pack_digests(map(TokenDigest, digests))
    issuer.say(Stream.REVOCATIONS, RevokeDigests(digests=packed, expires_at=issuer.clock.now() + life))


async def test_a_revoked_token_has_both_entries_for_its_remaining_life(
    client: redis.asyncio.Redis, issuer: IssuerSimulator, writer: Writer
) -> None:
    token = issuer.token()
    issuer.revoke_tokens(token, life=LIFE)
    await hear_and_follow(writer)
    short, long = entries_of(token)

    assert (len(short), len(long)) == (len("revoked:") + 8, len("revoked:") + 16)
    for name in (short, long):
        assert LIFE - 5 <= await client.ttl(name) <= LIFE
        assert await client.strlen(name) < 20
    assert not await there(client, issuer.token())
    assert writer.deny_list.is_level


async def test_an_entry_that_is_shared_keeps_the_longer_life(
    client: redis.asyncio.Redis, issuer: IssuerSimulator, writer: Writer
) -> None:
    revoke_digests(issuer, 0x0000000A00000001, life=2 * LIFE)
    await hear_and_follow(writer)
    revoke_digests(issuer, 0x0000000A00000002, life=LIFE)
    revoke_digests(issuer, 0x0000000A00000001, life=LIFE)
    await hear_and_follow(writer)

    assert await client.ttl("revoked:0000000a") > LIFE
    assert await client.ttl("revoked:0000000a00000001") > LIFE
    assert await client.ttl("revoked:0000000a00000002") <= LIFE
    revoke_digests(issuer, 0x0000000A00000002, life=3 * LIFE)
    await hear_and_follow(writer)
    assert await client.ttl("revoked:0000000a") > 2 * LIFE


async def test_a_lift_removes_the_entries_that_nothing_else_needs(
    client: redis.asyncio.Redis, issuer: IssuerSimulator, writer: Writer
) -> None:
    once, twice = issuer.token(), issuer.token()
    first = issuer.revoke_tokens(once, twice, life=LIFE)
    second = issuer.revoke_tokens(twice, life=LIFE)
    await hear_and_follow(writer)
    issuer.lift(first)
    await hear_and_follow(writer)

    assert not await there(client, once)
    assert await there(client, twice) == 2
    issuer.lift(second)
    await hear_and_follow(writer)
    assert not await there(client, twice)


async def test_a_short_entry_stays_while_another_token_shares_it(
    client: redis.asyncio.Redis, issuer: IssuerSimulator, writer: Writer
) -> None:
    revoke_digests(issuer, 0x0000000A00000001)
    lifted = issuer.said[-1]
    revoke_digests(issuer, 0x0000000A00000002)
    await hear_and_follow(writer)
    issuer.lift(lifted)
    await hear_and_follow(writer)

    assert await client.exists("revoked:0000000a", "revoked:0000000a00000002") == 2
    assert not await client.exists("revoked:0000000a00000001")


async def test_a_lift_that_comes_first_leaves_nothing(
    client: redis.asyncio.Redis, issuer: IssuerSimulator, writer: Writer
) -> None:
    token = issuer.token()
    revocation = issuer.revoke_tokens(token)
    lift = issuer.lift(revocation)
    writer.listener.hear(lift)
    await hear_and_follow(writer)

    assert not await there(client, token)


async def test_what_nobody_could_use_any_more_is_not_listed(
    client: redis.asyncio.Redis, issuer: IssuerSimulator, writer: Writer
) -> None:
    token = issuer.token()
    issuer.revoke_tokens(token, life=10)
    issuer.clock.advance(20)
    await hear_and_follow(writer)

    assert not await there(client, token)
    assert writer.deny_list.writer.put == 0


async def test_the_list_follows_by_itself(client: redis.asyncio.Redis, issuer: IssuerSimulator, writer: Writer) -> None:
    token = issuer.token()
    async with running(writer.run()):
        await eventually(lambda: writer.deny_list.is_level)
        issuer.revoke_tokens(token)
        writer.listener.catch_up()
        writer.deny_list.wake()
        await eventually(lambda: listed(client, token))
        assert await client.exists("revoked-level")


async def listed(client: redis.asyncio.Redis, token: str) -> bool:
    return await there(client, token) == 2


@pytest.mark.parametrize("loss", ["flush", "empty restart"])
async def test_what_was_lost_comes_back_by_itself(
    redis_server_of_its_own: Service, client: redis.asyncio.Redis, issuer: IssuerSimulator, writer: Writer, loss: str
) -> None:
    token, lifted = issuer.token(), issuer.token()
    issuer.revoke_tokens(token)
    revocation = issuer.revoke_tokens(lifted)
    writer.listener.catch_up()
    async with running(writer.run()):
        await eventually(lambda: writer.deny_list.is_level)
        if loss == "flush":
            await client.flushall()
        else:
            await asyncio.to_thread(redis_server_of_its_own.restart_empty)
        issuer.lift(revocation)
        writer.listener.catch_up()
        await eventually(lambda: listed(client, token))
        assert not await there(client, lifted)


async def test_what_was_lifted_while_nobody_wrote_is_removed_by_who_writes_next(
    redis_server_of_its_own: Service, client: redis.asyncio.Redis, issuer: IssuerSimulator, writer: Writer
) -> None:
    token, lifted = issuer.token(), issuer.token()
    issuer.revoke_tokens(token)
    revocation = issuer.revoke_tokens(lifted)
    await hear_and_follow(writer)
    await writer.close()
    issuer.lift(revocation)
    await client.set("revoked:not ours", "1")
    await client.set("revoked:00000001", "of another program")
    async with writing(redis_server_of_its_own.address, issuer) as next_one:
        await hear_and_follow(next_one)

    assert await there(client, token) == 2
    assert not await there(client, lifted)
    assert await client.exists("revoked:not ours", "revoked:00000001") == 2


async def test_a_writer_that_slept_through_its_lease_neither_adds_nor_removes(
    redis_server_of_its_own: Service, client: redis.asyncio.Redis, issuer: IssuerSimulator, writer: Writer
) -> None:
    token, other = issuer.token(), issuer.token()
    revocation = issuer.revoke_tokens(token)
    await hear_and_follow(writer)
    issuer.lift(revocation)
    issuer.revoke_tokens(other)
    writer.listener.catch_up()  # it means to remove the one and to add the other, and falls asleep
    again = issuer.revoke_tokens(token)
    await client.delete(writer.keys.lease)
    async with writing(redis_server_of_its_own.address, issuer) as next_one:
        await hear_and_follow(next_one)
        await client.delete(*entries_of(other))
        await writer.deny_list.follow()

        assert await there(client, token) == 2
        assert not await there(client, other)
        assert not writer.deny_list.is_level
    assert again


async def test_only_one_agent_writes_the_list(
    redis_server_of_its_own: Service, issuer: IssuerSimulator, writer: Writer
) -> None:
    issuer.revoke_tokens(issuer.token())
    await hear_and_follow(writer)
    async with writing(redis_server_of_its_own.address, issuer) as other:
        await hear_and_follow(other)

        assert other.deny_list.writer.put == 0
        assert not other.deny_list.is_level


async def test_two_issuers_do_not_share_a_list(
    redis_server_of_its_own: Service, client: redis.asyncio.Redis, issuer: IssuerSimulator, writer: Writer
) -> None:
    token = issuer.token()
    issuer.revoke_tokens(token)
    await hear_and_follow(writer)
    elsewhere = issuer_of_today("https://elsewhere.example")
    foreign = elsewhere.token()
    elsewhere.revoke_tokens(foreign)
    async with (
        writing(redis_server_of_its_own.address, elsewhere) as meddler,
        writing(redis_server_of_its_own.address, elsewhere, deny_list_prefix="elsewhere:") as neighbour,
    ):
        await hear_and_follow(meddler)
        assert meddler.deny_list.owner == issuer.issuer
        assert not await there(client, foreign)
        await meddler.close()
        await hear_and_follow(neighbour)

    assert await client.exists(*entries_of(foreign, prefix="elsewhere:")) == 2
    assert await there(client, token) == 2


async def test_nothing_is_written_before_the_issuers_time_is_known(
    redis_server_of_its_own: Service, client: redis.asyncio.Redis, issuer: IssuerSimulator, writer: Writer
) -> None:
    issuer.revoke_tokens(issuer.token())
    deaf = writer.listener.verifier
    writer.listener.verifier = type(deaf)(issuer.trust)
    writer.listener.hear(*issuer.said)
    await writer.deny_list.follow()

    assert writer.deny_list.writer.put == 0
    assert not await client.exists("revoked-level")


async def test_a_stale_agent_does_not_call_the_list_level(
    client: redis.asyncio.Redis, issuer: IssuerSimulator, writer: Writer
) -> None:
    await hear_and_follow(writer)
    covered = writer.listener.verifier.state.freshness.covered
    assert covered is not None
    assert await client.get("revoked-level") == str(int(covered.time)).encode()
    assert 0 < await client.ttl("revoked-level") <= deny_list.LEVEL_SECONDS
    await client.delete("revoked-level")
    writer.listener.verifier.state.freshness.received -= 3600
    await writer.deny_list.follow()

    assert not await client.exists("revoked-level")


async def test_everything_goes_away_by_itself(
    client: redis.asyncio.Redis, issuer: IssuerSimulator, writer: Writer
) -> None:
    issuer.revoke_tokens(issuer.token())
    await hear_and_follow(writer)

    assert all([await client.ttl(key) > 0 async for key in client.scan_iter()])


async def test_from_time_to_time_all_entries_are_put_again_as_some_may_have_been_evicted(
    client: redis.asyncio.Redis, issuer: IssuerSimulator, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = issuer.token()
    issuer.revoke_tokens(token)
    monkeypatch.setattr(deny_list, "RENEWAL_SECONDS", 0.0)
    await hear_and_follow(writer)
    await client.delete(*entries_of(token))
    await writer.deny_list.follow()

    assert await there(client, token) == 2
    assert writer.deny_list.renewals == 2


async def test_a_mass_revocation_is_listed_and_lifted_whole_without_holding_the_loop(
    client: redis.asyncio.Redis, issuer: IssuerSimulator, writer: Writer
) -> None:
    revoke_digests(issuer, *range(1, 1 << 46, (1 << 46) // 20_000))
    mass = issuer.said[-1]
    kept = issuer.token()
    issuer.revoke_tokens(kept)
    writer.listener.catch_up()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with running(others()):
        await writer.deny_list.follow()
        assert turns > 20_000 // deny_writer.DIGESTS_A_CALL
    assert len(await client.keys("revoked:" + "[0-9a-f]" * 16)) == writer.deny_list.writer.put
    issuer.lift(mass)
    await hear_and_follow(writer)

    assert sorted(await client.keys("revoked:*")) == sorted(name.encode() for name in entries_of(kept))


async def test_who_may_not_know_everything_adds_and_removes_nothing(
    redis_server_of_its_own: Service, client: redis.asyncio.Redis, issuer: IssuerSimulator, writer: Writer
) -> None:
    token, unknown, new = issuer.token(), issuer.token(), issuer.token()
    revocation = issuer.revoke_tokens(token)
    issuer.revoke_tokens(unknown)
    await hear_and_follow(writer)
    await writer.close()
    hole = issuer.said.pop()
    async with writing(redis_server_of_its_own.address, issuer) as next_one:
        issuer.said.append(hole)
        next_one.listener.hear(issuer.lift(revocation), issuer.revoke_tokens(new), issuer.beat())
        assert next_one.listener.verifier.state.holes()
        await next_one.deny_list.follow()

        assert await there(client, token, unknown, new) == 6
        assert not next_one.deny_list.is_level
        next_one.listener.catch_up()
        await next_one.deny_list.follow()
        assert await there(client, unknown, new) == 4
        assert not await there(client, token)
        assert next_one.deny_list.is_level
