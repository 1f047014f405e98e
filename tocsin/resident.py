"""Memory of a process as the system counts it: the resident set, in bytes."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def resident() -> int:
    """Of this process, with garbage collected first; nothing is given back to the system for the occasion.

    Raises:
        OSError: this system has no ``/proc``.
    """
    gc.collect()
    return resident_of(os.getpid())


def resident_of(process: int) -> int:
    """Of another process.

    Raises:
        OSError: there is no such process, or this system has no ``/proc``.
    """
    status = Path(f"/proc/{process}/status")
    for line in status.read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{status} does not say VmRSS")


def in_fresh_process(module: str, *arguments: str) -> Any:
    """What ``python -m module arguments`` prints, as JSON: a process that has done nothing before.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    answer = subprocess.run(  # noqa: S603 - this interpreter, with a module of ours
        [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, check=True, timeout=600
    ).stdout
    return json.loads(answer)
