"""Starting from what was saved: checked like everything that comes from outside, and as old as it is."""

import asyncio
import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from verifier_agent.clocks import Clock
from verifier_agent.errors import SnapshotInvalid
from verifier_agent.saved.protocol import SavedState
from verifier_agent.verifier import Verifier

log = logging.getLogger(__name__)


class Recalled(NamedTuple):
    """What became of it.

    Attributes:
        snapshot_time: when the snapshot was made, seconds since the epoch; ``None`` without a good one.
        refusal: why the snapshot was refused, if it was.
    """

    snapshot_time: float | None = None
    refusal: SnapshotInvalid | None = None


async def recall(saved: SavedState, verifier: Verifier, clock: Clock, max_age: float) -> Recalled:
    """Let what was saved take effect, in a thread; nobody else may feed the verifier meanwhile.

    Args:
        saved: as it was read.
        verifier: takes it.
        clock: of this machine.
        max_age: seconds that the snapshot may be old.
    """
    applying = asyncio.create_task(asyncio.to_thread(_apply, saved, verifier, clock, max_age))
    try:
        return await asyncio.shield(applying)
    except asyncio.CancelledError:
        await asyncio.wait([applying])  # a thread cannot be interrupted, and must not outlive us
        raise


def _apply(saved: SavedState, verifier: Verifier, clock: Clock, max_age: float) -> Recalled:
    now, boot, recalled = clock.now(), clock.boot(), Recalled()
    if saved.snapshot is not None:
        try:
            with _without_collections():
                seal = verifier.restore_sealed(saved.snapshot, now=now, boot=boot, max_age=max_age)
            recalled = Recalled(snapshot_time=seal.time)
        except SnapshotInvalid as invalid:
            log.warning("saved_snapshot_refused", extra={"error": str(invalid)})
            recalled = Recalled(refusal=invalid)
    for stream, raw in saved.events:
        verifier.apply_saved(stream, raw, now=now, boot=boot)
    return recalled


@contextmanager
def _without_collections() -> Iterator[None]:
    """Keep Python from looking for garbage among all objects again and again while there are only new ones.

    It would take longer than everything else (docs/adr/0010-snapshots.md).
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
