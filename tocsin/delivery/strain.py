"""Whether verifying feels that Redis or Kafka has fallen silent: an agent for which it has beside one for which not."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from tocsin.delivery.reach import expect, fetch_token
from tocsin.delivery.silence import BLACK_HOLE, HUNG
from tocsin.delivery.site import Site, Workers
from verifier_agent import Agent

FAULTS: Final = {"redis": HUNG, "kafka": BLACK_HOLE}
TURNS: Final = 4
SLICE_SECONDS: Final = 0.5
AT_ONCE: Final = 8
"""Verifications between two turns of everything else on the event loop."""
TOKENS: Final = 20
FRESH_SECONDS: Final = 3.0
RECOVERY_SECONDS: Final = 60.0


class StrainResult(msgspec.Struct, frozen=True, kw_only=True):
    """Verifications of tokens never seen before, while a service is as usual and while it is silent.

    Attributes:
        service: which.
        fault: how it was silent.
        healthy: p99 in microseconds, the median of slices of half a second, of the agent that has it as usual.
        silent: the same of the one for which it is silent.
        ratio: of the two.
        calls: verifications timed.
    """

    service: str
    fault: str
    healthy: float
    silent: float
    ratio: float
    calls: int


async def recover(agent: Agent, seconds: float) -> None:
    """Wait until the agent is fresh again, at most so long.

    Raises:
        TimeoutError: it is not.
    """
    async with asyncio.timeout(seconds):
        while (age := agent.freshness()) is None or age > FRESH_SECONDS:
            await agent.changed()


async def time_verifications(agent: Agent, tokens: Sequence[str], seconds: float) -> list[tuple[float, int]]:
    """The p99 in microseconds and the number of calls of each slice; what else the agent does goes on in between."""
    slices, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        times: list[int] = []
        slice_end = time.monotonic() + SLICE_SECONDS
        while time.monotonic() < slice_end:
            for token in tokens[:AT_ONCE]:
                began = time.perf_counter_ns()
                agent.verify(token)
                times.append(time.perf_counter_ns() - began)
            await asyncio.sleep(0.002)
        times.sort()
        slices.append((times[-(-99 * len(times) // 100) - 1] / 1000, len(times)))
    return slices


async def measure_strain(site: Site, service: str, url: str, settings: dict[str, str], seconds: float) -> StrainResult:
    """Let one service fall silent for one of two agents, and then for the other; neither remembers a token.

    They are processes that verify at the same time, so that whatever else this machine does hits both alike.

    Args:
        site: what the agents follow.
        service: a name in ``FAULTS``.
        url: where the agents have it.
        settings: of the agents.
        seconds: of each turn; long enough for time-outs to run and connections to be made anew.

    Raises:
        CommandFailed: a good token was rejected.
    """
    async with aiohttp.ClientSession() as session:
        tokens = [await fetch_token(session, site.url, site.client) for _ in range(TOKENS)]
    port = urlsplit(url).port
    found: dict[str | None, list[tuple[float, int]]] = {None: [], FAULTS[service]: []}
    wanted = Workers(agents=2, processes=2, settings={"TOCSIN_CACHE_SIZE": "0", **settings})
    async with site.workers(wanted) as workers:
        for turn in range(TURNS):
            await asyncio.gather(*(worker.write({"recover": RECOVERY_SECONDS}) for worker in workers))
            await asyncio.gather(*(expect(worker, "fresh") for worker in workers))
            faults = [None, FAULTS[service]] if turn % 2 else [FAULTS[service], None]
            message = {"verify": tokens, "seconds": seconds, "port": port}
            for worker, fault in zip(workers, faults, strict=True):
                await worker.write({**message, "fault": fault})
            for worker, fault in zip(workers, faults, strict=True):
                found[fault] += (await expect(worker, "times"))["times"]
    healthy, silent = (statistics.median(p99 for p99, _ in slices) for slices in found.values())
    return StrainResult(
        service=service,
        fault=FAULTS[service],
        healthy=round(healthy, 1),
        silent=round(silent, 1),
        ratio=round(silent / healthy, 3),
        calls=sum(count for slices in found.values() for _, count in slices),
    )
