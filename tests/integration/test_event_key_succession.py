"""Event keys that succeed each other while issuers and agents run, sleep, and are attacked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from events import EventKey, EventOpener, EventSigner, IssuerTrust, Lift, RefusalCode, Revoke, Selector, Stream, pack
from events.log import Retention, open_log, prepare_log
from events.streams import SEQUENCED
from issuer.errors import Conflict
from issuer.keys.choice import key_wrappers
from issuer.keys.generation import PrivateJwk, generate
from issuer.keys.vault import KeyVault
from issuer.offline import initialise, succession_of
from issuer.recovery.errors import RecoveryRefused
from issuer.store.database import Database
from issuer.store.schema import streams
from tests.integration.recovery.deployments import Deployment
from tests.issuer_under_test import AUDIENCE, Installation, Replica, rejection, until
from tests.services.service import Service
from verifier_agent import Agent, AgentSettings, RejectionCode

ALL_OF_IT = ["files", "postgresql and kafka"]


@pytest.fixture(params=ALL_OF_IT)
async def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    """On files, and on real services."""
    if request.param == "files":
        return await Installation.create(tmp_path)
    broker: Service = request.getfixturevalue("kafka")
    store: str = request.getfixturevalue("postgresql_url")
    log = f"kafka://{broker.address}?prefix={tmp_path.name.replace('_', '-')}."
    await prepare_log(log, Retention())
    return await Installation.create(tmp_path, store=store, log=log)


@pytest.fixture
async def on_files(tmp_path: Path) -> Installation:
    return await Installation.create(tmp_path)


def agent_of(installation: Installation, **settings: Any) -> Agent:
    usual: dict[str, Any] = {"log": installation.settings.log, "trust": installation.trust_file, "audience": AUDIENCE}
    return Agent(AgentSettings(**usual | settings))


async def refuses(agent: Agent, token: str) -> None:
    """It comes to refuse the token as revoked."""
    await until(lambda: rejection(agent, token) is RejectionCode.REVOKED, "it is revoked")


async def caught_up(agent: Agent, generation: int) -> None:
    """It knows the newest event key, and everything that is said under it."""
    await until(lambda: agent.verifier.event_keys.generation == generation, "the agent knows the newest event key")
    newest = agent.verifier.event_keys.newest.kid
    assert agent.status().event_keys[-1] == newest
    await until(lambda: agent.is_ready and (agent.freshness() or 60) < 30, "the agent has heard everything")


async def private_event_key(installation: Installation) -> PrivateJwk:
    """What a thief of the store and of the key-encryption key would have."""
    database = Database(installation.settings.store)
    try:
        return await KeyVault(database, await key_wrappers(installation.settings)).event_key()
    finally:
        await database.close()


async def published(replica: Replica) -> None:
    """The log has all that was decided."""

    async def has_all() -> bool:
        async with replica.services.database.read() as connection:
            rows = (await connection.execute(select(streams.c.stream, streams.c.head))).all()
        heads = {row.stream: row.head for row in rows}
        return [await replica.services.relay.published(stream) for stream in SEQUENCED] == [
            heads[stream] for stream in SEQUENCED
        ]

    await until(has_all, "the log has all that was decided")


@asynccontextmanager
async def verifying(agent: Agent, token: str) -> AsyncIterator[list[str]]:
    """Ask the agent again and again; what went wrong, in words."""
    faults: list[str] = []

    async def ask() -> None:
        while True:
            try:
                agent.verify(token)
            except Exception as error:  # noqa: BLE001 - each is a fault, whichever
                faults.append(repr(error))
            if agent.status().stale:
                faults.append("stale")
            await asyncio.sleep(0.005)

    task = asyncio.create_task(ask())
    try:
        yield faults
    finally:
        task.cancel()
        await asyncio.wait([task])


# -- live


async def test_keys_succeed_each_other_under_verification_with_no_refusal_and_no_staleness(
    installation: Installation,
) -> None:
    async with (
        installation.running() as first,
        installation.running(port=0) as second,
        agent_of(installation) as agent,
    ):
        good = await first.token(installation.demo)
        async with verifying(agent, good) as faults:
            for generation in (1, 2, 3):
                await installation.succeed()
                for replica in (first, second):  # both decide by the new key at once
                    bad = await replica.token(installation.demo)
                    await replica.revoke(token=bad)
                    await refuses(agent, bad)
                    assert rejection(agent, await replica.token(installation.demo)) is None
                await caught_up(agent, generation)
        assert faults == []
        assert agent.status().forks == []
        assert agent.status().begun_anew == 0
        assert agent.status().refused.get("key_ended", 0) <= 6  # heartbeats that were on their way
    assert await _signed_out_of_its_time(installation) == []


async def _signed_out_of_its_time(installation: Installation) -> list[str]:
    """What stands in the log and is refused by who knows the chain from the beginning."""
    async with succession_of(installation.settings) as succession:
        opener = EventOpener((await succession.show()).trust)
    event_log, refused = open_log(installation.settings.log), []
    try:
        for stream in SEQUENCED:
            position, end = None, await event_log.head(stream)
            while end is not None and (position is None or position < end):
                for entry in await event_log.read({stream: position}, wait=5.0):
                    position = entry.position
                    try:
                        opener.open(entry.data, stream)
                    except Exception as error:  # noqa: BLE001 - told
                        refused.append(str(error))
    finally:
        await event_log.close()
    return refused


async def test_the_old_private_key_is_gone_afterwards(on_files: Installation) -> None:
    before = await private_event_key(on_files)
    chain = await on_files.succeed()
    after = await private_event_key(on_files)

    assert after["kid"] == chain.keys[-1].kid != before["kid"]
    assert (await initialise(on_files.settings)) == chain.trust


async def test_an_issuer_that_was_down_signs_with_the_newest_key_when_it_comes_back(on_files: Installation) -> None:
    async with on_files.running() as replica:
        token = await replica.token(on_files.demo)
    for _ in range(2):
        await on_files.succeed()
    async with on_files.running() as replica, agent_of(on_files) as agent:
        await replica.revoke(token=token)
        await refuses(agent, token)
        await caught_up(agent, 2)


async def test_agents_that_could_not_follow_are_named_before_anything_is_done(
    installation: Installation, tmp_path: Path
) -> None:
    credentials = await installation.client(
        "agents", scopes=("tocsin.agent",), audiences=(installation.settings.issuer,)
    )
    IssuerTrust(issuer=installation.trust.issuer, event_keys=installation.trust.event_keys).save(tmp_path / "old.json")
    async with installation.running() as replica:
        place = f"http://{credentials.client_id}:{credentials.secret}@{replica.url.removeprefix('http://')}/agents"
        async with (
            agent_of(installation, enrol_url=place, agent_name="knows"),
            agent_of(installation, enrol_url=place, agent_name="lags", trust=tmp_path / "old.json"),
        ):
            await until(lambda: _enrolled(replica, 2), "both have enrolled")
            with pytest.raises(Conflict, match="1 agents could not follow: lags"):
                await installation.succeed(force=False)


async def _enrolled(replica: Replica, count: int) -> bool:
    members, _ = await replica.services.fleet.members()
    return len(members) == count


# -- asleep


async def asleep_through_three(installation: Installation) -> tuple[str, str]:
    """Three successions with something said under each key; a token that is good, and one that is revoked."""
    async with installation.running() as replica:
        good, bad = await replica.token(installation.demo), await replica.token(installation.demo)
        for _ in range(3):
            await installation.succeed()
            await replica.revoke(token=await replica.token(installation.demo))
        await replica.revoke(token=bad)
        await published(replica)
        return good, bad


async def test_who_slept_through_three_catches_up_from_the_log(installation: Installation) -> None:
    async with installation.running(), agent_of(installation) as agent:
        assert agent.is_ready
    good, bad = await asleep_through_three(installation)
    async with installation.running(), agent_of(installation) as agent:
        await caught_up(agent, 3)
        assert (rejection(agent, good), rejection(agent, bad)) == (None, RejectionCode.REVOKED)


async def test_who_slept_through_three_catches_up_from_the_feed(on_files: Installation) -> None:
    good, bad = await asleep_through_three(on_files)
    reader = await on_files.client("reader", scopes=("tocsin.events",), audiences=(on_files.settings.issuer,))
    async with on_files.running() as replica:
        feed = f"http://{reader.client_id}:{reader.secret}@{replica.url.removeprefix('http://')}/events"
        async with agent_of(on_files, log=feed) as agent:
            await caught_up(agent, 3)
            assert (rejection(agent, good), rejection(agent, bad)) == (None, RejectionCode.REVOKED)
            await on_files.succeed()
            await caught_up(agent, 4)


async def test_who_slept_through_three_starts_from_the_issuers_snapshot(on_files: Installation) -> None:
    good, bad = await asleep_through_three(on_files)
    reader = await on_files.client("reader", scopes=("tocsin.events",), audiences=(on_files.settings.issuer,))
    async with on_files.running() as replica:
        place = f"http://{reader.client_id}:{reader.secret}@{replica.url.removeprefix('http://')}/snapshot"
        async with agent_of(on_files, snapshot_url=place, log="memory:", start_timeout=0.2) as agent:
            assert agent.status().started_from == "issuer"
            assert agent.verifier.event_keys.generation == 3
            assert (rejection(agent, good), rejection(agent, bad)) == (None, RejectionCode.REVOKED)


async def test_a_folder_that_was_saved_before_three_successions_is_started_from(
    on_files: Installation, tmp_path: Path
) -> None:
    folder = tmp_path / "state"
    async with on_files.running(), agent_of(on_files, state_dir=folder) as agent:
        await caught_up(agent, 0)
    good, bad = await asleep_through_three(on_files)
    async with on_files.running(), agent_of(on_files, state_dir=folder) as agent:
        assert agent.status().started_from == "disk"
        await caught_up(agent, 3)
        assert (rejection(agent, good), rejection(agent, bad)) == (None, RejectionCode.REVOKED)


async def test_a_folder_that_was_saved_after_them_suffices_with_everything_away(
    on_files: Installation, tmp_path: Path
) -> None:
    folder = tmp_path / "state"
    good, bad = await asleep_through_three(on_files)
    reader = await on_files.client("reader", scopes=("tocsin.events",), audiences=(on_files.settings.issuer,))
    async with on_files.running() as replica:
        place = f"http://{reader.client_id}:{reader.secret}@{replica.url.removeprefix('http://')}/snapshot"
        async with agent_of(on_files, state_dir=folder, snapshot_url=place) as agent:
            await caught_up(agent, 3)
            await on_files.succeed()
            await caught_up(agent, 4)
            await until(lambda: agent.status().stores["disk"].snapshot_age is not None, "the snapshot is saved")
    async with agent_of(on_files, state_dir=folder, log="memory:", start_timeout=0.2) as agent:
        assert agent.verifier.event_keys.generation == 4
        assert (rejection(agent, good), rejection(agent, bad)) == (None, RejectionCode.REVOKED)


async def test_who_slept_through_three_starts_from_redis(
    on_files: Installation, redis_server: Service, tmp_path: Path
) -> None:
    good, bad = await asleep_through_three(on_files)
    reader = await on_files.client("reader", scopes=("tocsin.events",), audiences=(on_files.settings.issuer,))
    shared = {"redis": redis_server.address, "redis_prefix": f"{tmp_path.name}:", "redis_deny_list": False}
    async with on_files.running() as replica:
        place = f"http://{reader.client_id}:{reader.secret}@{replica.url.removeprefix('http://')}/snapshot"
        async with agent_of(on_files, snapshot_url=place, **shared) as agent:
            await caught_up(agent, 3)
            await on_files.succeed()
            await caught_up(agent, 4)
            await until(lambda: agent.status().stores["redis"].snapshot_age is not None, "the snapshot is saved")
            await until(lambda: not agent.status().stores["redis"].unsaved, "all is saved")
    async with agent_of(on_files, log="memory:", start_timeout=0.2, **shared) as agent:
        assert agent.status().started_from == "redis"
        assert agent.verifier.event_keys.generation == 4
        assert (rejection(agent, good), rejection(agent, bad)) == (None, RejectionCode.REVOKED)


async def test_a_topic_that_is_made_anew_gets_the_chain_again(tmp_path: Path, on_files: Installation) -> None:
    good, bad = await asleep_through_three(on_files)
    await Deployment(on_files, tmp_path).empty_log(*SEQUENCED)
    async with on_files.running() as replica:
        await until(lambda: replica.services.relay.is_publishing, "the relay publishes")
        async with agent_of(on_files) as agent:
            await caught_up(agent, 3)
            assert (rejection(agent, good), rejection(agent, bad)) == (None, RejectionCode.REVOKED)


# -- the thief


async def test_with_the_stolen_old_key_nothing_can_be_said_after_its_end(installation: Installation) -> None:
    stolen = EventSigner(installation.settings.issuer, EventKey(await private_event_key(installation)))
    async with installation.running() as replica, agent_of(installation) as agent:
        good, bad = await replica.token(installation.demo), await replica.token(installation.demo)
        decided = await replica.revoke(token=bad)
        await refuses(agent, bad)
        await installation.succeed()
        await caught_up(agent, 1)
        now, life = agent._clock.now(), 3600.0
        everything = Revoke(selector=Selector(), expires_at=now + life)
        lift = Lift(target=decided["seq"], expires_at=now + life)
        event_log = open_log(installation.settings.log)
        try:
            forged = [
                stolen.sign(Stream.REVOCATIONS, seq, record, time=now, txn="t").text
                for seq in (decided["seq"] + 1, decided["seq"] + 100, pack(2, 1))
                for record in (everything, lift)
            ]
            await event_log.append(Stream.REVOCATIONS, forged)
        finally:
            await event_log.close()
        await until(lambda: agent.status().refused.get("key_ended", 0) >= len(forged), "all were refused")
        assert (rejection(agent, good), rejection(agent, bad)) == (None, RejectionCode.REVOKED)
        await replica.revoke(token=good)
        await refuses(agent, good)
        assert agent.status().forks == []


async def test_what_was_forged_before_a_theft_was_noticed_is_undone_by_the_succession(on_files: Installation) -> None:
    stolen = EventSigner(on_files.settings.issuer, EventKey(await private_event_key(on_files)))
    async with on_files.running() as replica, agent_of(on_files) as agent:
        bad = await replica.token(on_files.demo)
        good = await replica.token(on_files.demo)
        decided = await replica.revoke(token=bad)
        await refuses(agent, bad)
        now = agent._clock.now()
        lift = Lift(target=decided["seq"], expires_at=now + 3600.0)
        forged = stolen.sign(Stream.REVOCATIONS, decided["seq"] + 50, lift, time=now, txn="t")
        agent.verifier.apply(Stream.REVOCATIONS, forged.text)  # as from a log that the thief writes to
        assert rejection(agent, bad) is None

        await on_files.succeed()
        await caught_up(agent, 1)

        assert agent.status().begun_anew == 1
        assert (rejection(agent, good), rejection(agent, bad)) == (None, RejectionCode.REVOKED)


async def test_after_a_theft_all_is_said_again_and_what_was_forged_in_the_log_is_nobodys_doubt(
    on_files: Installation, tmp_path: Path
) -> None:
    stolen = EventSigner(on_files.settings.issuer, EventKey(await private_event_key(on_files)))
    async with on_files.running() as replica, agent_of(on_files) as agent:
        bad, good = await replica.token(on_files.demo), await replica.token(on_files.demo)
        decided = await replica.revoke(token=bad)
        await refuses(agent, bad)
        now = agent._clock.now()
        lift = Lift(target=decided["seq"], expires_at=now + 3600.0)
        event_log = open_log(on_files.settings.log)
        try:  # under the next number, before the issuer gives it
            forged = stolen.sign(Stream.REVOCATIONS, decided["seq"] + 1, lift, time=now, txn="t")
            await event_log.append(Stream.REVOCATIONS, [forged.text])
        finally:
            await event_log.close()
        await until(lambda: rejection(agent, bad) is None, "the thief has been believed")
        await replica.revoke(selector={"client_id": "somebody"})
        await until(lambda: agent.status().forks, "two events have one number")
        await published(replica)

        await on_files.succeed(stolen=True)
        await until(lambda: agent.status().begun_anew == 1, "the agent hears all of it anew")
    await Deployment(on_files, tmp_path).recover(everything=True)

    async with on_files.running(), agent_of(on_files) as agent:
        await caught_up(agent, 1)
        assert (rejection(agent, good), rejection(agent, bad)) == (None, RejectionCode.REVOKED)
        assert agent.status().forks == []


async def backed_up(installation: Installation, folder: Path) -> Deployment:
    """An installation that has run, and a backup of its store."""
    deployment = Deployment(installation, folder)
    async with installation.running():
        pass
    await deployment.back_up()
    return deployment


async def test_a_store_that_went_back_behind_a_succession_is_not_recovered_under_the_old_key(
    on_files: Installation, tmp_path: Path
) -> None:
    deployment = await backed_up(on_files, tmp_path)
    await on_files.succeed()
    async with on_files.running() as replica:
        await replica.revoke(token=await replica.token(on_files.demo))
        await published(replica)
    await deployment.restore()

    with pytest.raises(RecoveryRefused, match="has ended, by the log"):
        await deployment.recover()
    with pytest.raises(RecoveryRefused, match="has ended, by the log"):
        await recover_with(deployment, generate("ES256"))


async def test_a_store_that_went_back_behind_successions_goes_on_with_the_newest_key(
    on_files: Installation, tmp_path: Path
) -> None:
    deployment = await backed_up(on_files, tmp_path)
    async with on_files.running() as replica, agent_of(on_files) as agent:
        bad = await replica.token(on_files.demo)
        for _ in range(2):
            await on_files.succeed()
        await replica.revoke(token=bad)
        await published(replica)
        await caught_up(agent, 2)
    await deployment.restore()
    async with on_files.running() as replica:  # it halts, but people can still revoke
        await until(lambda: replica.services.relay.halted, "the relay has halted")
        other = await replica.token(on_files.demo)
        await replica.revoke(selector={"client_id": "somebody"})

    await recover_with(deployment, on_files.heirs[1])

    async with on_files.running() as replica, agent_of(on_files) as agent:
        await caught_up(agent, 2)
        assert (rejection(agent, bad), rejection(agent, other)) == (RejectionCode.REVOKED, None)
        assert agent.status().selectors == 1
        await on_files.succeed()
        await caught_up(agent, 3)


async def recover_with(deployment: Deployment, event_key: PrivateJwk) -> None:
    async with deployment.recovery(event_key=event_key) as recovery:
        await recovery.recover()


async def test_a_store_that_went_back_to_after_a_succession_is_recovered(
    on_files: Installation, tmp_path: Path
) -> None:
    deployment = Deployment(on_files, tmp_path)
    await on_files.succeed()
    async with on_files.running():
        pass
    await deployment.back_up()
    async with on_files.running() as replica:
        token = await replica.token(on_files.demo)
        await replica.revoke(token=token)
        await published(replica)
    await deployment.restore()

    await deployment.recover()

    async with on_files.running(), agent_of(on_files) as agent:
        await caught_up(agent, 1)
        assert rejection(agent, token) is RejectionCode.REVOKED


# -- lost


async def test_a_lost_key_is_answered_by_a_new_trust_file(installation: Installation, tmp_path: Path) -> None:
    heir, following = installation.heirs[-1], generate("ES256")
    async with installation.running() as replica:
        good, bad = await replica.token(installation.demo), await replica.token(installation.demo)
        await replica.revoke(token=bad)
        async with agent_of(installation) as agent:
            await refuses(agent, bad)
    async with succession_of(installation.settings, lost=True) as succession:
        with pytest.raises(Conflict, match="the successor of event key"):
            await succession.adopt(generate("ES256"), following["kid"], reason="lost", actor="tests")
        chain = await succession.adopt(heir, following["kid"], reason="lost", actor="tests")
    chain.trust.save(tmp_path / "anew.json")

    async with installation.running() as replica:
        later = await replica.token(installation.demo)
        await replica.revoke(token=later)
        async with agent_of(installation, start_timeout=0.5) as agent:  # with the file that it was given first
            await until(lambda: agent.status().refused.get(RefusalCode.UNKNOWN_KEY, 0), "the new key is unknown")
            assert agent.status().event_keys == [chain.keys[0].kid]
            assert agent.status().digests <= 1  # what the new key has revoked is not among them
        async with agent_of(installation, trust=tmp_path / "anew.json") as agent:
            await until(lambda: agent.is_ready, "all is heard, of both keys")
            assert [rejection(agent, each) for each in (good, bad, later)] == [
                None,
                RejectionCode.REVOKED,
                RejectionCode.REVOKED,
            ]
            installation.heirs.append(following)
            await installation.succeed()
            await caught_up(agent, 2)
    assert msgspec.json.decode((tmp_path / "anew.json").read_bytes())["ends"]
