"""Runs pytest again and again, each time in a fork of a process that has imported what does not change.

It reads the arguments of one run as a line of JSON, and answers with a line: the exit status, or ``hung``. It imports
nothing of the project, so each fork reads the project as it stands then.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

import hypothesis
import pytest

SECONDS: Final = 120
"""For one run."""
OURS: Final = ("tests", "events", "verifier_agent", "issuer", "tocsin", "__")
HUNG: Final = "hung"
OUTPUT: Final = "last_run.txt"
"""What the last run wrote, in the folder of the copy."""


def run(arguments: list[str], loaded: Path | None = None) -> str:
    """The exit status of pytest in a fork; with ``loaded``, also the names of the modules that it came to import."""
    child = os.fork()
    if child == 0:
        sink = os.open(OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        status = int(pytest.main(arguments))
        if loaded is not None:
            loaded.write_text("\n".join(sys.modules))
        os._exit(status)
    return _status_of(child)


def _status_of(child: int) -> str:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return str(os.waitstatus_to_exitcode(status))
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return HUNG


def import_what_does_not_change(arguments: list[str]) -> None:
    """Import what collecting these tests imports, but for the project's own modules."""
    loaded = Path("loaded.txt")
    run([*arguments, "--collect-only"], loaded)
    for name in loaded.read_text().splitlines():
        if not name.startswith(OURS) and "conftest" not in name:
            with contextlib.suppress(ImportError):  # parts of others, which come with them
                importlib.import_module(name)


def main() -> None:
    """Answer requests until there are no more. The first one is only to find out what to import."""
    without_shrinking = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # one failure is as good as another
    hypothesis.settings.register_profile("mutation", phases=without_shrinking, database=None)
    hypothesis.settings.load_profile("mutation")
    import_what_does_not_change(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        sys.stdout.write(f"{run(json.loads(line))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
