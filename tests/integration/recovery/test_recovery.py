"""A store or log that goes back: the relay stops and says so, and a recovery loses no revocation and no agent."""

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest

from events import Heartbeat, Stream
from issuer.recovery.errors import LeaseHeld, NothingToRecover, RecoveryRefused
from issuer.revocations import parse_id
from tests.integration.recovery.deployments import Deployment
from tests.issuer_under_test import Credentials, Replica, rejection, until
from verifier_agent import Agent

on_both = pytest.mark.parametrize("deployment", ["files", "servers"], indirect=True)
BACK_SECONDS = 60.0


@dataclass
class Tokens:
    """Tokens of clients of their own, and which of them have been revoked so that somebody was told so."""

    deployment: Deployment
    clients: dict[str, Credentials] = field(default_factory=dict)
    revoked: dict[str, str] = field(default_factory=dict)
    good: dict[str, str] = field(default_factory=dict)

    async def register(self, *names: str) -> None:
        for name in names:
            self.clients[name] = await self.deployment.installation.client(name, audiences=("orders",))

    async def mint(self, issuer: Replica) -> None:
        for name, client in self.clients.items():
            if name not in self.revoked:
                self.good[name] = await issuer.token(client)

    async def revoke(self, issuer: Replica, name: str, *, token: bool = False, published: bool = True) -> str:
        """Revoke the client's token, by itself or by its client; the revocation's number."""
        what = {"token": self.good[name]} if token else {"selector": {"client_id": name}}
        answer = await issuer.admin(
            "POST", "/revocations", {"reason": "x", **what}, Prefer="wait=30" if published else ""
        )
        assert (answer.status, answer.json()["published"]) == (201, published), answer
        self.revoked[name] = self.good.pop(name)
        number: str = answer.json()["id"]
        return number

    def hold_at(self, agent: Agent) -> bool:
        """Whether the agent refuses what was revoked, and that alone."""
        return self.refused_by(agent) and all(rejection(agent, token) is None for token in self.good.values())

    def refused_by(self, agent: Agent) -> bool:
        return all(rejection(agent, token) == "revoked" for token in self.revoked.values())

    async def hold_at_issuer(self, issuer: Replica) -> bool:
        active = {name: await issuer.active(token, self.clients[name]) for name, token in self.revoked.items()}
        return not any(active.values())


async def is_halted(issuer: Replica) -> bool:
    answer = await issuer.send("GET", "/readyz")
    return bool(answer.json()["relay"] == "halted")


async def is_told(deployment: Deployment, revocation: str) -> bool:
    """Whether the newest heartbeat in the log knows of it."""
    beats = await deployment.installation.said(Stream.HEARTBEATS)
    record = beats[-1].record
    assert isinstance(record, Heartbeat)
    return record.heads[Stream.REVOCATIONS].head >= parse_id(revocation)


def is_well(agent: Agent) -> bool:
    """Whether it knows everything, newly, and has no contradiction to report."""
    status = agent.status()
    return status.ready and not status.stale and not status.forks and not status.holes and (status.freshness or 9) < 3


@pytest.fixture
async def tokens(deployment: Deployment) -> Tokens:
    tokens = Tokens(deployment)
    await tokens.register("before", "after", "later", "branch", "finally", "never")
    return tokens


async def lose(tokens: Tokens, agents: AsyncExitStack) -> Agent:
    """Back the store up, revoke, and restore it; an agent that heard everything."""
    deployment = tokens.deployment
    async with deployment.installation.running() as issuer:
        await tokens.mint(issuer)
        await tokens.revoke(issuer, "before")
    await deployment.back_up()
    async with deployment.installation.running() as issuer:
        agent = await agents.enter_async_context(deployment.installation.agent())
        await tokens.revoke(issuer, "after", token=True)
        last = await tokens.revoke(issuer, "later")
        await until(lambda: tokens.hold_at(agent), "the agent knows all of it", BACK_SECONDS)
        await until(lambda: is_told(deployment, last), "a heartbeat tells of it", BACK_SECONDS)
    await deployment.restore()
    return agent


