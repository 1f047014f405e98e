"""The command line: `python -m tests.compose`."""

import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from types import FrameType

from tests.compose.check import STEPS, Check
from tests.compose.stack import Stack, StackFailed

WIDTH = 70


def main() -> int:
    """Go through all steps, take the stack down in any case, and return the exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    try:
        stack = Stack.find()
    except StackFailed as error:
        _write(f"{error}\n")
        return 1
    _write(f"{stack.description}\n")
    done = False
    try:
        done = _step("nothing is left of a run before", stack.down) and _all_steps(Check(stack))
    except KeyboardInterrupt:
        _write("\ninterrupted\n")
    finally:
        gone = _step("containers, networks and volumes are gone", stack.down)
    if done and gone:
        _write(f"{len(STEPS) + 2} steps held, {time.monotonic() - began:.0f} s\n")
        for image, what in stack.stand_ins().items():
            _write(f"note: {image} is or is built on a stand-in ({what}); the real image is not shown to work\n")
    return 0 if done and gone else 1


def _all_steps(check: Check) -> bool:
    for sentence, step in STEPS:
        if not _step(sentence, partial(step, check)):
            _write(check.stack.logs())
            return False
    return True


def _step(sentence: str, action: Callable[[], str | None]) -> bool:
    began = time.monotonic()
    try:
        detail, held = action() or "", True
    except (StackFailed, OSError) as error:
        detail, held = str(error), False
    took = f"{time.monotonic() - began:5.1f} s"
    _write(f"  {'ok' if held else 'NO':3} {sentence:{WIDTH}} {took}  {detail}".rstrip() + "\n")
    return held


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
