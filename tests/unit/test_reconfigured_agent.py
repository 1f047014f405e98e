"""An agent that goes on by other settings."""

from pathlib import Path

import msgspec
import pytest

from events.log.memory import MemoryLog
from tests.simulator import AUDIENCE, IssuerSimulator, publish
from verifier_agent import Agent, AgentSettings, OnStale, RejectionCode, TokenRejected, VerificationUnavailable


@pytest.fixture
async def agent(issuer: IssuerSimulator, tmp_path: Path) -> Agent:
    trust, kept = tmp_path / "trust.json", MemoryLog()
    issuer.trust.save(trust)
    await publish(kept, *issuer.said, issuer.beat())
    settings = AgentSettings(log="memory:", trust=trust, audience=AUDIENCE)
    return Agent(settings, open_event_log=lambda: kept, clock=issuer.clock)


def code_of(agent: Agent, token: str) -> RejectionCode | None:
    try:
        agent.verify(token)
    except TokenRejected as rejected:
        return rejected.code
    return None


async def test_each_rule_holds_for_the_next_call_also_for_tokens_seen_before(
    agent: Agent, issuer: IssuerSimulator
) -> None:
    token = issuer.token()
    async with agent:
        settings = agent._settings
        assert code_of(agent, token) is None

        agent.reconfigure(msgspec.structs.replace(settings, audience="billing"))
        assert code_of(agent, token) is RejectionCode.WRONG_AUDIENCE

        agent.reconfigure(settings)
        assert code_of(agent, token) is None

        issuer.clock.advance(2.0)
        agent.reconfigure(msgspec.structs.replace(settings, max_staleness=1.0))
        with pytest.raises(VerificationUnavailable):
            agent.verify(token)
        assert agent.status().stale

        agent.reconfigure(msgspec.structs.replace(settings, max_staleness=1.0, on_stale=OnStale.ALLOW))
        assert code_of(agent, token) is None


async def test_what_takes_a_restart_stays_as_it_is(agent: Agent) -> None:
    settings = agent._settings

    agent.reconfigure(msgspec.structs.replace(settings, log="memory:other", cache_size=3))

    assert (agent._settings.log, agent._settings.cache_size) == ("memory:", 3)


async def test_a_smaller_cache_lets_go_and_a_larger_one_holds_more(agent: Agent, issuer: IssuerSimulator) -> None:
    tokens = [issuer.token(sub=f"user-{number}") for number in range(8)]
    async with agent:
        for size in (2, 8, 0):
            agent.reconfigure(msgspec.structs.replace(agent._settings, cache_size=size))
            for token in tokens:
                agent.verify(token)
            assert len(agent.verifier.verified) == size
