"""``python -m tests.saving_process FOLDER INPUT``: saves what INPUT holds, over and over, until it is killed."""

import asyncio
import itertools
import sys
from pathlib import Path

import msgspec

from events import Stream
from verifier_agent.saved import SavedEvent, SealedSnapshot
from verifier_agent.saved.disk import DiskStore


class Input(msgspec.Struct, frozen=True):
    """What is saved: snapshots in turn, and after each the events one by one."""

    snapshots: list[SealedSnapshot]
    events: list[tuple[Stream, bytes]]


async def save(folder: Path, given: Input) -> None:
    """For ever."""
    store = DiskStore(folder)
    events = [SavedEvent(*event) for event in given.events]
    for snapshot in itertools.cycle(given.snapshots):
        await store.replace(snapshot, events[:2])
        sys.stdout.write("\n")
        sys.stdout.flush()
        for at in range(2, len(events), 3):
            await store.append(events[at : at + 3])


if __name__ == "__main__":
    asyncio.run(save(Path(sys.argv[1]), msgspec.msgpack.decode(Path(sys.argv[2]).read_bytes(), type=Input)))
