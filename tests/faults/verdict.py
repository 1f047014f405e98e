"""Judges what was seen of one cell of the matrix. The goals are those of the issue; all of them are 0 but for two."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from tests.faults.seen import AgentSeen, Slice, WorkerSeen

FRESH_SECONDS: Final = 1.5
"""An agent is fresh when it knew everything so long ago at most: a heartbeat comes each second."""
FRESH_AGAIN_GOAL: Final = 2.0
RATIO_GOAL: Final = 1.1
MEMORY_GOAL: Final = 8.0
"""Megabytes by which a process may have grown: so much do allocators keep back. The soak shows what goes on growing."""
SIGNS_OF_TROUBLE: Final = ("Traceback", "never retrieved", "never awaited", "Exception ignored", "Unclosed")


class Decision(msgspec.Struct, kw_only=True):
    """A revocation that was asked for. Times are seconds since the epoch.

    Attributes:
        victim: name of the token.
        phase: ``before``, ``during`` or ``after``.
        asked: when it was sent.
        answered: when the issuer had acknowledged it; ``None`` when it never did, and nobody knows what became of it.
    """

    victim: str
    phase: str
    asked: float
    answered: float | None = None


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds since the epoch.

    Attributes:
        begun: when the fault began.
        mending: when its end began: servers that start then keep the processors busy.
        mended: when it had ended.
    """

    begun: float
    mending: float
    mended: float


class Result(msgspec.Struct, kw_only=True):
    """A cell of the matrix, measured.

    Attributes:
        cell: its name.
        verified: good tokens that were accepted.
        refused: good tokens that were refused beyond policy.
        unable: times that an agent could not say as its policy has it.
        accepted: revoked tokens that were accepted after the agent had said that it knew better.
        decided: revocations that were acknowledged: before, during and after the fault.
        lost: acknowledged revocations that some agent does not enforce in the end.
        heard: for each agent, seconds from the answer to its refusal, of those decided during the fault, the slowest.
        p99_before: microseconds of one verification, in the process where the ratio is the worst.
        p99_ratio: during the fault to before.
        p99_noise: the second worst second before to the middle one.
        stalest: for each agent, most seconds since it knew everything.
        fresh_again: for each agent, seconds from the end of the fault until it was fresh; ``None``: never.
        errors: unhandled ones, in the logs of issuer and agents.
        leaked: tasks and descriptors that were not given back.
        grown: megabytes that the process holds more that has grown the most.
        restarts: how often the issuer ended by itself.
    """

    cell: str
    verified: int
    refused: int
    unable: int
    accepted: int
    decided: list[int]
    lost: list[str]
    heard: dict[str, float]
    p99_before: float
    p99_ratio: float
    p99_noise: float
    stalest: dict[str, float]
    fresh_again: dict[str, float | None]
    errors: list[str]
    leaked: list[str]
    grown: float
    restarts: int = 0

    @property
    def missed(self) -> list[str]:
        """Goals that it misses, by name."""
        goals = {
            "refused": self.refused == 0,
            "accepted": self.accepted == 0,
            "lost": not self.lost,
            "p99": self.p99_ratio <= max(RATIO_GOAL, self.p99_noise),
            "fresh again": all(each is not None and each <= FRESH_AGAIN_GOAL for each in self.fresh_again.values()),
            "errors": not self.errors,
            "leaked": not self.leaked and self.grown <= MEMORY_GOAL,
        }
        return [name for name, met in goals.items() if not met]


def refused_beyond_policy(seen: Iterable[WorkerSeen], decisions: Sequence[Decision]) -> int:
    """Good tokens that were refused, those included that were refused before their revocation was asked for."""
    asked = {each.victim: each.asked for each in decisions}
    count = 0
    for agent in _agents(seen):
        count += sum(agent.refused.values()) + agent.unable_beyond_policy
        for name, victim in agent.victims.items():
            count += victim.refused is not None and victim.refused < asked.get(name, math.inf)
    return count


def accepted_wrongly(seen: Iterable[WorkerSeen], decisions: Sequence[Decision]) -> int:
    """Revoked tokens that an agent accepted though it said that it knew everything up to a moment after the answer.

    So are those that it accepted after having refused them, and any that it accepted while staler than it may be.
    """
    answered = {each.victim: each.answered for each in decisions if each.answered is not None}
    count = 0
    for agent in _agents(seen):
        count += agent.too_stale
        for name, victim in agent.victims.items():
            count += victim.taken_back or victim.known_to > answered.get(name, math.inf)
    return count


def slowest_refusals(seen: Sequence[WorkerSeen], decisions: Sequence[Decision]) -> dict[str, float]:
    """For each agent, seconds from the answer to its refusal, of the slowest that was decided during the fault."""
    during = {each.victim: each.answered for each in decisions if each.phase == "during" and each.answered is not None}
    slowest: dict[str, float] = {}
    for name, agent in _named_agents(seen):
        for victim, answered in during.items():
            refused = agent.victims[victim].refused
            if refused is not None:
                slowest[name] = max(slowest.get(name, 0.0), refused - answered)
    return slowest


def stalest(seen: Iterable[WorkerSeen]) -> dict[str, float]:
    """For each agent, the most seconds since it knew everything."""
    found: dict[str, float] = {}
    for name, agent in _named_agents(seen):
        found[name] = max(found.get(name, 0.0), agent.stalest)
    return found


def p99(seen: Sequence[WorkerSeen], times: Times) -> tuple[float, float, float]:
    """Of one verification: before the fault (microseconds), during it to before, and how much that differs in health.

    Each second's is divided by that of bare signature checks made beside it, as other programs take the processors now
    and then. Of each process, the middle of its seconds; the process that was hit the hardest. What differs in health
    is the second worst second before to the middle one.
    """
    found = []
    for worker in seen:
        before = [each for each in worker.slices if each.end <= times.begun]
        during = [each.p99 / each.bare for each in worker.slices if _within(each, times)]
        if before and during:
            healthy = sorted(each.p99 / each.bare for each in before)
            middle = statistics.median(healthy)
            microseconds = statistics.median(each.p99 for each in before)
            found.append((microseconds, statistics.median(during) / middle, healthy[-2:][0] / middle))
    return max(found, key=lambda each: each[1] / max(RATIO_GOAL, each[2]), default=(math.nan, 1.0, 1.0))


def complaints(lines: Iterable[str]) -> list[str]:
    """What in a log nobody should ever see."""
    return [line for line in lines if _is_trouble(line)]


def _within(each: Slice, times: Times) -> bool:
    """Whether a second lies within the fault, its first left out."""
    return times.begun + 1.0 < each.end <= times.mending


def _is_trouble(line: str) -> bool:
    try:
        event: dict[str, Any] = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return any(sign in line for sign in SIGNS_OF_TROUBLE)
    return event.get("level") in ("error", "critical") or "exception" in event


def _agents(seen: Iterable[WorkerSeen]) -> Iterable[AgentSeen]:
    return (agent for _, agent in _named_agents(seen))


def _named_agents(seen: Iterable[WorkerSeen]) -> Iterable[tuple[str, AgentSeen]]:
    return (pair for worker in seen for pair in worker.agents.items())
