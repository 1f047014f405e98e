"""``tocsin issuer`` as a process, started on an installation and ended in the ways that processes end."""

import asyncio
import json
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from aiohttp import ClientSession, ClientTimeout, TCPConnector

from tests.issuer_under_test import ANSWER_SECONDS, Credentials, Installation, IssuerClient

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0


class IssuerProcess(IssuerClient):
    """A running ``tocsin issuer``.

    Attributes:
        process: the process itself.
        log: what it has written to standard error, as far as it has been read.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, url: str, session: ClientSession, operator: Credentials
    ) -> None:
        super().__init__(url, session, operator)
        self.process = process
        self.log: list[str] = []
        self._reading = asyncio.create_task(self._read_log())

    @classmethod
    @asynccontextmanager
    async def started(
        cls,
        installation: Installation,
        *,
        tls: ssl.SSLContext | None = None,
        program: Sequence[str] = ("tocsin",),
        **more: object,
    ) -> AsyncIterator["IssuerProcess"]:
        """A process on any free port, and its end whatever happens.

        Args:
            installation: whose settings it has.
            tls: what a client trusts, where it is to be talked to over TLS.
            program: module that takes what ``tocsin`` does, and its own arguments before those.
            more: further settings, by name.
        """
        settings = installation.settings
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")} | {
            "TOCSIN_ISSUER": settings.issuer,
            "TOCSIN_STORE": settings.store,
            "TOCSIN_LOG": settings.log,
            "TOCSIN_KEK_FILE": str(settings.kek_file),
            "TOCSIN_AUDIENCE": settings.audience,
            "TOCSIN_LOG_FORMAT": "json",
            **{f"TOCSIN_{name.upper()}": str(value) for name, value in more.items()},
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-m", *program, "issuer", "--json", "--port", "0"),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            url = await _address(process, "http" if tls is None else "https")
            connector = TCPConnector(ssl=tls if tls is not None else True)
            async with ClientSession(connector=connector, timeout=ClientTimeout(total=ANSWER_SECONDS)) as session:
                issuer = cls(process, url, session, installation.operator)
                yield issuer
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await issuer._reading

    async def kill(self) -> None:
        """End it at once, as a lost machine would."""
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """Ask it to end, wait until it has; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_SECONDS):
            code = await self.process.wait()
        await self._reading
        return code

    async def relay(self) -> str:
        """What its relay is doing."""
        state: str = (await self.send("GET", "/readyz")).json()["relay"]
        return state

    async def _read_log(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.log.append(line.decode(errors="replace").rstrip())


async def _address(process: asyncio.subprocess.Process, scheme: str) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(START_SECONDS):
        line = await process.stdout.readline()
        if not line:
            raise AssertionError(f"the issuer did not start: {(await process.stderr.read()).decode()[-2000:]}")
    said = json.loads(line)
    return f"{scheme}://{said['host']}:{said['port']}"
