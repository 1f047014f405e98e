"""A child process of the harness: it can be asked, frozen, killed and started again, and never outlives us."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from verifier_agent.configuration import PREFIX

START_SECONDS: Final = 60.0
ANSWER_SECONDS: Final = 30.0
STOP_SECONDS: Final = 20.0
PR_SET_PDEATHSIG: Final = 1
PR_CAPBSET_DROP: Final = 24
CAP_DAC_OVERRIDE: Final = 1
"""Linux lets root write into read-only folders by this (capabilities(7)); a child is as any other user."""


class ChildFailed(Exception):
    """A child did not start, or does not answer; the message has the end of what it said."""


class Child:
    """``python -m`` with some arguments.

    Attributes:
        name: for messages.
        log: what it has written to standard error, a line each, over all its lives.
    """

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        self.name = name
        self.log: list[str] = []
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._asking = asyncio.Lock()
        self._number = 0
        self._libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> dict[str, Any]:
        """Start it; its first message.

        Raises:
            ChildFailed: it ended, or said nothing in time.
        """
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error::ResourceWarning", "-m", *self._arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
            start_new_session=True,
            preexec_fn=self._as_a_child,
            limit=1 << 24,
        )
        self._reading = asyncio.create_task(self._read_log(self._process))
        try:
            return await self._said(START_SECONDS)
        except ChildFailed:
            await self.kill()
            raise

    async def ask(self, message: object, seconds: float = ANSWER_SECONDS) -> Any:
        """What it answers.

        Raises:
            ChildFailed: nothing in time, or it has ended.
        """
        async with self._asking:
            assert self._process is not None
            assert self._process.stdin is not None
            self._number += 1
            with suppress(ConnectionError):
                self._process.stdin.write(msgspec.json.encode({"number": self._number, "ask": message}) + b"\n")
                await self._process.stdin.drain()
            said = await self._said(seconds)
            while said["number"] != self._number:  # the answer to a question that was given up
                said = await self._said(seconds)
            return said["answer"]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def kill(self) -> None:
        """End it at once, as a lost machine would."""
        if self.is_running:
            self.signal(signal.SIGKILL)
        await self._ended()

    async def stop(self) -> None:
        """Close its input, and wait until it has ended; kill it when it does not."""
        if self._process is None:
            return
        if self.is_running and self._process.stdin is not None:
            self.signal(signal.SIGCONT)
            self._process.stdin.close()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._ended()
        except TimeoutError:
            self.log.append(f"Traceback: {self.name} did not end by itself within {STOP_SECONDS:.0f} s")
            await self.kill()

    async def _ended(self) -> None:
        assert self._process is not None
        assert self._reading is not None
        await self._process.wait()
        await self._reading

    async def _said(self, seconds: float) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(seconds):
                line = await self._process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            end = "\n".join(self.log[-15:])
            raise ChildFailed(f"{self.name} does not answer (exit code {self._process.returncode}):\n{end}")
        answer: dict[str, Any] = msgspec.json.decode(line)
        return answer

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self.log.append(line.decode(errors="replace").rstrip())

    def _as_a_child(self) -> None:
        """In the child, before it becomes Python: die with the parent, and mind read-only folders."""
        if self._libc is not None:
            self._libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            self._libc.prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
