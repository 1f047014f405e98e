"""The processes of this machine and who started whom, with nothing but the standard library."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PS = ["/bin/ps", "-axo", "pid=,ppid=,stat="]  # POSIX, for machines without /proc


class Process(NamedTuple):
    """One process: its id, its parent's, and whether it has ended and only waits for its parent to notice."""

    pid: int
    parent: int
    is_zombie: bool


def processes() -> Iterator[Process]:
    """All processes of the machine."""
    return _from_proc() if sys.platform == "linux" else _from_ps()


def descendants(ancestor: int) -> list[int]:
    """The ids of the living processes below `ancestor`, parents before their children."""
    children: dict[int, list[int]] = {}
    for process in processes():
        if not process.is_zombie:
            children.setdefault(process.parent, []).append(process.pid)
    found = list(children.get(ancestor, []))
    for pid in found:  # grows while it is walked
        found += children.get(pid, [])
    return found


def is_stopped(pid: int) -> bool:
    """Whether every thread of a process stands still, or it has ended. Where that cannot be seen, it is believed."""
    states = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError, ValueError):  # it ended while we looked
                states.append(_state_and_parent(thread / "stat")[0])
    return all(state in "TtZX" for state in states)


def _state_and_parent(stat: Path) -> list[str]:
    # proc(5): the name, in brackets, may itself hold brackets and spaces
    return stat.read_text().rpartition(")")[2].split()[:2]


def _from_proc() -> Iterator[Process]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = _state_and_parent(entry / "stat")
            except (OSError, ValueError):  # it ended while we looked
                continue
            yield Process(int(entry.name), int(parent), state == "Z")


def _from_ps() -> Iterator[Process]:
    with subprocess.Popen(PS, stdout=subprocess.PIPE, text=True) as ps:
        listing = ps.communicate(timeout=10)[0]
    for line in listing.splitlines():
        pid, parent, state = line.split()[:3]
        if int(pid) != ps.pid:
            yield Process(int(pid), int(parent), state.startswith("Z"))
