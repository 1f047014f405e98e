"""The list of token keys in configuration, put into force by the replica that leads, as tokens and agents see it."""

import asyncio
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from sqlalchemy import select, update

from events import KeySet, KeyState, Stream
from issuer.keys.generation import generate
from issuer.keys.key_list import MOST_ENTRIES, SealedEntry
from issuer.keys.list_opening import listed_key
from issuer.keys.sealing import KeyEncryptionKey
from issuer.keys.vault import TOKEN_KEY, seal
from issuer.leadership import LeadershipLost
from issuer.leadership.leadership import EPOCH
from issuer.store.schema import keys, leases
from tests.integration.issuer.test_fleet import agents_client, deafen, enrolled
from tests.integration.issuer.test_fleet import settings as agent_settings
from tests.issuer_under_test import Installation, Replica, on_every_store, rejection, until
from verifier_agent import OnStale

DAY = 86_400.0


async def entry(installation: Installation, alg: str = "ES256", kid: str | None = None) -> SealedEntry:
    """A new key, sealed with the installation's key-encryption key."""
    assert installation.settings.kek_file is not None
    jwk = generate(alg)
    if kid is not None:
        jwk["kid"] = kid
    return listed_key(await seal(KeyEncryptionKey.load(installation.settings.kek_file), jwk, TOKEN_KEY)).text()


def kid_of(entry: SealedEntry) -> str:
    key = entry.parse()
    assert key is not None
    return key.kid


def say(replica: Replica, *entries: SealedEntry) -> None:
    """What a change of file or Consul comes to."""
    live = replica.services.parts.live
    live.now = msgspec.structs.replace(live.now, signing_keys=entries)


async def signs(replica: Replica, installation: Installation) -> str:
    found: str = jwt.get_unverified_header(await replica.token(installation.demo))["kid"]
    return found


async def until_signs(replica: Replica, installation: Installation, entry: SealedEntry) -> None:
    async def it_does() -> bool:
        return await signs(replica, installation) == kid_of(entry)

    await until(it_does, f"{kid_of(entry)} signs")


async def states(replica: Replica) -> dict[str, str]:
    return {key["kid"]: key["state"] for key in (await replica.admin("GET", "/keys")).json()["keys"]}


async def in_force(replica: Replica) -> Any:
    return (await replica.admin("GET", "/keys")).json()["listed"]


async def put_back(replica: Replica, kid: str, seconds: float) -> None:
    """Let a key have been in its state for so much longer."""
    async with replica.services.database.write() as connection:
        earlier = keys.c.changed_at - seconds
        await connection.execute(update(keys).where(keys.c.kid == kid).values(changed_at=earlier))


@on_every_store
async def test_the_first_of_a_list_signs_the_rest_verify_and_another_order_changes_which(
    installation: Installation, issuer: Replica
) -> None:
    async with installation.agent() as agent:
        a, b = await entry(installation), await entry(installation)
        before = await issuer.token(installation.demo)

        say(issuer, a, b)
        await until_signs(issuer, installation, a)
        of_a = await issuer.token(installation.demo)
        say(issuer, b, a)
        await until_signs(issuer, installation, b)
        of_b = await issuer.token(installation.demo)
        say(issuer, a, b)
        await until_signs(issuer, installation, a)

        tokens = (before, of_a, of_b)
        await until(lambda: all(rejection(agent, token) is None for token in tokens), "all that were signed are good")
        assert await in_force(issuer) == [kid_of(a), kid_of(b)]
        found = await states(issuer)
        assert (found[kid_of(a)], found[kid_of(b)]) == ("active", "retiring")


async def test_a_new_key_is_published_before_it_signs_and_waits_for_agents_and_the_jwks(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path, jwks_lead_time=3600.0)
    async with installation.running() as issuer:
        a = await entry(installation)
        before = await signs(issuer, installation)
        say(issuer, a)
        await until(lambda: issuer.services.own_agent.verifier.state.keys.get(kid_of(a)), "it is published")

        refused = await issuer.admin("POST", "/keys/rotate", {"reason": "now"})
        assert (refused.status, await signs(issuer, installation)) == (409, before)
        assert "jwks_lead_time" in refused.json()["error_description"]
        assert (await states(issuer))[kid_of(a)] == "pending"

        await put_back(issuer, kid_of(a), 3600.0)
        await until_signs(issuer, installation, a)


async def test_force_goes_ahead_and_a_list_whose_first_signs_is_not_rotated_away_from(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path, jwks_lead_time=3600.0)
    async with installation.running() as issuer:
        a, b = await entry(installation), await entry(installation)
        say(issuer, a, b)
        await until(lambda: issuer.services.own_agent.verifier.state.keys.get(kid_of(b)), "they are published")

        forced = await issuer.admin("POST", "/keys/rotate", {"reason": "now", "force": True})
        assert (forced.status, await signs(issuer, installation)) == (200, kid_of(a))
        for force in (False, True):
            again = await issuer.admin("POST", "/keys/rotate", {"reason": "now", "force": force})
            assert again.status == 409
            assert f"its first, {kid_of(a)}, does" in again.json()["error_description"]


