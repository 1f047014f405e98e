"""Looks after the workers: starts them, starts again who died, and passes on what it is told."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from tocsin.errors import CommandFailed
from tocsin.workers.restarts import Restarts
from tocsin.workers.worker import Worker

log = logging.getLogger(__name__)

MARGIN_SECONDS: Final = 10.0
"""Beyond what a worker may take to stop; then it is killed."""


class Supervisor:
    """The parent of all workers. It does not serve anybody itself, so there is little that could end it."""

    def __init__(self, count: int, arguments: Callable[[int], Sequence[str]], stop_seconds: float) -> None:
        """Set up.

        Args:
            count: how many workers.
            arguments: of the command line of each, by its number.
            stop_seconds: how long a worker may take to stop.
        """
        self._count = count
        self._arguments = arguments
        self._stop_seconds = stop_seconds
        self._workers: dict[int, Worker] = {}
        self._stop = asyncio.Event()
        self._fault: str | None = None

    async def run(self, started: Callable[[dict[str, Any]], None]) -> None:
        """Keep the workers going until SIGTERM or SIGINT, which they are passed; SIGHUP too.

        The first is waited for before the others start: it makes what the store lacks.

        Args:
            started: called with the announcement of the first when all listen.

        Raises:
            CommandFailed: one could not be started, died again and again, or did not end well.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping)
        loop.add_signal_handler(signal.SIGHUP, self._tell, signal.SIGHUP)
        try:
            await self._start(0)
            await asyncio.gather(*(self._start(index) for index in range(1, self._count)))
            if not self._stop.is_set():
                started(self._workers[0].announcement)
            await asyncio.gather(*(self._keep(index) for index in range(self._count)))
        finally:
            await asyncio.gather(*(worker.kill() for worker in self._workers.values()))
        if self._fault is not None:
            raise CommandFailed(self._fault)

    async def _start(self, index: int) -> None:
        worker = await Worker.started(index, self._arguments(index))
        self._workers[index] = worker
        if self._stop.is_set():  # told so while it started
            worker.tell(signal.SIGTERM)

    async def _keep(self, index: int) -> None:
        """Start it again whenever it has died, until told to stop; then wait for its end."""
        restarts, since = Restarts(), time.monotonic()
        while True:
            code = await self._end_of(self._workers[index])
            if self._stop.is_set():
                if code != 0:
                    self._fault = self._fault or f"worker {index} ended with exit code {code}"
                return
            lived = time.monotonic() - since
            log.error("worker_died", extra={"worker": index, "exit_code": code, "lived": round(lived, 1)})
            since = await self._again(index, restarts, lived)

    async def _again(self, index: int, restarts: Restarts, lived: float) -> float:
        """Start it again, in a while; when that was. When it is given up all are told to stop."""
        while not self._stop.is_set():
            pause = restarts.died(lived)
            if pause is None:
                self._fault = f"worker {index} died again and again; the log says how"
                self._stopping()
                break
            try:
                async with asyncio.timeout(pause):
                    await self._stop.wait()
            except TimeoutError:
                since = time.monotonic()
                try:
                    await self._start(index)
                except CommandFailed as error:
                    log.error("worker_not_started", extra={"worker": index, "error": str(error)})  # noqa: TRY400
                    lived = time.monotonic() - since
                else:
                    return since
        return time.monotonic()

    async def _end_of(self, worker: Worker) -> int:
        """Wait for its end, once told to stop not for ever; its exit code."""
        ending, told = asyncio.create_task(worker.ended()), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([ending, told], return_when=asyncio.FIRST_COMPLETED)
            _, late = await asyncio.wait([ending], timeout=self._stop_seconds + MARGIN_SECONDS)
            if late:
                log.error("worker_killed", extra={"worker": worker.index})
                await worker.kill()
            return await ending
        finally:
            told.cancel()
            ending.cancel()

    def _stopping(self) -> None:
        self._stop.set()
        self._tell(signal.SIGTERM)

    def _tell(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            worker.tell(number)