async def goes_on(tokens: Tokens, old: Agent) -> None:
    """Everybody refuses what was ever revoked, agents old and new, and the next revocation reaches them."""
    installation = tokens.deployment.installation
    async with installation.running() as issuer, installation.agent() as new:
        await tokens.revoke(issuer, "finally")
        for agent in (old, new):
            await until(lambda agent=agent: is_well(agent), "the agent is fresh and content", BACK_SECONDS)  # type: ignore[misc]
            await until(lambda agent=agent: tokens.hold_at(agent), "the agent knows what is revoked", BACK_SECONDS)  # type: ignore[misc]
        assert await tokens.hold_at_issuer(issuer)
        assert await issuer.active(tokens.good["never"], tokens.clients["never"])
        afresh = await issuer.token(tokens.clients["later"])
        assert rejection(old, afresh) is None
        assert rejection(new, afresh) is None


@on_both
async def test_what_was_revoked_after_the_backup_is_taken_over_from_the_log(
    deployment: Deployment, tokens: Tokens
) -> None:
    async with AsyncExitStack() as agents:
        old = await lose(tokens, agents)
        async with deployment.installation.running() as issuer:
            await until(lambda: is_halted(issuer), "the relay has halted", BACK_SECONDS)
            said = (await issuer.send("GET", "/readyz")).json()["relay_halted"]
            assert said.endswith("; run: tocsin recover")
            metrics = (await issuer.send("GET", "/metrics")).body.decode()
            assert 'tocsin_relay_state{state="halted"} 1.0' in metrics
            assert tokens.refused_by(old)
            assert await issuer.active(tokens.revoked["after"], tokens.clients["after"])  # it does not know

        found = await deployment.recover()

        assert (found.recovered, found.published, found.incarnation) == (True, True, 2)
        assert [stream.imported for stream in found.streams if stream.stream == "revocations"] == [2]
        await goes_on(tokens, old)
        with pytest.raises(NothingToRecover):
            await deployment.recover()


@on_both
async def test_where_one_number_has_two_contents_both_revocations_hold(deployment: Deployment, tokens: Tokens) -> None:
    async with AsyncExitStack() as agents:
        old = await lose(tokens, agents)
        async with deployment.installation.running() as issuer:
            await until(lambda: is_halted(issuer), "the relay has halted", BACK_SECONDS)
            forked = await tokens.revoke(issuer, "branch", published=False)
            await issuer.admin("POST", f"/revocations/{'1.2'}/lift", {"reason": "x"})

        found = await deployment.recover()

        revocations = next(stream for stream in found.streams if stream.stream == "revocations")
        assert forked in revocations.forked
        assert found.said_again
        await goes_on(tokens, old)


async def test_a_relay_that_has_halted_goes_on_after_the_recovery(deployment: Deployment, tokens: Tokens) -> None:
    async with AsyncExitStack() as agents:
        old = await lose(tokens, agents)
        async with deployment.installation.running() as issuer:
            await until(lambda: is_halted(issuer), "the relay has halted", BACK_SECONDS)
            await tokens.revoke(issuer, "branch", published=False)

            await deployment.recover()

            await until(lambda: not issuer.services.relay.halted, "the relay goes on")
            await tokens.revoke(issuer, "finally")
            await until(lambda: is_well(old), "the agent is fresh and content", BACK_SECONDS)
            assert await tokens.hold_at_issuer(issuer)
            assert tokens.hold_at(old)


@on_both
async def test_a_log_that_was_emptied_under_an_older_store_is_forced(deployment: Deployment, tokens: Tokens) -> None:
    async with AsyncExitStack() as agents:
        old = await lose(tokens, agents)
        await deployment.empty_log(Stream.KEYS, Stream.REVOCATIONS, Stream.HEARTBEATS)
        async with deployment.installation.running() as issuer:  # it cannot notice
            await tokens.revoke(issuer, "branch")
            await until(lambda: bool(old.status().forks), "the agent says so", BACK_SECONDS)
        with pytest.raises(NothingToRecover):
            await deployment.recover()

        await deployment.recover(everything=True)

        for lost in ("after", "later"):  # neither store nor log has them; who has heard of them keeps them
            assert rejection(old, tokens.revoked[lost]) == "revoked"
            del tokens.revoked[lost]
        await goes_on(tokens, old)


@on_both
async def test_a_log_that_lost_its_tail_and_kept_its_heartbeats_tells_of_what_is_lost(
    deployment: Deployment, tokens: Tokens
) -> None:
    async with AsyncExitStack() as agents:
        old = await lose(tokens, agents)
        await deployment.empty_log(Stream.REVOCATIONS)
        async with deployment.installation.running() as issuer:
            await until(lambda: is_halted(issuer), "the relay has halted", BACK_SECONDS)

        found = await deployment.recover()

        assert next(stream for stream in found.streams if stream.stream == "revocations").lost
        for lost in ("after", "later"):
            assert rejection(old, tokens.revoked.pop(lost)) == "revoked"
        await goes_on(tokens, old)


