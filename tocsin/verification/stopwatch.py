"""Times several ways of doing one thing, in turns, so that a busy neighbour hits all alike."""

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Final

import msgspec

SLICE_SECONDS: Final = 0.02
"""Of one contender, before the next has its turn."""
STRETCHES: Final = 3

Verify = Callable[..., object]
Loop = Callable[[Verify, Sequence[Any]], None]


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """What one contender took.

    Attributes:
        microseconds: for one call, in the best stretch.
        stretches: the same, of each stretch, in order.
    """

    microseconds: float
    stretches: tuple[float, ...]


def each(verify: Verify, tokens: Sequence[Any]) -> None:
    """The loop that is timed: the call and nothing else."""
    for token in tokens:
        verify(token)


@dataclass(frozen=True)
class Contender:
    """One way.

    Attributes:
        name: of the figure.
        prepare: what to call, and with what, one after the other; not timed.
        loop: is timed; the way in which it is called.
    """

    name: str
    prepare: Callable[[], tuple[Verify, Sequence[Any]]]
    loop: Loop = each


def race(contenders: Sequence[Contender], seconds: float) -> dict[str, Timing]:
    """Let them run in turns, each for ``seconds`` in all, in three stretches.

    The garbage collector stays on, as it is in a server; what was made before is collected first.
    """
    runners = [_Runner(contender) for contender in contenders]
    for runner in runners:
        runner.run(SLICE_SECONDS)
    gc.collect()
    taken: dict[str, list[float]] = {runner.name: [] for runner in runners}
    for _ in range(STRETCHES):
        for name, microseconds in _stretch(runners, seconds / STRETCHES).items():
            taken[name].append(microseconds)
    return {name: Timing(microseconds=min(times), stretches=tuple(times)) for name, times in taken.items()}


def _stretch(runners: "list[_Runner]", seconds: float) -> dict[str, float]:
    """Microseconds a call in the median slice, each timed for ``seconds``.

    A program that takes the processor away in the middle of some slices does not count, what we do ourselves now and
    then in most of them does.
    """
    spent = dict.fromkeys((runner.name for runner in runners), 0.0)
    slices: dict[str, list[float]] = {name: [] for name in spent}
    while late := [runner for runner in runners if spent[runner.name] < seconds]:
        for runner in late:
            calls, time_taken = runner.run(min(SLICE_SECONDS, seconds))
            spent[runner.name] += time_taken
            slices[runner.name].append(1e6 * time_taken / calls)
    return {name: statistics.median(times) for name, times in slices.items()}


class _Runner:
    """A contender with a loop of its own."""

    def __init__(self, contender: Contender) -> None:
        self.name = contender.name
        self._prepare = contender.prepare
        self._loop = _own_copy(contender.loop)

    def run(self, seconds: float) -> tuple[int, float]:
        """Calls done, and the time that they took."""
        calls, spent = 0, 0.0
        while spent < seconds:
            verify, tokens = self._prepare()
            start = time.perf_counter()
            self._loop(verify, tokens)
            spent += time.perf_counter() - start
            calls += len(tokens)
        return calls, spent


def _own_copy(loop: Any) -> Loop:
    """The same loop in a code object of its own.

    CPython adapts each call site to what is called there (PEP 659). A service calls one verifier from it; were the site
    shared, contenders would spoil it for each other.
    """
    return FunctionType(loop.__code__.replace(), loop.__globals__, loop.__name__)
