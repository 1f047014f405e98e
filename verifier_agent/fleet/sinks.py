"""Where statuses go: into the event log, or to the issuer over HTTP when the log cannot be written to."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from events import LogError, Stream
from events.errors import LogMisconfigured
from events.log import EventLog

LOG_PATH: Final = "log"
ISSUER_PATH: Final = "issuer"
AGAIN_SECONDS: Final = 60.0
"""After how long a log that took no status is tried again; meanwhile they go to the issuer."""
APPEND_SECONDS: Final = 5.0


class StatusRefused(Exception):
    """A status or an enrolment did not arrive, or was not taken.

    Attributes:
        unknown: the issuer does not know the agent (any more): it is to enrol again.
    """

    def __init__(self, detail: str, *, unknown: bool = False) -> None:
        super().__init__(detail)
        self.unknown = unknown


class Enrolled(NamedTuple):
    """The issuer's answer to an enrolment: the highest ``seq`` that it has heard of this agent."""

    after: int


class StatusSink(Protocol):
    """Takes what an agent says of itself."""

    path: str

    async def send(self, status: bytes) -> None:
        """Hand over one signed status.

        Raises:
            StatusRefused: it has not arrived, or may not have.
        """

    async def close(self) -> None:
        """Let go of connections."""


class Registry(StatusSink, Protocol):
    """The issuer, who takes statuses too."""

    async def enrol(self, body: dict[str, Any]) -> Enrolled:
        """Be known to the issuer.

        Raises:
            StatusRefused: it does not answer, or refuses.
        """


class LogSink:
    """The agents stream of the log that the agent follows, over a connection of its own."""

    path = LOG_PATH

    def __init__(self, open_log: Callable[[], EventLog]) -> None:
        self._open_log = open_log
        self._log: EventLog | None = None
        self._read_only = False

    async def send(self, status: bytes) -> None:
        """See ``StatusSink.send``."""
        if self._read_only:
            raise StatusRefused("this log can only be read")
        if self._log is None:
            self._log = self._open_log()
        try:
            async with asyncio.timeout(APPEND_SECONDS):
                await self._log.append(Stream.AGENTS, [status])
        except LogMisconfigured as error:
            self._read_only = True
            await self.close()
            raise StatusRefused(str(error)) from error
        except (LogError, TimeoutError) as error:
            await self.close()
            raise StatusRefused(str(error) or "the log does not answer") from error

    async def close(self) -> None:
        """See ``StatusSink.close``."""
        event_log, self._log = self._log, None
        if event_log is not None:
            await event_log.close()


class Sinks:
    """Several sinks: the first that takes a status has it. One that failed is left out for a while.

    Attributes:
        path: of the one that took the newest.
    """

    def __init__(self, sinks: Sequence[StatusSink], boot: Callable[[], float]) -> None:
        """Set up.

        Args:
            sinks: in the order in which they are tried; the last is always tried.
            boot: seconds on a clock that nobody sets.
        """
        self.path: str | None = None
        self._sinks = sinks
        self._boot = boot
        self._again_at: dict[str, float] = {}

    async def send(self, status: bytes) -> None:
        """See ``StatusSink.send``; the error is that of the last."""
        *others, last = self._sinks
        for sink in others:
            if self._boot() < self._again_at.get(sink.path, 0.0):
                continue
            try:
                await sink.send(status)
            except StatusRefused:
                self._again_at[sink.path] = self._boot() + AGAIN_SECONDS
            else:
                self.path = sink.path
                return
        await last.send(status)
        self.path = last.path

    async def close(self) -> None:
        """Close each."""
        for sink in self._sinks:
            await sink.close()
