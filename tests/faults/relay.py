"""A TCP relay between two parts of an installation, which can be made as bad as a network."""

import asyncio
import socket
import struct
from contextlib import suppress
from enum import StrEnum
from typing import Final

DELAY_SECONDS: Final = 0.5
PIECE_BYTES: Final = 256 * 1024
IN_FLIGHT: Final = 1000
"""Pieces that a slow line holds; then it takes no more."""
ABORT: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset (socket(7))."""


class Mode(StrEnum):
    """How the line is.

    ``PASS``: as if there were none. ``BLACK_HOLE``: what is sent gets lost, and so do attempts to connect. ``RESET``:
    each connection is reset, and so is each new one. ``SLOW``: everything arrives half a second late. ``REFUSE``:
    nobody listens; connections that are there stay.
    """

    PASS = "pass"
    BLACK_HOLE = "black_hole"
    RESET = "reset"
    SLOW = "slow"
    REFUSE = "refuse"


class Relay:
    """Listens on one port and passes everything on to another."""

    def __init__(self, port: int, target: int) -> None:
        self.mode = Mode.PASS
        self._port = port
        self._target = target
        self._passing = asyncio.Event()
        self._passing.set()
        self._server: asyncio.Server | None = None
        self._plugs: list[socket.socket] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self._port, limit=PIECE_BYTES)

    async def set(self, mode: Mode) -> None:
        """Be like that from now on."""
        self.mode = mode
        await self._leave_port()
        if mode is Mode.BLACK_HOLE:
            self._passing.clear()
            self._plug()
        else:
            self._passing.set()
        if mode is Mode.RESET:
            await self._reset_all()
        if mode not in (Mode.BLACK_HOLE, Mode.REFUSE):
            await self.start()

    async def close(self) -> None:
        """Let go of everything."""
        await self._leave_port()
        await self._reset_all()

    async def _leave_port(self) -> None:
        if self._server is not None:
            self._server.close()  # not awaited: connections that are there stay
            self._server = None
        for plug in self._plugs:
            plug.close()
        self._plugs = []

    def _plug(self) -> None:
        """Listen with a queue that is full: the kernel drops whatever asks for a connection."""
        listening = socket.create_server(("127.0.0.1", self._port), backlog=0)
        self._plugs = [listening]
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(listening.getsockname())
            self._plugs.append(client)

    async def _reset_all(self) -> None:
        connections = list(self._connections)
        for task in connections:
            task.cancel()
        if connections:
            await asyncio.wait(connections)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._connect(reader, writer)
        except (OSError, asyncio.CancelledError):
            _abort(writer)
        finally:
            self._connections.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode is Mode.RESET:
            raise ConnectionResetError
        there, back = await asyncio.open_connection("127.0.0.1", self._target, limit=PIECE_BYTES)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(reader, back))
                both.create_task(self._pass_on(there, writer))
        except* OSError as errors:
            raise ConnectionResetError from errors
        finally:
            _abort(back)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, to the end of what is sent."""
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(IN_FLIGHT)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._take(reader, line))
            both.create_task(self._give(line, writer))

    async def _take(self, reader: asyncio.StreamReader, line: asyncio.Queue[tuple[float, bytes]]) -> None:
        piece = b"first"
        while piece:
            piece = await reader.read(PIECE_BYTES)
            late = DELAY_SECONDS if self.mode is Mode.SLOW else 0.0
            await line.put((asyncio.get_running_loop().time() + late, piece))

    async def _give(self, line: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        while True:
            due, piece = await line.get()
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            await self._passing.wait()
            if not piece:
                break
            writer.write(piece)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close at once, with a reset."""
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    writer.transport.abort()
