"""Which tokens are revoked one by one, by digest."""

from array import array
from collections.abc import Iterator

from events.digests import TokenDigest


class DigestIndex:
    """Batches of digests. A digest stays revoked while any batch that holds it is in force."""

    def __init__(self) -> None:
        self._batches: dict[int, array[int]] = {}
        self._counts: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def __contains__(self, digest: TokenDigest) -> bool:
        return digest in self._counts

    def __iter__(self) -> Iterator[tuple[int, "array[int]"]]:
        return iter(self._batches.items())

    def add(self, seq: int, digests: "array[int]") -> None:
        """Put the batch of event ``seq`` in force."""
        self._batches[seq] = digests
        for digest in digests:
            self._counts[digest] = self._counts.get(digest, 0) + 1

    def remove(self, seq: int) -> bool:
        """Take one batch out of force; whether it was there."""
        digests = self._batches.pop(seq, None)
        if digests is None:
            return False
        for digest in digests:
            if self._counts[digest] == 1:
                del self._counts[digest]
            else:
                self._counts[digest] -= 1
        return True
