"""What a process has used, as the system counts it: all its threads, and the system's work for it."""

import os
from pathlib import Path
from typing import NamedTuple

from tocsin.resident import resident_of


class Usage(NamedTuple):
    """CPU seconds since its start, and resident bytes now."""

    cpu: float
    resident: int


def usage_of(process: int) -> Usage:
    """Of a process.

    Raises:
        OSError: there is no such process, or this system has no ``/proc``.
    """
    # The name, in parentheses, may hold spaces and parentheses (proc(5)); behind it utime and stime are 12th and 13th.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), resident_of(process))


def processors() -> tuple[int, int] | None:
    """One for the server and one for its load; ``None`` where there are not two."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else None


def pin(process: int, processor: int) -> None:
    """Have all threads of a process run on one processor, and those that it starts later.

    Raises:
        OSError: there is no such process, or this system has no ``/proc``.
    """
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {processor})
