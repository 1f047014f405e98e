"""A worker's side: it must not outlive its parent."""

import asyncio
import os
import signal


def end_with_it(pipe: int) -> None:
    """Stop, as if told to, when the other end of the pipe is closed: the parent is gone.

    Args:
        pipe: file descriptor that nothing is ever written to.
    """
    loop = asyncio.get_running_loop()

    def look() -> None:
        if not os.read(pipe, 1024):
            loop.remove_reader(pipe)
            signal.raise_signal(signal.SIGTERM)

    loop.add_reader(pipe, look)
