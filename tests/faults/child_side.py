"""What a child process of the harness hears and says: JSON, a line a message, until its parent is gone."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

Asked = Callable[[dict[str, Any]], Awaitable[object]]


async def answer(asked: Asked) -> None:
    """Answer what the parent asks on standard input, one after the other, until that ends."""
    reader = asyncio.StreamReader(limit=1 << 24)
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    try:
        while line := await reader.readline():
            message = msgspec.json.decode(line)
            say({"number": message["number"], "answer": await asked(message["ask"])})
    finally:
        pipe.close()


def say(message: object) -> None:
    """Say something on standard output."""
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()
