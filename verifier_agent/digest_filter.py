"""A filter in front of exact look-ups: most of what was never added is told apart by one byte of memory."""

from collections.abc import Iterable
from typing import Final

BITS_A_DIGEST: Final = 16
"""At full capacity; with two bits set for each, 1 in 64 strangers passes."""


class DigestFilter:
    """A Bloom filter (Bloom 1970) with two probes, taken from the digest itself, as that is a hash already.

    Attributes:
        capacity: how many digests it is made for; with more it lets more strangers pass, and stays right.
    """

    __slots__ = ("_bits", "_mask", "capacity")

    def __init__(self, capacity: int) -> None:
        size = 1 << max(3, (BITS_A_DIGEST * capacity - 1).bit_length())
        self.capacity = size // BITS_A_DIGEST
        self._bits = bytearray(size // 8)
        self._mask = size - 1

    def add(self, digests: Iterable[int]) -> None:
        """Let these digests pass from now on."""
        bits, mask = self._bits, self._mask
        for digest in digests:
            at = digest & mask
            bits[at >> 3] |= 1 << (at & 7)
            at = digest >> 32 & mask
            bits[at >> 3] |= 1 << (at & 7)

    def may_hold(self, digest: int) -> bool:
        """``False`` when the digest has certainly not been added."""
        bits, mask = self._bits, self._mask
        at = digest & mask
        if not bits[at >> 3] >> (at & 7) & 1:
            return False
        at = digest >> 32 & mask
        return bits[at >> 3] >> (at & 7) & 1 == 1
