"""Serving an HTTP application until it is told to stop."""

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from aiohttp import web

from tocsin.errors import ADDRESS_IN_USE, CommandFailed

try:
    import uvloop

    new_event_loop: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
except ImportError:
    new_event_loop = None

SHUTDOWN_SECONDS: Final = 5.0
HEADER_BYTES: Final = 16 * 1024
"""Of one line of a request: room for a token that is too long to be answered as that, in the form of any refusal."""


def run(main: Callable[[], "asyncio.Future[None] | object"]) -> None:
    """Run a coroutine function on the fastest event loop that there is."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())  # type: ignore[arg-type]


async def serve(
    app: web.Application,
    host: str,
    port: int,
    started: Callable[[int], None],
    beside: Callable[[int], AbstractAsyncContextManager[None]] = lambda _: contextlib.nullcontext(),
) -> None:
    """Serve until SIGTERM or SIGINT, then let requests in flight end.

    Args:
        app: what to serve.
        host: address to listen on.
        port: port to listen on; 0 for any free one.
        started: called with the port, once it answers.
        beside: a context made with the port, that holds while it answers.

    Raises:
        CommandFailed: the address is taken or not ours.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=SHUTDOWN_SECONDS,
        handle_signals=False,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            code = ADDRESS_IN_USE if error.errno == errno.EADDRINUSE else "failed"
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise CommandFailed(f"cannot listen on {host}:{port}: {reason}", code=code) from error
        started(_port_of(runner))
        async with beside(_port_of(runner)):
            await stop.wait()
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await runner.cleanup()


def _port_of(runner: web.AppRunner) -> int:
    address = runner.addresses[0]
    return int(address[1])
