"""What ``tocsin init`` makes, with a folder of a test's own in a real Consul."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from tests.services.service import Service
from tocsin.workspace import Workspace

SOON: Final = 60.0
"""Seconds within which what is expected happens; none of it takes that long."""


async def workspace_in_consul(folder: Path, consul: Service) -> Workspace:
    """A workspace below ``folder`` whose programs are told by Consul too."""
    workspace = Workspace(folder / ".tocsin")
    await workspace.set_up(port=0, sidecar_port=0)
    with workspace.config.open("a") as config:
        config.write(f'consul = "{consul.address}/{folder.name}"\n')
    return workspace


def say_where(workspace: Workspace, port: int) -> str:
    """Have the configuration name the port that its issuer has been given; the issuer's URL."""
    url = f"http://127.0.0.1:{port}"
    said = workspace.config.read_text().replace('issuer = "http://127.0.0.1:0"', f'issuer = "{url}"')
    workspace.config.write_text(said)
    return url


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(SOON):
        while not await holds():  # noqa: ASYNC110 - it is to be asked
            await asyncio.sleep(0.05)
