"""Runs one cell: a fault, with revocations before, during and after it, and agents that verify meanwhile."""

import asyncio
import math
import time
from typing import Final

from tests.faults.fault import Fault
from tests.faults.footprint import Footprint
from tests.faults.leaks import Leaks
from tests.faults.operator_at_work import OperatorAtWork
from tests.faults.system import System
from tests.faults.verdict import (
    FRESH_SECONDS,
    Result,
    Times,
    accepted_wrongly,
    complaints,
    p99,
    refused_beyond_policy,
    slowest_refusals,
    stalest,
)

GOOD: Final = 125
"""Tokens: five that are seen before, and more of the others than an agent remembers."""
AFTER_SECONDS: Final = 2.0
WARM_UP_SECONDS: Final = 1.0
FRESH_AGAIN_SECONDS: Final = 45.0
ENFORCED_SECONDS: Final = 45.0
AT_REST_SECONDS: Final = 60.0
"""Within which agents read their first log alone again: they do when it has been good for ten."""


class NotWell(Exception):
    """The installation is not as it should be before a fault; another one is needed."""


class CellRun:
    """One cell, on a system that runs."""

    def __init__(self, system: System, fault: Fault, *, before: float, during: float, apart: bool = True) -> None:
        """Set up.

        Args:
            system: on which.
            fault: what breaks.
            before: seconds to watch it well.
            during: seconds that the fault lasts.
            apart: whether it is judged by itself: agents know nothing of former faults, and what the fault has cost is
                given back before the next. Else the next comes at once, and nothing counts as leaked yet.
        """
        self._system = system
        self._fault = fault
        self._before = before
        self._during = during
        self._apart = apart

    async def run(self) -> Result:
        """Break, mend, and judge.

        Raises:
            NotWell: the system was not well to begin with.
        """
        system = self._system
        operator = await self._begin()
        restarts, lines = system.issuer_restarts, {name: len(each.log) for name, each in system.children().items()}
        held = await system.footprints()
        times, fresh_again = await self._break_and_mend(operator)
        lost = await self._lost(operator)
        leaks = await Leaks.of(system, held, AT_REST_SECONDS) if self._apart else await self._a_look(held)
        seen = await system.seen()
        before, ratio, noise = p99(seen, times)
        agents = [agent for worker in seen for agent in worker.agents.values()]
        return Result(
            cell=self._fault.cell,
            verified=sum(agent.accepted for agent in agents),
            refused=refused_beyond_policy(seen, operator.decisions),
            unable=sum(agent.unable for agent in agents),
            accepted=accepted_wrongly(seen, operator.decisions),
            decided=operator.count(),
            lost=lost,
            heard=slowest_refusals(seen, operator.decisions),
            p99_before=before,
            p99_ratio=ratio,
            p99_noise=noise,
            stalest=stalest(seen),
            fresh_again=fresh_again,
            errors=[
                f"{name}: {line[:500]}"
                for name, child in system.children().items()
                for line in complaints(child.log[lines[name] :])
            ],
            leaked=leaks.found if self._apart else [],
            grown=leaks.grown,
            restarts=system.issuer_restarts - restarts,
        )

    async def _begin(self) -> OperatorAtWork:
        """Everybody as if nothing had ever been wrong, and new tokens."""
        system = self._system
        if self._apart:
            await system.renew_workers()
        wanted = GOOD + math.ceil(self._before) + math.ceil(self._during) + math.ceil(AFTER_SECONDS) + 3
        tokens = [await system.client.token(system.installation.demo) for _ in range(wanted)]
        victims = {f"victim-{number}": token for number, token in enumerate(tokens[GOOD:])}
        await system.begin_load(tokens[:GOOD], victims)
        if not await system.until(self._is_fresh):
            raise NotWell(f"not fresh: {await system.ages()}")
        await asyncio.sleep(WARM_UP_SECONDS)
        await system.begin_load(tokens[:GOOD], victims)
        return OperatorAtWork(system.client, await system.client.token(system.installation.operator), victims)

    async def _break_and_mend(self, operator: OperatorAtWork) -> tuple[Times, dict[str, float | None]]:
        """Also how long it took from the end of the fault until each agent was fresh."""
        await operator.work("before", self._before)
        begun = time.time()
        breaking = asyncio.create_task(operator.work("during", self._during))
        await self._fault.begin(self._system)
        await breaking
        mending = time.time()
        await self._fault.mend(self._system)
        times = Times(begun=begun, mending=mending, mended=time.time())
        fresh_again = await self._fresh_again(times.mended)
        await operator.work("after", AFTER_SECONDS)
        await operator.done()
        return times, fresh_again

    async def _is_fresh(self) -> bool:
        return all(map(_fresh, (await self._system.ages()).values()))

    async def _fresh_again(self, since: float) -> dict[str, float | None]:
        times: dict[str, float | None] = dict.fromkeys(await self._system.ages())

        async def all_fresh() -> bool:
            for name, age in (await self._system.ages()).items():
                if times[name] is None and _fresh(age):
                    times[name] = time.time() - since
            return None not in times.values()

        await self._system.until(all_fresh, FRESH_AGAIN_SECONDS)
        return times

    async def _lost(self, operator: OperatorAtWork) -> list[str]:
        """Acknowledged revocations that some agent does not enforce, one that comes new included."""
        decided = operator.decided()
        missing: list[str] = []

        async def enforced() -> bool:
            nonlocal missing
            missing = [
                f"{victim} at {name}"
                for name, agent in (await self._system.current()).items()
                for victim in decided
                if agent.victims[victim].refused is None
            ]
            return not missing

        await self._system.until(enforced, ENFORCED_SECONDS)
        new = {"config": str(self._system.config("plain")), "tokens": decided}
        return missing + [
            f"{victim} at a newcomer" for victim in await self._system.workers["one"].ask({"newcomer": new})
        ]

    async def _a_look(self, before: dict[str, Footprint]) -> Leaks:
        leaks = Leaks(before, self._system.bounds())
        leaks.look(await self._system.footprints())
        return leaks


def _fresh(age: float | None) -> bool:
    return age is not None and age <= FRESH_SECONDS
