"""Whether a snapshot that comes from anywhere is the issuer's, and whole: all but what its bytes mean."""

from contextlib import suppress
from hashlib import sha256

from events import EventOpener, EventRefused, Snapshot, Stream
from verifier_agent.errors import SnapshotCode, SnapshotInvalid
from verifier_agent.saved.protocol import SealedSnapshot
from verifier_agent.snapshot import SNAPSHOT_VERSION


def open_seal(opener: EventOpener, snapshot: SealedSnapshot, now: float, max_age: float) -> tuple[int, Snapshot]:
    """Check a snapshot.

    0 the successions of event keys that come with it, each as any event · 1 sealed by the event key of today, of this
    issuer · 2 the seal of a snapshot · 3 as many bytes · 4 these bytes · 5 of our version · 6 young enough.

    Args:
        opener: with the event keys that are known; it learns of those that come with the snapshot.
        snapshot: to be checked.
        now: wall clock, seconds since the epoch.
        max_age: seconds.

    Returns:
        The number of the seal among the heartbeats, and what it says.

    Raises:
        SnapshotInvalid: with the code of the first step that failed.
    """
    for succession in snapshot.successions:  # 0
        with suppress(EventRefused):
            opener.open(succession, Stream.KEYS)
    try:
        event = opener.open(snapshot.event, Stream.HEARTBEATS)  # 1
    except EventRefused as refusal:
        raise SnapshotInvalid(SnapshotCode.BAD_SEAL, str(refusal)) from refusal
    seal = event.record
    if not isinstance(seal, Snapshot):  # 2
        raise SnapshotInvalid(SnapshotCode.BAD_SEAL, f"{seal.type or 'that'} is no seal of a snapshot")
    if len(snapshot.data) != seal.size:  # 3
        raise SnapshotInvalid(SnapshotCode.ALTERED, f"{len(snapshot.data)} bytes, where {seal.size} were sealed")
    if sha256(snapshot.data).hexdigest() != seal.sha256:  # 4
        raise SnapshotInvalid(SnapshotCode.ALTERED, "its bytes are others than were sealed")
    if not snapshot.data.startswith(b'{"version":%d,' % SNAPSHOT_VERSION):  # 5
        raise SnapshotInvalid(SnapshotCode.WRONG_VERSION, f"this program reads version {SNAPSHOT_VERSION}")
    if now - seal.time > max_age:  # 6
        raise SnapshotInvalid(SnapshotCode.TOO_OLD, f"{now - seal.time:.0f} s old; at most {max_age:.0f} s is allowed")
    return event.seq, seal
