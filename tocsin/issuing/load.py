"""``python -m tocsin.issuing.load``: sends a request over and over by many connections, and says how that went.

It says ``{"ready": true}``, and then answers each ``Order``, a line of JSON, with a ``Load``. It speaks HTTP/1.1 by
itself, just enough for answers of a stated length: an HTTP client would take more of the processor than the server.
"""

import asyncio
import re
import sys
import time
from array import array
from functools import partial
from itertools import cycle, islice
from typing import Final, cast

import click
import msgspec

from tocsin.errors import CommandFailed
from tocsin.serving import run

END_OF_HEAD: Final = b"\r\n\r\n"
LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
PATIENCE: Final = 300.0
ORDER_BYTES: Final = 1 << 24
"""Of one order at most: it may hold a request for each of hundreds of people."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to send.

    Attributes:
        port: of this machine.
        requests: head and body of each, as they are sent. A connection sends one of them over and over, the next
            connection the next one.
        connections: each sends the next request when it has the answer to the one before.
        seconds: after which no further request is sent.
        most: requests of one connection at most, whatever the time.
        pause: seconds from an answer to the next request of the same connection.
    """

    port: int
    requests: tuple[bytes, ...]
    connections: int
    seconds: float
    most: int = sys.maxsize
    pause: float = 0.0


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How it went.

    Attributes:
        answers: with status 200.
        refused: with any other.
        seconds: from the first request to the last answer.
        p50: milliseconds from a request to its answer.
        p99: of the same.
        most: of the same.
    """

    answers: int
    refused: int
    seconds: float
    p50: float
    p99: float
    most: float


class _Sender:
    """The connections of one order."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.times = array("d")
        self.refused = 0
        self.end = time.perf_counter() + order.seconds
        self.open = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def failed(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(CommandFailed(f"the load could not be put on port {self.order.port}: {why}"))

    def closed(self) -> None:
        self.open -= 1
        if not self.open and not self.done.done():
            self.done.set_result(None)


class _Connection(asyncio.Protocol):
    def __init__(self, sender: _Sender, request: bytes) -> None:
        self._sender = sender
        self._request = request
        self._left = sender.order.most
        self._received = b""
        self._length = -1  # of the answer that is coming, once its head is there
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # of a TCP connection
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._length < 0 and not self._head_is_there():
            return
        if len(self._received) < self._length:
            return
        now = time.perf_counter()
        self._sender.times.append(now - self._sent)
        self._sender.refused += self._received[9:12] != b"200"
        self._received, self._length = b"", -1
        self._left -= 1
        order = self._sender.order
        if now + order.pause < self._sender.end and self._left > 0:
            if order.pause:
                asyncio.get_running_loop().call_later(order.pause, self._send)
            else:
                self._send()
        else:
            self._sender.closed()
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._transport.is_closing() or error is not None:
            self._sender.failed(f"the connection was lost: {error}")

    def eof_received(self) -> None:
        self._sender.failed("the connection was closed")

    def _head_is_there(self) -> bool:
        end = self._received.find(END_OF_HEAD)
        if end < 0:
            return False
        if not (length := LENGTH.search(self._received, 0, end)):
            self._sender.failed("an answer does not state its length")
            return False
        self._length = end + len(END_OF_HEAD) + int(length[1])
        return True

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)


async def put(order: Order) -> Load:
    """Send what is ordered.

    Raises:
        CommandFailed: a connection could not be made, or was lost.
        TimeoutError: there were no answers for minutes beyond the time.
    """
    sender, loop = _Sender(order), asyncio.get_running_loop()
    began, sender.open = time.perf_counter(), order.connections
    async with asyncio.timeout(order.seconds + PATIENCE):
        for request in islice(cycle(order.requests), order.connections):
            await loop.create_connection(partial(_Connection, sender, request), "127.0.0.1", order.port)
        await sender.done
    took, times = time.perf_counter() - began, sorted(sender.times)
    p50, p99 = (1000 * times[-(-share * len(times) // 100) - 1] for share in (50, 99))
    return Load(
        answers=len(times) - sender.refused,
        refused=sender.refused,
        seconds=took,
        p50=p50,
        p99=p99,
        most=1000 * times[-1],
    )


async def main() -> None:
    """Serve the parent until it closes the pipe."""
    orders = asyncio.StreamReader(limit=ORDER_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    _say({"ready": True})
    while line := await orders.readline():
        _say(await put(msgspec.json.decode(line, type=Order)))


def _say(message: object) -> None:
    click.echo(msgspec.json.encode(message))
    sys.stdout.flush()


if __name__ == "__main__":
    run(main)
