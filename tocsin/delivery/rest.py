"""What an agent costs when nothing happens but heartbeats."""

import asyncio
from collections.abc import Sequence

import msgspec

from tocsin.delivery.reach import expect
from tocsin.processes import Program

SETTLED_SECONDS = 3.0


class RestResult(msgspec.Struct, frozen=True, kw_only=True):
    """The CPU time of one process with one agent, all its threads and the system's work for it.

    Attributes:
        seconds: measured for.
        percent: of one core.
    """

    seconds: float
    percent: float


async def measure_rest(programs: Sequence[Program], seconds: float) -> list[RestResult]:
    """Of each of these, at the same time, once they have settled."""
    await asyncio.sleep(SETTLED_SECONDS)
    await asyncio.gather(*(program.write({"rest": seconds}) for program in programs))
    used = await asyncio.gather(*(expect(program, "cpu") for program in programs))
    return [RestResult(seconds=seconds, percent=round(100 * each["cpu"] / seconds, 3)) for each in used]
