"""Tocsin's own programs as child processes, for the demonstration and the benchmarks."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from tocsin.errors import CommandFailed
from verifier_agent.configuration import PREFIX

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 10.0
SIGNALS_TO_END: Final = (signal.SIGTERM, signal.SIGHUP)
"""Beside Ctrl-C: somebody ends us, the terminal closes."""

ResultT = TypeVar("ResultT")


def run_with_children(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a coroutine that starts programs; they are stopped too when a signal ends it.

    Raises:
        CommandFailed: a signal has ended it.
    """

    async def until_ended() -> ResultT:
        task, loop = asyncio.create_task(main), asyncio.get_running_loop()
        ended_by: list[signal.Signals] = []

        def end(number: signal.Signals) -> None:
            ended_by.append(number)
            task.cancel()

        for number in SIGNALS_TO_END:
            loop.add_signal_handler(number, end, number)
        try:
            return await task
        except asyncio.CancelledError:
            if not ended_by:
                raise
            raise CommandFailed(f"ended by {ended_by[0].name}") from None

    return asyncio.run(until_ended())


class Program:
    """One child process that says on its first line of output that it is there, and stops with its context."""

    def __init__(
        self, name: str, arguments: Sequence[str], logs: Path, *, program: Sequence[str] = (sys.executable, "-m")
    ) -> None:
        """Prepare to run ``python -m`` with ``arguments``.

        Args:
            name: for messages and for the log file's name.
            arguments: module and its arguments.
            logs: folder for its standard error.
            program: in place of ``python -m``.
        """
        self.name = name
        self._arguments = [*program, *arguments]
        self._log = logs / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None
        self.announcement: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        """Start it, and wait for its announcement.

        Raises:
            CommandFailed: it ended, or did not answer in time; the message has the end of its log.
        """
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=without_settings(os.environ),
                start_new_session=True,  # Ctrl-C is for us; we stop our children ourselves
            )
        try:
            async with asyncio.timeout(START_SECONDS):
                self.announcement = await self.read()
        except (TimeoutError, CommandFailed, asyncio.CancelledError) as error:
            await self._stop()
            if isinstance(error, asyncio.CancelledError):
                raise
            raise self._not_started() from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def read(self) -> dict[str, Any]:
        """The next line that it writes, as JSON.

        Raises:
            CommandFailed: it has ended.
        """
        line = await self._running.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise CommandFailed(f"{self.name} has ended; see {self._log}")
        answer: dict[str, Any] = msgspec.json.decode(line)
        return answer

    async def must_go_on(self) -> None:
        """Wait for its end, which is none that was asked for.

        Raises:
            CommandFailed: it has ended.
        """
        status = await self._running.wait()
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with exit code {status}"
        raise CommandFailed(f"{self.name} has ended, {how}; see {self._log}")

    def _not_started(self) -> CommandFailed:
        """Why it did not: in the words of its own error, or by the end of its log."""
        lines = self._log.read_text(errors="replace").splitlines()
        try:
            error = msgspec.json.decode(lines[-1] if lines else "", type=_Error)
        except msgspec.MsgspecError:
            return CommandFailed("\n".join([f"{self.name} did not start:", *lines[-15:]]))
        return CommandFailed(f"{self.name} did not start: {error.detail}", code=error.error)

    async def write(self, message: object) -> None:
        """Send it one line of JSON."""
        stdin = self._running.stdin
        if stdin is not None:
            stdin.write(msgspec.json.encode(message) + b"\n")
            await stdin.drain()

    @property
    def pid(self) -> int:
        """Of the running process."""
        return self._running.pid

    @property
    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running; use it as a context")
        return self._process

    async def _stop(self) -> None:
        process = self._running
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


class _Error(msgspec.Struct, frozen=True):
    """What a command with ``--json`` says of its failure."""

    error: str
    detail: str


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment less our settings: a child is told everything by its configuration file."""
    return {name: value for name, value in environ.items() if not name.startswith(PREFIX)}


@asynccontextmanager
async def workers(
    name: str, command: Callable[[int], Sequence[str]], logs: Path, *, agents: int, processes: int
) -> AsyncIterator[list[Program]]:
    """Programs that have so many agents in all, as evenly as it goes.

    Args:
        name: of each, before its number.
        command: module and arguments of one with so many agents.
        logs: see ``Program``.
        agents: in all of them.
        processes: how many programs.

    Raises:
        CommandFailed: one does not start.
    """
    async with AsyncExitStack() as stack:
        started = []
        for index in range(processes):
            share = agents // processes + (index < agents % processes)
            program = Program(f"{name}-{index}", command(share), logs)
            started.append(await stack.enter_async_context(program))
        yield started
