"""What many revocations add to the cost of verifying a token that none of them hits."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from events import Revoke, Selector, pack
from tocsin.verification.issuer import CACHE_SIZE, MeasuredIssuer, digest_batches, hear
from tocsin.verification.measurement import anew, chunked
from tocsin.verification.stopwatch import Contender, Timing, Verify, race
from verifier_agent import Agent

TOKENS: Final = 500
FAR: Final = 1 << 30
"""Cutoffs are numbered from here, so that they stay clear of the events that are signed."""


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """Times in microseconds for one token; each pair was taken in turns.

    Attributes:
        digests: revoked one by one.
        cutoffs: revoked subjects.
        cold: first time, cache off, and nothing revoked.
        cold_loaded: the same with all this revoked.
        cold_more: what that is more, in each of three stretches.
        moved: again, after one more revocation, and nothing else revoked.
        moved_loaded: the same with all this revoked.
    """

    digests: int
    cutoffs: int
    cold: float
    cold_loaded: float
    cold_more: tuple[float, ...]
    moved: float
    moved_loaded: float


def measure_load(seconds: float, digests: int, cutoffs: int) -> LoadResult:
    """RS256 tokens, whose signature is the quickest to check, so the difference is the clearest."""
    issuer = MeasuredIssuer("RS256", TOKENS)
    agents = {name: _agent(issuer, name) for name in ("cold", "cold_loaded", "moved", "moved_loaded")}
    loaded = [agent for name, agent in agents.items() if name.endswith("loaded")]
    revoke_digests(issuer, digests, *loaded)
    revoke_subjects(issuer, cutoffs, *loaded)
    contenders = [Contender(name, _preparing(issuer, name, agent)) for name, agent in agents.items()]
    timings = race(contenders, seconds)
    return LoadResult(
        digests=digests,
        cutoffs=cutoffs,
        cold_more=_more(timings["cold"], timings["cold_loaded"]),
        **{name: timing.microseconds for name, timing in timings.items()},
    )


def revoke_digests(issuer: MeasuredIssuer, count: int, *agents: Agent) -> None:
    """Revoke so many single tokens, none of them ours, by signed events."""
    for packed in digest_batches(count):
        event = issuer.revoke_digests(packed)
        for agent in agents:
            hear(agent, event)


def revoke_subjects(issuer: MeasuredIssuer, count: int, *agents: Agent) -> None:
    """Revoke so many strangers. They go in behind the signature check: signing that many would take longest of all."""
    for number in range(count):
        record = Revoke(selector=Selector.of(sub=f"revoked-{number}"), expires_at=issuer.ends)
        for agent in agents:
            agent.verifier.state.revocations.revoke(pack(1, FAR + number), issuer.now, record)
    last = issuer.unrelated()
    for agent in agents:
        hear(agent, last)  # an event, so that the epoch moves


def _agent(issuer: MeasuredIssuer, name: str) -> Agent:
    agent = issuer.agent(cache_size=0 if name.startswith("cold") else CACHE_SIZE)
    for token in issuer.tokens:
        agent.verify(token)
    return agent


def _preparing(issuer: MeasuredIssuer, name: str, agent: Agent) -> Callable[[], tuple[Verify, Sequence[str]]]:
    chunks = chunked(issuer.tokens)

    def cold() -> tuple[Verify, Sequence[str]]:
        return agent.verify, anew(next(chunks))

    def moved() -> tuple[Verify, list[str]]:
        hear(agent, issuer.unrelated())
        return agent.verify, anew(next(chunks))

    return cold if name.startswith("cold") else moved


def _more(without: Timing, with_them: Timing) -> tuple[float, ...]:
    return tuple(more - less for less, more in zip(without.stretches, with_them.stretches, strict=True))
