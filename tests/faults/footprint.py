"""What a process holds, to see what it has not given back."""

import asyncio
import ctypes
import gc
import os
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
SERVER_CONNECTION: Final = "RequestHandler.start"
"""aiohttp keeps a task for each connection that a client holds open: that is the client's affair."""


class Footprint(msgspec.Struct, frozen=True, kw_only=True):
    """What a process holds.

    Attributes:
        tasks: coroutines that run, by their name, with how many there are of each.
        descriptors: what is open, by kind (``socket port 15000``, ``pipe``, the name of a file), with how many of each.
        memory: resident set in bytes, after a collection.
    """

    tasks: dict[str, int]
    descriptors: dict[str, int]
    memory: int

    @classmethod
    def of_this_process(cls) -> "Footprint":
        """That of the process and event loop that calls."""
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)
        names = (getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks())
        return cls(
            tasks=dict(Counter(name for name in names if name != SERVER_CONNECTION)),
            descriptors=dict(Counter(_kinds())),
            memory=int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES,
        )

    def least(self, other: "Footprint") -> "Footprint":
        """Of each name the fewer, and the less memory: what was held both times."""
        return Footprint(
            tasks=dict(Counter(self.tasks) & Counter(other.tasks)),
            descriptors=dict(Counter(self.descriptors) & Counter(other.descriptors)),
            memory=min(self.memory, other.memory),
        )

    def beyond(self, before: "Footprint", bounds: Mapping[str, int]) -> list[str]:
        """Tasks and descriptors that there were not before, in words.

        Args:
            before: what was held then.
            bounds: so many of a name may be held in any case, as by a pool of connections that fills by and by.
        """
        return [
            f"{count} in place of {former.get(name, 0)}: {what} {name}"
            for what, now, former in (
                ("task", self.tasks, before.tasks),
                ("descriptor", self.descriptors, before.descriptors),
            )
            for name, count in sorted(now.items())
            if count > max(former.get(name, 0), bounds.get(name, 0))
        ]


def _kinds() -> list[str]:
    peers = _peers()
    kinds = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:  # the one by which we look
            continue
        kind, colon, inode = target.partition(":[")
        kinds.append(f"{kind} {peers.get(inode.rstrip(']'), '')}".strip() if colon else Path(target).name)
    return kinds


def _peers() -> dict[str, str]:
    """Of each TCP connection of this machine, by its inode, the lower of the two ports: our servers' (proc(5))."""
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return {row[9]: f"port {min(int(end.rpartition(':')[2], 16) for end in row[1:3])}" for row in rows}
