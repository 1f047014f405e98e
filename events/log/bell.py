"""How whoever appends to a file wakes those who wait for it: each of them has a named pipe in a folder beside the file.

A byte in it says no more than: look again. Who has access to the folder may do that.
"""

import asyncio
import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

SAFETY_SECONDS: Final = 0.25
"""How often one who has a bell looks all the same: whoever appends may not know of bells, or not reach them."""
POLL_SECONDS: Final = 0.005
"""How often one looks who has none, as where the system has no named pipes."""


class Bell:
    """One waiter's pipe. It is hung up once, from any thread; the rest belongs to one event loop."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / secrets.token_hex(8)
        self._pipe: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rung = asyncio.Event()

    def hang_up(self) -> None:
        """Make the pipe, if that can be done here."""
        new = self._path.with_name(f".{self._path.name}")  # whoever rings takes one that nobody reads for left behind
        with suppress(OSError, AttributeError, NotImplementedError):
            self._path.parent.mkdir(exist_ok=True)
            os.mkfifo(new)
            new.chmod(0o622)  # whoever gets into the folder may ring
            self._pipe = os.open(new, os.O_RDWR | os.O_NONBLOCK)  # as a writer too, it never sees the end of writers
            new.rename(self._path)

    def listen(self) -> asyncio.Event:
        """What is set when it rings next: look for news after this, and then wait for it."""
        if self._loop is None and self._pipe is not None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._pipe, self._hear)
        return self._rung

    async def wait(self, rung: asyncio.Event, seconds: float) -> None:
        """Until it rings or should be looked anyway, at most so long."""
        if self._pipe is None:
            await asyncio.sleep(min(seconds, POLL_SECONDS))
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, SAFETY_SECONDS)):
                await rung.wait()

    def close(self) -> None:
        """Take it down, and wake who waits."""
        self._rung.set()
        if self._loop is not None and self._pipe is not None:
            self._loop.remove_reader(self._pipe)
        if self._pipe is not None:
            os.close(self._pipe)
            self._path.unlink(missing_ok=True)
        self._pipe = None

    def _hear(self) -> None:
        if self._pipe is not None:
            with suppress(BlockingIOError):
                os.read(self._pipe, 4096)
        self._rung.set()
        self._rung = asyncio.Event()


def ring(folder: Path) -> None:
    """Wake all who wait, and clear away what a process has left that is no more."""
    try:
        bells = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError:  # nobody has ever waited
        return
    for bell in bells:
        try:
            pipe = os.open(bell, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno == errno.ENXIO:
                with suppress(OSError):
                    bell.unlink()
            continue
        try:
            if stat.S_ISFIFO(os.fstat(pipe).st_mode):
                os.write(pipe, b"\n")
        except OSError:  # it is full: who reads it has enough to wake up for
            continue
        finally:
            os.close(pipe)
