"""One worker, as the process that looks after it sees it."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from tocsin.errors import FAILED, CommandFailed

START_SECONDS: Final = 60.0


class Worker:
    """A child process that says on its first line of output that it listens, and ends when its input does.

    Attributes:
        index: its number, from 0.
        announcement: what it said when it listened.
    """

    def __init__(self, index: int, process: asyncio.subprocess.Process) -> None:
        self.index = index
        self.announcement: dict[str, Any] = {}
        self._process = process

    @classmethod
    async def started(cls, index: int, arguments: Sequence[str]) -> "Worker":
        """Run ``tocsin`` with these arguments, and wait until it listens.

        Raises:
            CommandFailed: it has ended, or does not listen in time; its exit code is in the error.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *(f"-W{option}" for option in sys.warnoptions), "-m", "tocsin", *arguments),
            stdin=asyncio.subprocess.PIPE,  # it ends when this does, so it does not outlive us
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us, and we pass it on once
        )
        worker = cls(index, process)
        try:
            async with asyncio.timeout(START_SECONDS):
                await worker._listens()
        except BaseException as error:
            await worker.kill()
            if isinstance(error, TimeoutError):
                raise CommandFailed(f"worker {index} did not listen within {START_SECONDS:.0f} s") from error
            raise
        return worker

    async def ended(self) -> int:
        """Wait for its end; its exit code."""
        return await self._process.wait()

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _listens(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        line = await self._process.stdout.readline()
        if not line:
            code = await self._process.wait()
            raise CommandFailed(
                f"worker {self.index} ended with exit code {code} before it listened",
                exit_code=code if code > 0 else FAILED,
            )
        self.announcement = msgspec.json.decode(line)
