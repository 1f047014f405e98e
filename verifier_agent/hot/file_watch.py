"""Notices that the configuration file has changed: by looking, and at once on SIGHUP."""

import asyncio
import signal
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from verifier_agent.clocks import Clock
from verifier_agent.hot.configuration import FILE, HotConfiguration

LOOK_SECONDS: Final = 0.5


class FileWatch:
    """Offers what the file says whenever its time, size or inode is another than before."""

    def __init__(self, path: Path, configuration: HotConfiguration, clock: Clock) -> None:
        """Set up; what the file says now is known already.

        Args:
            path: of the file.
            configuration: what to offer it to.
            clock: of this machine.
        """
        self._path = path
        self._configuration = configuration
        self._clock = clock
        self._seen = self._stamp()
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Have the file read again, changed or not."""
        self._asked.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._asked.wait()
            except TimeoutError:
                pass
            anyway = self._asked.is_set()
            self._asked.clear()
            await self.look(anyway=anyway)

    async def look(self, *, anyway: bool = False) -> None:
        """Look once."""
        stamp = self._stamp()
        if stamp == self._seen and not anyway:
            return
        self._seen, now = stamp, self._clock.now()
        try:
            said = tomllib.loads(self._path.read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            self._configuration.refuse(FILE, f"configuration file {self._path}: {error}", now)
            return
        await self._configuration.offer_file(said, now)

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


@asynccontextmanager
async def on_hangup(watch: FileWatch | None, also: Callable[[], None] | None = None) -> AsyncIterator[None]:
    """Have SIGHUP read the file again, and do what else is due then; it does not end the program in any case."""
    loop = asyncio.get_running_loop()

    def hung_up() -> None:
        if watch is not None:
            watch.ask()
        if also is not None:
            also()

    loop.add_signal_handler(signal.SIGHUP, hung_up)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
