"""Wait until a service answers."""

import time
from collections.abc import Callable

from tests.services.service import ServiceFailed

# Measured: 1 to 3 s for the slowest. The rest is for a machine busy with other work.
READY_WITHIN_SECONDS = 60.0
PAUSE_SECONDS = 0.02


class NotReady(Exception):
    """A probe was answered, but not yet with what a ready service answers."""


def wait_until_ready(probe: Callable[[], None], *, alive: Callable[[], None] = lambda: None) -> None:
    """Call `probe` until it returns. `alive` is asked in between and raises when there is nothing left to wait for.

    Raises:
        ServiceFailed: it did not answer within READY_WITHIN_SECONDS; the message has the last reason.
    """
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while True:
        try:
            return probe()
        except (NotReady, OSError) as error:
            reason = f"{type(error).__name__}: {error}"
        alive()
        if time.monotonic() > deadline:
            raise ServiceFailed(f"no answer within {READY_WITHIN_SECONDS:.0f} s ({reason})")
        time.sleep(PAUSE_SECONDS)