@on_both
async def test_a_log_that_was_emptied_over_a_whole_store_needs_no_recovery(
    deployment: Deployment, tokens: Tokens
) -> None:
    async with AsyncExitStack() as agents:
        async with deployment.installation.running() as issuer:
            await tokens.mint(issuer)
            old = await agents.enter_async_context(deployment.installation.agent())
            await tokens.revoke(issuer, "before")
            await until(lambda: tokens.hold_at(old), "the agent knows of it", BACK_SECONDS)
        await deployment.empty_log(Stream.KEYS, Stream.REVOCATIONS, Stream.HEARTBEATS)

        found = await deployment.recover()

        assert (found.recovered, found.published) == (False, True)
        await goes_on(tokens, old)


async def test_a_dry_run_changes_nothing(deployment: Deployment, tokens: Tokens) -> None:
    async with AsyncExitStack() as agents:
        old = await lose(tokens, agents)
        before = await deployment.installation.said(Stream.REVOCATIONS)
        async with deployment.recovery(migrating=False) as recovery:
            found = await recovery.look()
        assert found.needed
        assert not found.recovered
        assert [event.digest for event in await deployment.installation.said(Stream.REVOCATIONS)] == [
            event.digest for event in before
        ]

        assert (await deployment.recover()).recovered
        await goes_on(tokens, old)


async def test_an_issuer_that_publishes_is_not_recovered_under(deployment: Deployment) -> None:
    async with deployment.installation.running() as issuer:
        await until(lambda: issuer.services.relay.is_publishing, "the relay publishes")
        with pytest.raises(LeaseHeld, match="stop the issuers"):
            await deployment.recover(everything=True)


async def test_a_log_of_another_event_key_is_refused_by_name(deployment: Deployment) -> None:
    async with deployment.installation.running() as issuer:
        await issuer.revoke(jti="x")
        await until(lambda: issuer.services.relay.is_publishing, "the relay publishes")
    for left in deployment.folder.glob("store.db*"):
        left.unlink()
    (deployment.folder / "other").mkdir()
    other = await type(deployment.installation).create(
        deployment.folder / "other",
        log=deployment.installation.settings.log,
        issuer=deployment.installation.settings.issuer,
    )
    with pytest.raises(RecoveryRefused, match="another event key"):
        await Deployment(other, deployment.folder).recover(everything=True)


KILLED = """
import asyncio, os, sys
from issuer.offline import recovery_of
from issuer.settings import IssuerSettings
from verifier_agent import Sources

def progress(step):
    if step.startswith(sys.argv[1]):
        os._exit(9)

async def main():
    async with recovery_of(Sources.find(os.environ).read(IssuerSettings), progress) as recovery:
        await recovery.recover()

asyncio.run(main())
"""


async def run(deployment: Deployment, *command: str) -> tuple[int, bytes]:
    settings = deployment.installation.settings
    names = ("issuer", "store", "log", "kek_file", "audience")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        env={**os.environ, **{f"TOCSIN_{name.upper()}": str(getattr(settings, name)) for name in names}},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out


@on_both
async def test_it_may_be_killed_at_any_step_and_run_again(deployment: Deployment, tokens: Tokens) -> None:
    async with AsyncExitStack() as agents:
        old = await lose(tokens, agents)
        for step in ("taking", "reading", "comparing", "changing", "committing", "publishing"):
            assert (await run(deployment, "-c", KILLED, step))[0] == 9

        code, out = await run(deployment, "-m", "tocsin", "recover", "--json")

        assert code == 0, out
        assert json.loads(out)["published"]
        await goes_on(tokens, old)


async def test_the_command_tells_what_it_found(deployment: Deployment, tokens: Tokens) -> None:
    async with AsyncExitStack() as agents:
        old = await lose(tokens, agents)
        dry, found = await run(deployment, "-m", "tocsin", "recover", "--dry-run")
        done, said = await run(deployment, "-m", "tocsin", "recover")

        assert (dry, done) == (0, 0)
        assert b"2 events that the store lacked are taken over from the log" in found
        assert b"nothing was changed" in found
        assert b"the streams go on as 2.1" in said
        again, _ = await run(deployment, "-m", "tocsin", "recover")
        assert again == 1
        await goes_on(tokens, old)
