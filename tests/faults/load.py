"""Verifies all the time, and keeps account of every verdict."""

import asyncio
import itertools
import time
from collections.abc import Iterator, Mapping
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.faults.seen import AgentSeen, Slice, Victim, WorkerSeen
from verifier_agent import Agent, RejectionCode, TokenRejected, VerificationUnavailable

TURN_SECONDS: Final = 0.01
HOT: Final = 5
"""Verifications of tokens seen before, of one turn and agent; one more is of a token that is not remembered."""
RANK: Final = 0.01
"""Of the slowest verifications that count: six times as rare among bare signature checks."""
ES256: Final = ec.ECDSA(hashes.SHA256())
SIGNED: Final = bytes(400)
SLICE_SECONDS: Final = 1.0
SLACK_SECONDS: Final = 0.02
"""Between two looks at a clock."""


class Load:
    """Of the agents of one process.

    Attributes:
        seen: the account.
    """

    def __init__(self, agents: Mapping[str, Agent], patience: Mapping[str, float]) -> None:
        """Set up; there are no tokens yet.

        Args:
            agents: by name.
            patience: the greatest staleness in seconds that the policy of each allows.
        """
        self.seen = WorkerSeen()
        self._agents = agents
        self._patience = patience
        self._hot: Iterator[str] = iter(())
        self._cold: Iterator[str] = iter(())
        self._victims: dict[str, str] = {}
        self._turns = 0
        self._times: list[int] = []
        self._bare_times: list[int] = []
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._signature = self._key.sign(SIGNED, ES256)
        self._public = self._key.public_key()

    def begin(self, good: list[str], victims: dict[str, str]) -> None:
        """Take new tokens, and begin a new account.

        Args:
            good: more of them than an agent remembers.
            victims: by name.
        """
        self._hot, self._cold = itertools.cycle(good[:HOT]), itertools.cycle(good[HOT:])
        self._victims = victims
        self._times, self._bare_times = [], []
        self.seen = WorkerSeen(
            agents={name: AgentSeen(victims={each: Victim() for each in victims}) for name in self._agents}
        )

    async def run(self) -> None:
        """Verify until cancelled."""
        clock = asyncio.get_running_loop().time
        due = slice_end = clock()
        stall = 0.0
        while True:
            due += TURN_SECONDS
            await asyncio.sleep(max(0.0, due - clock()))
            stall = max(stall, clock() - due)
            due = max(due, clock() - TURN_SECONDS)  # a process that was frozen does not make up for it
            for name, seen in self.seen.agents.items():
                self._verify_good(name, seen)
                self._verify_victims(self._agents[name], seen)
            self._turns += 1
            if clock() >= slice_end + SLICE_SECONDS:
                self._end_slice(stall)
                slice_end, stall = clock(), 0.0

    def _verify_good(self, name: str, seen: AgentSeen) -> None:
        agent, patience = self._agents[name], self._patience[name]
        too_stale = _staler(agent, patience + SLACK_SECONDS)
        seen.stalest = max(seen.stalest, agent.freshness() or 0.0)
        started = time.perf_counter_ns()
        self._public.verify(self._signature, SIGNED, ES256)
        self._bare_times.append(time.perf_counter_ns() - started)
        for token in [next(self._cold), *itertools.islice(self._hot, HOT)]:
            started = time.perf_counter_ns()
            try:
                agent.verify(token)
            except TokenRejected as rejected:
                seen.refused[rejected.code] = seen.refused.get(rejected.code, 0) + 1
            except VerificationUnavailable:
                if _staler(agent, patience):
                    seen.unable += 1
                else:
                    seen.unable_beyond_policy += 1
            else:
                self._times.append(time.perf_counter_ns() - started)
                seen.accepted += 1
                # Looked at again: it may be starting from what it saved, in a thread.
                seen.too_stale += too_stale and _staler(agent, patience)

    def _verify_victims(self, agent: Agent, seen: AgentSeen) -> None:
        """In turn, one of those that have not been refused, and one of those that have."""
        open_ones = [name for name, victim in seen.victims.items() if victim.refused is None]
        refused = [name for name, victim in seen.victims.items() if victim.refused is not None]
        for names in (open_ones, refused):
            if names:
                self._verify_victim(agent, seen, names[self._turns % len(names)])

    def _verify_victim(self, agent: Agent, seen: AgentSeen, name: str) -> None:
        victim, known_to = seen.victims[name], knows_up_to(agent)
        try:
            agent.verify(self._victims[name])
        except TokenRejected as rejected:
            if rejected.code is not RejectionCode.REVOKED:
                seen.refused[rejected.code] = seen.refused.get(rejected.code, 0) + 1
            elif victim.refused is None:
                victim.refused = time.time()
        except VerificationUnavailable:
            return
        else:
            victim.known_to, victim.accepted = max(victim.known_to, known_to), time.time()
            victim.taken_back |= victim.refused is not None

    def _end_slice(self, stall: float) -> None:
        times, bare = sorted(self._times, reverse=True), sorted(self._bare_times, reverse=True)
        self._times, self._bare_times = [], []
        if times:
            p99 = times[int(RANK * len(times))] / 1000
            as_rare = bare[int(RANK * (HOT + 1) * len(bare))] / 1000
            self.seen.slices.append(Slice(end=time.time(), p99=p99, bare=as_rare, stall=1000 * stall))


def knows_up_to(agent: Agent) -> float:
    """Up to when it claims to know everything, seconds since the epoch: never later than it claims."""
    now, age = time.time(), agent.freshness()
    return 0.0 if age is None else now - age


def _staler(agent: Agent, limit: float) -> bool:
    age = agent.freshness()
    return age is None or age > limit
