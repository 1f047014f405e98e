"""Serving an HTTP application until it is told to stop."""

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from tocsin.errors import ADDRESS_IN_USE, CommandFailed
from tocsin.tls import ServerTls

try:
    import uvloop

    new_event_loop: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
except ImportError:
    new_event_loop = None

SHUTDOWN_SECONDS: Final = 5.0
HEADER_BYTES: Final = 16 * 1024
"""Of one line of a request: room for a token that is too long to be answered as that, in the form of any refusal."""


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Where to listen, and how.

    Attributes:
        host: address to listen on.
        port: port to listen on; 0 for any free one.
        tls: the certificate to show; ``None`` for plain HTTP.
        shared: whether other processes listen on the same port (``SO_REUSEPORT``).
    """

    host: str
    port: int
    tls: ServerTls | None = None
    shared: bool = False


def _nobody() -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, kw_only=True)
class Stopping:
    """How to stop.

    Attributes:
        drain_seconds: how long to go on as before once told to stop; a second signal cuts that short.
        draining: called when that begins.
        seconds: how long requests in flight may then take.
    """

    drain_seconds: float = 0.0
    draining: Callable[[], None] = _nobody
    seconds: float = SHUTDOWN_SECONDS


def run(main: Callable[[], "asyncio.Future[None] | object"]) -> None:
    """Run a coroutine function on the fastest event loop that there is."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())  # type: ignore[arg-type]


async def serve(
    app: web.Application,
    listening: Listening,
    started: Callable[[int], None],
    stopping: Stopping | None = None,
    beside: Callable[[int], AbstractAsyncContextManager[None]] = lambda _: contextlib.nullcontext(),
) -> None:
    """Serve until SIGTERM or SIGINT, then say so for a while, then let requests in flight end.

    Args:
        app: what to serve.
        listening: where.
        started: called with the port, once it answers.
        stopping: how to stop; by default at once.
        beside: a context made with the port, that holds while it answers and is not about to stop.

    Raises:
        CommandFailed: the address is taken or not ours.
    """
    stopping = stopping or Stopping()
    signals = _Signals()
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=stopping.seconds,
        handle_signals=False,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
    )
    await runner.setup()
    try:
        await _listen(runner, listening)
        started(_port_of(runner))
        async with beside(_port_of(runner)):
            await signals.stop.wait()
        stopping.draining()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(stopping.drain_seconds):
                await signals.hurry.wait()
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await runner.cleanup()


class _Signals:
    """What the process is told from outside.

    Attributes:
        stop: SIGTERM or SIGINT has come.
        hurry: and once more.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._told)

    def _told(self) -> None:
        (self.hurry if self.stop.is_set() else self.stop).set()


async def _listen(runner: web.AppRunner, listening: Listening) -> None:
    context = None if listening.tls is None else listening.tls.context
    site = web.TCPSite(runner, listening.host, listening.port, ssl_context=context, reuse_port=listening.shared or None)
    try:
        await site.start()
    except OSError as error:
        raise cannot_listen(listening.host, listening.port, error) from error


def cannot_listen(host: str, port: int, error: OSError) -> CommandFailed:
    """What to say of a port that cannot be had."""
    code = ADDRESS_IN_USE if error.errno == errno.EADDRINUSE else "failed"
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return CommandFailed(f"cannot listen on {host}:{port}: {reason}", code=code)


def _port_of(runner: web.AppRunner) -> int:
    address = runner.addresses[0]
    return int(address[1])