async def test_a_key_waits_for_an_agent_that_has_not_acknowledged_it_and_names_it(
    installation: Installation, issuer: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    client = await agents_client(installation)
    async with enrolled(agent_settings(installation, client, "deaf", on_stale=OnStale.ALLOW)) as deaf:
        await until(lambda: deaf.status().applied["keys"] > 0, "it hears the keys")
        await deafen(deaf)
        a = await entry(installation)
        before = await signs(issuer, installation)

        say(issuer, a)
        await until(lambda: "key_rotation_waits" in caplog.text, "it is told that it waits")

        assert await signs(issuer, installation) == before
        [told] = [record for record in caplog.records if record.message == "key_rotation_waits"]
        assert f"signing_keys has {kid_of(a)} first" in told.__dict__["due"]
        assert "deaf" in told.__dict__["why"]
        async with issuer.services.database.write() as connection:  # the time-out has run out
            long_ago = keys.c.due_since - 600.0
            await connection.execute(update(keys).where(keys.c.due_since.is_not(None)).values(due_since=long_ago))
        await until_signs(issuer, installation, a)


@on_every_store
async def test_a_key_that_is_taken_out_verifies_until_its_tokens_have_expired(
    installation: Installation, issuer: Replica
) -> None:
    async with installation.agent() as agent:
        a, b = await entry(installation), await entry(installation)
        say(issuer, a, b)
        await until_signs(issuer, installation, a)
        token = await issuer.token(installation.demo)
        await put_back(issuer, kid_of(b), 3 * DAY)

        say(issuer, b)
        await until_signs(issuer, installation, b)

        await until(
            lambda: agent.status().applied["keys"] >= issuer.services.own_agent.verifier.state.keys.seq, "heard"
        )
        assert rejection(agent, token) is None
        assert (await states(issuer))[kid_of(a)] == "retiring"
        await put_back(issuer, kid_of(a), 3 * DAY)
        say(issuer, b, await entry(installation))  # anything that makes it look
        await until(lambda: has(issuer, a, KeyState.RETIRED), "it retires")
        await until(lambda: rejection(agent, token) == "unknown_key", "its tokens are refused")

        say(issuer, a, b)
        await until(lambda: no_change_left(issuer, [kid_of(b)]), "the list is in force")
        assert (await states(issuer))[kid_of(a)] == "retired"
        assert (await issuer.admin("GET", "/keys")).json()["passed_over"] == {kid_of(a): "retired"}


def has(issuer: Replica, entry: SealedEntry, state: KeyState) -> bool:
    published = issuer.services.own_agent.verifier.state.keys.published
    return any(key.kid == kid_of(entry) and key.state is state for key in published)


async def no_change_left(issuer: Replica, listed: list[str]) -> bool:
    return bool(await in_force(issuer) == listed)


@on_every_store
async def test_a_revoked_key_stays_revoked_wherever_the_list_has_it_and_the_next_signs_at_once(
    installation: Installation, issuer: Replica
) -> None:
    async with installation.agent() as agent:
        a, b, c = [await entry(installation) for _ in range(3)]
        say(issuer, a, b)
        await until_signs(issuer, installation, a)
        stolen = await issuer.token(installation.demo)

        answer = await issuer.admin("POST", f"/keys/{kid_of(a)}/revoke", {"reason": "leaked"})

        assert answer.status == 200
        assert await signs(issuer, installation) == kid_of(b)
        await until(lambda: rejection(agent, stolen) == "key_revoked", "its tokens are refused")
        say(issuer, a, c, b)
        await until_signs(issuer, installation, c)
        assert (await states(issuer))[kid_of(a)] == "revoked"
        assert rejection(agent, stolen) == "key_revoked"
        found = (await issuer.admin("GET", "/keys")).json()
        assert (found["listed"], found["passed_over"]) == ([kid_of(c), kid_of(b)], {kid_of(a): "revoked"})


async def test_when_all_of_a_list_are_revoked_the_vaults_standby_signs(
    installation: Installation, issuer: Replica
) -> None:
    a = await entry(installation)
    say(issuer, a)
    await until_signs(issuer, installation, a)
    standby = [kid for kid, state in (await states(issuer)).items() if state == "pending"]

    assert (await issuer.admin("POST", f"/keys/{kid_of(a)}/revoke", {"reason": "leaked"})).status == 200

    assert [await signs(issuer, installation)] == standby


async def test_the_word_none_gives_the_keys_back_to_the_vault_and_an_absent_list_changes_nothing(
    installation: Installation, issuer: Replica
) -> None:
    a, b = await entry(installation), await entry(installation)
    say(issuer, a)
    await until_signs(issuer, installation, a)

    say(issuer)
    await asyncio.sleep(2.5)
    assert (await in_force(issuer), await signs(issuer, installation)) == ([kid_of(a)], kid_of(a))

    say(issuer, SealedEntry("none"))
    await until(lambda: has(issuer, a, KeyState.RETIRING), "it gives way")
    assert await signs(issuer, installation) not in (kid_of(a), kid_of(b))
    assert await in_force(issuer) == []
    rotated = await issuer.admin("POST", "/keys/rotate", {"reason": "the usual"}, Prefer="wait=10")
    assert rotated.status == 200


async def test_in_a_new_store_the_first_of_the_list_signs_from_the_beginning(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path, jwks_lead_time=3600.0)
    a, b = await entry(installation), await entry(installation)
    installation = msgspec_replaced(installation, a, b)

    async with installation.running() as issuer:
        assert await signs(issuer, installation) == kid_of(a)
        await until(lambda: no_change_left(issuer, [kid_of(a), kid_of(b)]), "the list is in force")
        assert sorted((await states(issuer)).values()) == ["active", "pending", "pending"]


def msgspec_replaced(installation: Installation, *entries: SealedEntry) -> Installation:
    settings = msgspec.structs.replace(installation.settings, signing_keys=entries)
    return Installation(
        settings=settings,
        trust=installation.trust,
        trust_file=installation.trust_file,
        demo=installation.demo,
        operator=installation.operator,
    )


@on_every_store
async def test_of_several_replicas_one_puts_it_into_force_and_all_go_by_it(
    installation: Installation, issuer: Replica
) -> None:
    a, b = await entry(installation), await entry(installation)
    async with installation.running(port=0) as other:
        for replica in (issuer, other):
            say(replica, a, b)
        for replica in (issuer, other):
            await until_signs(replica, installation, a)

        leaders = [replica.services.leadership.leads for replica in (issuer, other)]
        assert sorted(leaders) == [False, True]
        follower = (issuer, other)[leaders.index(False)]
        say(follower, b, a)  # a file that is not the leader's
        await asyncio.sleep(2.5)
        assert await signs(follower, installation) == kid_of(a)
        answer = await follower.admin("POST", f"/keys/{kid_of(a)}/revoke", {"reason": "leaked"})
        assert answer.status == 200
        assert await signs(follower, installation) == kid_of(b), "it goes by the list that is in force"

    said = [event.record for event in await installation.said(Stream.KEYS)]
    listings = [record for record in said if isinstance(record, KeySet) and record.actor == "configuration"]
    assert [record.reason for record in listings] == [f"signing_keys: {kid_of(a)}, {kid_of(b)}"]


async def test_a_replica_that_only_thinks_it_leads_puts_nothing_into_force(
    installation: Installation, issuer: Replica
) -> None:
    a = await entry(installation)
    inside = issuer.services
    await until(lambda: inside.leadership.leads, "this replica leads")
    async with inside.database.write() as connection:  # another has opened an epoch while this one was stopped
        later = update(leases).where(leases.c.name == EPOCH).values(fence=leases.c.fence + 1, holder="another")
        await connection.execute(later)
    key = a.parse()
    assert key is not None

    with pytest.raises(LeadershipLost):
        await inside.listed_keys.apply([key], inside.leadership)

    async with inside.database.read() as connection:
        assert (await connection.execute(select(keys.c.kid).where(keys.c.kid == kid_of(a)))).first() is None


async def test_each_algorithm_has_a_first_of_its_own_and_the_vault_has_the_others(tmp_path: Path) -> None:
    installation = await Installation.create(tmp_path, signing_algorithms=("ES256", "EdDSA", "RS256"))
    async with installation.running() as issuer:
        a, b = await entry(installation, "EdDSA"), await entry(installation)
        by_alg = {alg: await installation.client(alg, token_alg=alg) for alg in ("ES256", "EdDSA", "RS256")}
        before = jwt.get_unverified_header(await issuer.token(by_alg["RS256"]))["kid"]

        say(issuer, a, b)
        await until_signs(issuer, installation, b)

        async def signing(alg: str) -> str:
            found: str = jwt.get_unverified_header(await issuer.token(by_alg[alg]))["kid"]
            return found

        async def eddsa_signs() -> bool:
            return await signing("EdDSA") == kid_of(a)

        await until(eddsa_signs, "each first signs")
        assert await signing("RS256") == before
        assert (await issuer.admin("POST", "/keys/rotate", {"reason": "due", "alg": "RS256"})).status == 200


async def test_a_list_of_as_many_keys_as_are_allowed_is_in_force(installation: Installation, issuer: Replica) -> None:
    entries = [await entry(installation, kid=f"{number:02}" + "k" * 62) for number in range(MOST_ENTRIES)]
    say(issuer, *entries)

    await until_signs(issuer, installation, entries[0])
    assert await in_force(issuer) == [kid_of(each) for each in entries]
