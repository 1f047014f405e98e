"""A running agent hears a mass revocation: how long until all of it counts, and how long it keeps others waiting."""

import asyncio
import time
from contextlib import suppress

import msgspec

from events import SignedEvent
from events.log.memory import MemoryLog
from tocsin.verification.issuer import MeasuredIssuer, digest_batches


class MassRevocation(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        in_force: seconds from the moment the events are in the log until all of it counts.
        seconds: until the agent has taken it up, filter and all.
        longest_stall: milliseconds for which the event loop did nothing else meanwhile.
        idle_stall: the same in as long a time, just before, in which there was nothing to do: the machine's own.
    """

    in_force: float
    seconds: float
    longest_stall: float
    idle_stall: float


def apply_digests(count: int, runs: int) -> list[MassRevocation]:
    """So many digests in batches of 50,000, each a signed event, by a new agent in each run."""
    issuer = MeasuredIssuer("ES256", tokens=1)
    events = [issuer.revoke_digests(packed) for packed in digest_batches(count)]
    idle = 1.0
    found = []
    for _ in range(runs):
        found.append(asyncio.run(_run(issuer, events, count, idle)))
        idle = found[-1].seconds
    return found


async def _run(issuer: MeasuredIssuer, events: list[SignedEvent], count: int, idle: float) -> MassRevocation:
    log = MemoryLog()
    for event in issuer.opening:
        await log.append(event.stream, [event.text])
    watch = _Watch()
    async with issuer.deaf_agent("memory:", open_event_log=lambda: log) as agent, watch:
        await asyncio.sleep(idle)
        idle_stall = watch.reset()
        start = time.perf_counter()
        await log.append(events[0].stream, [event.text for event in events])
        while agent.status().digests < count:
            await agent.changed()
        in_force = time.perf_counter() - start
        while not agent.verifier.state.revocations.is_settled:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.005)
        seconds = time.perf_counter() - start
        longest_stall = watch.reset()
        return MassRevocation(
            in_force=in_force, seconds=seconds, longest_stall=1000 * longest_stall, idle_stall=1000 * idle_stall
        )


class _Watch:
    """Takes a turn on the event loop whenever it can, and notes the longest wait for one."""

    def __init__(self) -> None:
        self._longest = 0.0
        self._task: asyncio.Task[None] | None = None

    def reset(self) -> float:
        """The longest wait since the last call, in seconds."""
        longest, self._longest = self._longest, 0.0
        return longest

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._watch())

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _watch(self) -> None:
        before = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            self._longest = max(self._longest, now - before)
            before = now
