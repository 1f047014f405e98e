"""What is known of an issuer as bytes, written a little at a time and read at once."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

from events import KeySet
from events.sequence import SequenceState
from verifier_agent.errors import SnapshotCode, SnapshotInvalid
from verifier_agent.revocations import DigestRow, FrozenRevocations, LiftedRow, RevocationState, SelectorRow

SNAPSHOT_VERSION: Final = 1
ROWS: Final = 500
"""Rows that are encoded at a time: about half a millisecond."""


class SnapshotHead(msgspec.Struct, frozen=True, kw_only=True):
    """All that is small.

    Attributes:
        version: of this format.
        issuer: whose.
        issuer_time: of the newest heartbeat.
        newest_beat: number of the newest heartbeat.
        key_seq: number of the newest key set.
        keys: that key set.
        revoked_keys: every ``kid`` that was ever revoked.
        sequences: by stream.
    """

    version: int
    issuer: str
    issuer_time: float
    newest_beat: int
    key_seq: int
    keys: KeySet
    revoked_keys: list[str]
    sequences: dict[str, SequenceState]


class SnapshotContent(SnapshotHead, frozen=True, kw_only=True):
    """A snapshot as it is read."""

    revocations: RevocationState


def pieces(head: SnapshotHead, revocations: FrozenRevocations) -> Iterator[bytes]:
    """The bytes, about a millisecond's work at a time. The same state, the same bytes."""
    yield msgspec.json.encode(head, order="deterministic")[:-1]
    yield b',"revocations":{"selectors":['
    yield from _rows(revocations.selector_rows(), ROWS)
    yield b'],"digests":['
    yield from _rows(revocations.digest_rows(), 1)
    yield b'],"lifted":['
    yield from _rows(revocations.lifted_rows(), ROWS)
    yield b"]}}"


def _rows(rows: Iterable[SelectorRow | DigestRow | LiftedRow], count: int) -> Iterator[bytes]:
    separator, remaining = b"", iter(rows)
    while some := list(islice(remaining, count)):
        yield separator + msgspec.json.encode(some, order="deterministic")[1:-1]
        separator = b","


def read(snapshot: bytes | memoryview, issuer: str) -> SnapshotContent:
    """What ``pieces`` wrote for this issuer.

    Raises:
        SnapshotInvalid: it is not one of this version, or another issuer's.
    """
    try:
        content = msgspec.json.decode(snapshot, type=SnapshotContent)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise SnapshotInvalid(SnapshotCode.MALFORMED, f"this is no snapshot: {error}") from error
    if content.version != SNAPSHOT_VERSION:
        raise SnapshotInvalid(
            SnapshotCode.WRONG_VERSION, f"it has version {content.version}; this program reads {SNAPSHOT_VERSION}"
        )
    if content.issuer != issuer:
        raise SnapshotInvalid(SnapshotCode.WRONG_ISSUER, f"it is of issuer {content.issuer!r}, not of {issuer!r}")
    return content
