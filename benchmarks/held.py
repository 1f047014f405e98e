"""What so many digests weigh, held in one way, by a process that does nothing else.

``python -m benchmarks.held WAY FOLDER`` reads what ``write`` wrote, so that making it leaves nothing behind here.
"""

import json
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from events import IssuerTrust, RevokeDigests, Stream, pack
from events.digests import BATCH_LIMIT, DIGEST_BYTES, unpack_digests
from events.signing import UnverifiedEvent
from tocsin.resident import in_fresh_process, resident
from tocsin.verification.issuer import MeasuredIssuer, digest_batches
from verifier_agent import Verifier
from verifier_agent.revocations import RevocationIndex

PROCESSES: Final = 3
TRUST: Final = "trust.json"
PACKED: Final = "packed"
EVENTS: Final = "events"


def write(folder: Path, count: int) -> None:
    """So many digests, as packed batches and as the signed events that carry them."""
    issuer = MeasuredIssuer("ES256", tokens=1)
    issuer.trust.save(folder / TRUST)
    with (folder / PACKED).open("wb") as packed_file, (folder / EVENTS).open("wb") as event_file:
        for packed in digest_batches(count):
            packed_file.write(packed)
            event_file.write(issuer.revoke_digests(packed).text + b"\n")


def bytes_each(way: str, folder: Path, count: int) -> float:
    """Of memory for a digest, as the system counts it, when ``write`` wrote so many to ``folder``.

    The most of three processes: how much the allocator keeps of what was freed differs from one to the next.
    """
    grown: list[int] = [in_fresh_process("benchmarks.held", way, str(folder)) for _ in range(PROCESSES)]
    return max(grown) / count


def _by_verifier(folder: Path) -> tuple[int, object]:
    """A whole verifier that hears signed events; what hearing them leaves behind is in the figure."""
    verifier = Verifier(IssuerTrust.load(folder / TRUST))
    before = resident()
    with (folder / EVENTS).open("rb") as events:
        for line in events:
            event = UnverifiedEvent(line.rstrip())
            if verifier.apply(Stream.REVOCATIONS, event, received=time.monotonic()) != "applied":
                raise RuntimeError("an event had no effect")
            while verifier.settle():
                pass
    return before, verifier


def _by_index(folder: Path) -> tuple[int, object]:
    index = RevocationIndex("https://issuer.example")
    before = resident()
    for number, packed in enumerate(_batches(folder), 1):
        index.revoke_digests(pack(1, number), RevokeDigests(digests=packed, expires_at=4e9))
        while index.settle():
            pass
    return before, index


def _by_set(folder: Path) -> tuple[int, object]:
    held: set[int] = set()
    before = resident()
    for packed in _batches(folder):
        held.update(unpack_digests(packed))
    return before, held


def _by_sorted_array(folder: Path) -> tuple[int, object]:
    """Of the right size at once, and not sorted here: the order does not matter to memory."""
    size = (folder / PACKED).stat().st_size // DIGEST_BYTES
    before = resident()
    held = array("Q", [0]) * size
    with memoryview(held).cast("B") as memory, (folder / PACKED).open("rb") as packed:
        packed.readinto(memory)
    return before, held


def _batches(folder: Path) -> Iterator[bytes]:
    with (folder / PACKED).open("rb") as file:
        while packed := file.read(BATCH_LIMIT * DIGEST_BYTES):
            yield packed


WAYS: Final[dict[str, Callable[[Path], tuple[int, object]]]] = {
    "verifier": _by_verifier,
    "index": _by_index,
    "set": _by_set,
    "sorted": _by_sorted_array,
}

if __name__ == "__main__":
    rss_before, kept = WAYS[sys.argv[1]](Path(sys.argv[2]))
    json.dump(resident() - rss_before, sys.stdout)
