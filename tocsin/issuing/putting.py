"""Putting a load on a server, by a process that does nothing else."""

from pathlib import Path

import msgspec

from tocsin.errors import CommandFailed
from tocsin.issuing.load import Load, Order
from tocsin.processes import Program


def load_program(folder: Path, name: str = "load") -> Program:
    """See ``tocsin.issuing.load``; its errors are kept in ``folder``."""
    return Program(name, ["tocsin.issuing.load"], folder)


async def put(load: Program, order: Order) -> Load:
    """How it went.

    Raises:
        CommandFailed: it could not be put, or a request was refused.
    """
    await load.write(order)
    found = msgspec.convert(await load.read(), Load)
    if found.refused:
        raise CommandFailed(f"{found.refused} of {found.answers + found.refused} requests were refused")
    return found
