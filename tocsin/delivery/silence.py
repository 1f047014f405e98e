"""Services that fall silent, as seen from within one process: nothing that they say is heard, for as long as asked."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

HUNG: Final = "hung"
"""Connections come about, and then nothing more is heard: a program that was stopped."""
BLACK_HOLE: Final = "black hole"
"""Connections do not come about either: packets that are dropped on their way."""


class Silence:
    """Watches the connections that an event loop makes, by the port that they go to."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._connect: Callable[..., Any] = loop.create_connection
        self._transports: dict[int, list[asyncio.Transport]] = {}
        self._silent: dict[int, str] = {}
        loop.create_connection = self._connected  # type: ignore[assignment,method-assign]

    @contextmanager
    def of(self, port: int, fault: str | None) -> Iterator[None]:
        """Hear nothing of what is at ``port`` inside the context, in the manner of ``fault``; without one, as usual."""
        if fault is None:
            yield
            return
        self._silent[port] = fault
        for transport in self._open(port):
            transport.pause_reading()
        try:
            yield
        finally:
            del self._silent[port]
            for transport in self._open(port):
                transport.resume_reading()

    async def _connected(self, factory: Callable[[], Any], host: Any = None, port: Any = None, **options: Any) -> Any:
        if self._silent.get(port) == BLACK_HOLE:
            await asyncio.get_running_loop().create_future()
        transport, protocol = await self._connect(factory, host, port, **options)
        self._transports.setdefault(port, []).append(transport)
        if port in self._silent:
            transport.pause_reading()
        return transport, protocol

    def _open(self, port: int) -> list[asyncio.Transport]:
        still = [transport for transport in self._transports.get(port, ()) if not transport.is_closing()]
        self._transports[port] = still
        return still
