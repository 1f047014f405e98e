"""Any number of digests, sorted and each once, in bounded memory.

They are put into buckets by their first bits, in unnamed temporary files when they are many. What is sorted is in the
order of the digests themselves, so it is the same however the lines of the file stand.
"""

import sys
import tempfile
from array import array
from hashlib import sha256
from types import TracebackType
from typing import IO, Final, Self

from events.digests import DIGEST_BYTES

BUCKET_BITS: Final = 6
IN_MEMORY: Final = 1 << 20
"""Digests held before they are written away: 8 MB."""


class SortedDigests:
    """Filled first, then sorted, then read batch by batch.

    Attributes:
        added: digests that it was given.
        count: different ones; known once sorted.
        fingerprint: SHA-256 over all of them, in hexadecimal; known once sorted.
    """

    def __init__(self) -> None:
        self.added = self.count = 0
        self.fingerprint = ""
        self._buckets = [array("Q") for _ in range(1 << BUCKET_BITS)]
        self._held = 0
        self._files: list[IO[bytes]] = []
        self._sorted: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this object

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (*self._files, self._sorted):
            file.close()

    def add(self, packed: bytes | bytearray) -> None:
        """Take digests, 8 bytes big-endian each."""
        append = [bucket.append for bucket in self._buckets]
        shift = 64 - BUCKET_BITS
        for digest in _array(packed):
            append[digest >> shift](digest)
        self._held += len(packed) // DIGEST_BYTES
        self.added += len(packed) // DIGEST_BYTES
        if self._held >= IN_MEMORY:
            self._write_away()

    def sort(self) -> None:
        """Take no more."""
        hashed = sha256()
        for number, bucket in enumerate(self._buckets):
            digests = set(bucket)
            if self._files:
                file = self._files[number]
                file.seek(0)
                while piece := file.read(IN_MEMORY * DIGEST_BYTES):
                    digests.update(_array(piece))
            ordered = array("Q", sorted(digests))
            self.count += len(ordered)
            if sys.byteorder == "little":
                ordered.byteswap()
            packed = ordered.tobytes()
            hashed.update(packed)
            self._sorted.write(packed)
        self._buckets = []
        self.fingerprint = hashed.hexdigest()

    def batches(self, size: int) -> int:
        """How many batches of this size there are."""
        return -(-self.count // size)

    def batch(self, number: int, size: int) -> bytes:
        """The batch of this number, from 0 on: packed as ``events.digests.pack_digests`` packs."""
        self._sorted.seek(number * size * DIGEST_BYTES)
        return self._sorted.read(size * DIGEST_BYTES)

    def _write_away(self) -> None:
        if not self._files:
            self._files = [tempfile.TemporaryFile() for _ in self._buckets]  # noqa: SIM115 - as above
        for bucket, file in zip(self._buckets, self._files, strict=True):
            ordered = bucket[:]
            if sys.byteorder == "little":
                ordered.byteswap()
            file.write(ordered.tobytes())
            del bucket[:]
        self._held = 0


def _array(packed: bytes | bytearray) -> "array[int]":
    digests = array("Q")
    digests.frombytes(packed)
    if sys.byteorder == "little":
        digests.byteswap()
    return digests
