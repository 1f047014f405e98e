"""Sorted batches of digests, joined where they are small, so that few arrays are searched however many batches came.

As soon as eight are about as long they are joined into one run, and runs likewise (O'Neil, Cheng, Gawlick and O'Neil,
"The log-structured merge-tree", 1996); from ``LONG`` on they are left as they are. So what comes as batches of 50,000
is held once, 8 bytes a digest; what comes as short ones is held twice.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from heapq import merge
from itertools import islice
from typing import Final

LONG: Final = 1 << 14
"""Digests from which on a run is not joined with others."""
LONGEST: Final = 2 * LONG
"""Digests that are joined in one go, in many steps, before the next event is applied: two runs at least, as each has
fewer than ``LONG``.
"""
ALIKE: Final = 8
"""So many runs of about the same length are joined; one is up to eight times as long as another."""
STEP: Final = 1024
"""Digests that are joined in one step: less than a millisecond."""


class _Run:
    """One sorted array, and the batches of which it is made.

    Attributes:
        digests: of all of them, also of those that are out of force.
        parts: those in force, by ``id``; an array cannot be hashed.
        whole: whether all of them are.
    """

    __slots__ = ("digests", "parts", "whole")

    def __init__(self, digests: "array[int]", parts: "dict[int, array[int]]") -> None:
        self.digests = digests
        self.parts = parts
        self.whole = True

    def still_holds(self, digest: int) -> bool:
        """Whether a digest that is among all of them is in force."""
        return self.whole or any(search(part, digest) for part in tuple(self.parts.values()))


class DigestRuns:
    """Batches in force, by runs. One thread may change them while others look digests up."""

    def __init__(self) -> None:
        self._runs: tuple[_Run, ...] = ()
        self._run_of: dict[int, _Run] = {}
        self._joining: Iterator[None] | None = None
        self._changed = False

    def __len__(self) -> int:
        """How many arrays are searched."""
        return len(self._runs)

    @property
    def is_joined(self) -> bool:
        """Whether ``join`` would find nothing to do."""
        return not self._changed and self._joining is None

    def holds(self, digest: int) -> bool:
        """Whether a batch in force has the digest."""
        for run in self._runs:
            digests = run.digests
            at = bisect_left(digests, digest)  # as ``search``, but for a call
            if at < len(digests) and digests[at] == digest and run.still_holds(digest):
                return True
        return False

    def add(self, batch: "array[int]") -> None:
        """Put a batch in force."""
        run = self._run_of[id(batch)] = _Run(batch, {id(batch): batch})
        self._runs = (*self._runs, run)
        self._changed = True

    def remove(self, batch: "array[int]") -> None:
        """Take a batch out of force, if it is there: the very same array."""
        run = self._run_of.pop(id(batch), None)
        if run is None:
            return
        run.whole = False  # first: who finds the digest in the run looks into its parts from now on
        del run.parts[id(batch)]
        self._changed = True
        if not run.parts:
            self._runs = tuple(other for other in self._runs if other is not run)

    def batches(self) -> Iterator["array[int]"]:
        """All in force; none may come or go meanwhile but by ``join``."""
        for run in self._runs:
            yield from tuple(run.parts.values())

    def join(self) -> bool:
        """Do less than a millisecond of joining; whether there may be more to do."""
        if self._joining is None:
            chosen = self._crowd() if self._changed else []
            if not chosen:
                self._changed = False
                return False
            self._joining = self._join(chosen)
        if next(self._joining, self) is self:
            self._joining = None
        return True

    def _crowd(self) -> list[_Run]:
        """Runs that should be one: one that holds what is out of force, or many of about the same length."""
        by_length: dict[int, list[_Run]] = {}
        for run in self._runs:
            if not run.whole:
                return [run]
            if len(run.digests) < LONG:
                by_length.setdefault(len(run.digests).bit_length() // 3, []).append(run)
        for alike in by_length.values():
            if len(alike) >= ALIKE:
                return _up_to(LONGEST, alike)
        return []

    def _join(self, chosen: list[_Run]) -> Iterator[None]:
        parts = {name: part for run in chosen for name, part in tuple(run.parts.items())}
        whole = all(run.whole for run in chosen)
        digests = array("Q")
        sources = [run.digests for run in chosen] if whole else list(parts.values())
        merged = merge(*sources)
        while some := array("Q", islice(merged, STEP)):
            digests.extend(some)
            yield
        joined = _Run(digests, {name: part for name, part in parts.items() if name in self._run_of})
        joined.whole = len(joined.parts) == len(parts)
        self._run_of.update(dict.fromkeys(joined.parts, joined))
        gone = set(chosen)
        others = tuple(run for run in self._runs if run not in gone)
        self._runs = (*others, joined) if joined.parts else others


def search(digests: "array[int]", digest: int) -> bool:
    """Whether a sorted array has the digest."""
    at = bisect_left(digests, digest)
    return at < len(digests) and digests[at] == digest


def _up_to(limit: int, runs: list[_Run]) -> list[_Run]:
    """The first of them that have no more digests than that together."""
    total = 0
    chosen: list[_Run] = []
    for run in runs:
        total += len(run.digests)
        if total > limit:
            break
        chosen.append(run)
    return chosen
