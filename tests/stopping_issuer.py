"""``tocsin`` whose issuer looks after its keys several times a second, and stops itself where a test wants it to.

``python -m tests.stopping_issuer FOLDER issuer …``: at the first moment whose name is that of a file in the folder, the
file gets the ending ``.reached`` and the process is stopped, as by SIGSTOP from outside, which comes when it likes.
"""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from issuer import housekeeping
from issuer.keys.vault import KeyVault
from issuer.leadership import Leadership
from tocsin import command

DECIDED: Final = "decided"
"""A rotation has been found due, and its transaction has not begun."""
CONFIRMED: Final = "confirmed"
"""In that transaction, which holds the epoch's row."""
ROUND_SECONDS: Final = 0.25

Step = Callable[..., Awaitable[Any]]


def _stopping(moment: Path, step: Step) -> Step:
    """The step, and then a stop if the test wants one here."""

    async def stepped(*given: Any) -> Any:
        result = await step(*given)
        try:
            moment.rename(moment.with_suffix(".reached"))
        except FileNotFoundError:
            return result
        os.kill(os.getpid(), signal.SIGSTOP)
        return result

    return stepped


def main(folder: Path) -> None:
    """Run the command line, slightly otherwise."""
    with (
        patch.object(housekeeping, "EVERY_SECONDS", ROUND_SECONDS),
        patch.object(KeyVault, "generate", _stopping(folder / DECIDED, KeyVault.generate)),
        patch.object(Leadership, "confirm", _stopping(folder / CONFIRMED, Leadership.confirm)),
    ):
        command.main()


if __name__ == "__main__":
    main(Path(sys.argv.pop(1)))
