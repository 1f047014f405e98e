"""A filter in front of exact look-ups: most of what was never added is told apart by one byte of memory."""

from collections.abc import Iterable
from itertools import combinations
from typing import Final

BITS_A_DIGEST: Final = 16
"""At full capacity; with four bits set for each, 1 in 200 strangers passes."""
PAIRS: Final = tuple(1 << one | 1 << other for one, other in combinations(range(8), 2)) * 3
"""Bytes with two bits set, so that six bits of a digest choose one."""


class DigestFilter:
    """A Bloom filter (Bloom 1970) with two bits in each of two bytes, taken from the digest, as that is a hash already.

    Two bits in one byte cost little more than one to set and to look for (Putze, Sanders and Singler, "Cache-, hash-
    and space-efficient Bloom filters", 2007).

    Attributes:
        capacity: how many digests it is made for; with more it lets more strangers pass, and stays right.
        marks: the bytes.
        mask: takes the place of a byte from a digest.
    """

    __slots__ = ("capacity", "marks", "mask")

    def __init__(self, capacity: int) -> None:
        size = 1 << max(3, (BITS_A_DIGEST * capacity - 1).bit_length())
        self.capacity = size // BITS_A_DIGEST
        self.marks = bytearray(size // 8)
        self.mask = size // 8 - 1

    def add(self, digests: Iterable[int]) -> None:
        """Let these digests pass from now on."""
        marks, mask, pairs = self.marks, self.mask, PAIRS
        for digest in digests:
            marks[digest & mask] |= pairs[digest >> 58]
            marks[digest >> 26 & mask] |= pairs[digest >> 52 & 63]

    def may_hold(self, digest: int) -> bool:
        """``False`` when the digest has certainly not been added."""
        marks, mask = self.marks, self.mask
        first, second = PAIRS[digest >> 58], PAIRS[digest >> 52 & 63]
        return marks[digest & mask] & first == first and marks[digest >> 26 & mask] & second == second
