"""How long from the start of ``tocsin revoke --file`` until every agent enforces all of it.

Issuer, command and agents are processes of this machine; the agents are spread over a few. Before and meanwhile an
operator revokes single tokens, one after the other: when they are refused by an agent of this process.
"""

import asyncio
import base64
import os
import resource
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from tocsin.admin_client import AdminClient
from tocsin.delivery import Spread, fetch_token
from tocsin.errors import CommandFailed
from tocsin.processes import Program, without_settings
from tocsin.settings import Credentials
from tocsin.workspace import Workspace, read_credentials
from verifier_agent import Agent, AgentSettings, Sources, TokenRejected

ENFORCED_SECONDS: Final = 600.0
REFUSED_SECONDS: Final = 120.0
IDLE_ROUNDS: Final = 20
WATCHED: Final = 3
"""Real tokens among those in the file: one near each end of it, one in its middle."""


class MassResult(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds from the start of the command, as a process; the single revocations' in milliseconds.

    Attributes:
        tokens: in the file.
        megabytes: of the file.
        checked: until the command has read and checked it.
        answered: until the issuer has decided and answered everything.
        published: until the event log has everything.
        first: until the first agent enforced everything.
        last: until the last one did.
        command_cpu: processor time of the command.
        agent_cpu: processor time of one agent, on average, until all of its process enforced everything.
        idle: single revocations before, from request to refusal.
        meanwhile: the same, from the start of the command until the last agent enforced everything.
        idle_answer: single revocations before, from request to answer.
        meanwhile_answer: the same, meanwhile.
    """

    tokens: int
    megabytes: float
    checked: float
    answered: float
    published: float
    first: float
    last: float
    command_cpu: float
    agent_cpu: float
    idle: Spread
    meanwhile: Spread
    idle_answer: Spread
    meanwhile_answer: Spread


async def measure_mass(
    workspace: Workspace, url: str, programs: Sequence[Program], *, tokens: int, batch_size: int
) -> MassResult:
    """Revoke a file of so many tokens.

    Args:
        workspace: has the configuration and the credentials.
        url: of the issuer.
        programs: the workers.
        tokens: how many.
        batch_size: in one revocation.

    Raises:
        CommandFailed: the command fails, or an agent does not enforce all of it.
    """
    client, operator = read_credentials(workspace.demo_client), read_credentials(workspace.operator)
    file = workspace.folder / "tokens.txt"
    settings = Sources.find({}, workspace.config).read(AgentSettings)
    async with (
        aiohttp.ClientSession() as session,
        AdminClient(url, operator) as admin,
        Agent(settings) as agent,
    ):
        watched = [await fetch_token(session, url, client) for _ in range(WATCHED)]
        await asyncio.to_thread(_write, file, tokens, watched)
        singles = _Singles(session, url, client, admin, agent)
        for _ in range(IDLE_ROUNDS):
            await singles.round()
        idle = singles.taken()
        # Small batches of single revocations count as digests too.
        expected = {"digests": tokens + IDLE_ROUNDS, "tokens": watched}
        await asyncio.gather(*(program.write(expected) for program in programs))
        await asyncio.gather(*(program.read() for program in programs))
        meanwhile = asyncio.create_task(singles.run())
        try:
            cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
            start = time.monotonic()
            report, start_up = await _revoke(workspace, url, file, batch_size)
            command_cpu = _seconds(resource.getrusage(resource.RUSAGE_CHILDREN)) - _seconds(cpu)
            async with asyncio.timeout(ENFORCED_SECONDS):
                reports = await asyncio.gather(*(program.read() for program in programs))
        except TimeoutError as error:
            raise CommandFailed(f"not everything was enforced after {ENFORCED_SECONDS:.0f} s") from error
        finally:
            singles.stop()
            await asyncio.wait([meanwhile])
        meanwhile.result()
        enforced = [at - start for each in reports for at in each["enforced"]]
        busy = singles.taken()
        return MassResult(
            tokens=tokens,
            megabytes=round(file.stat().st_size / 1e6, 1),
            checked=_rounded(start_up + report["checked_seconds"]),
            answered=_rounded(start_up + report["answered_seconds"]),
            published=_rounded(start_up + (report["published_seconds"] or report["seconds"])),
            first=_rounded(min(enforced)),
            last=_rounded(max(enforced)),
            command_cpu=_rounded(command_cpu),
            agent_cpu=_rounded(sum(each["cpu"] for each in reports) / len(enforced)),
            idle=Spread.of(idle["refused"]),
            meanwhile=Spread.of(busy["refused"]),
            idle_answer=Spread.of(idle["answered"]),
            meanwhile_answer=Spread.of(busy["answered"]),
        )


class _Singles:
    """An operator who revokes one token after the other."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, client: Credentials, admin: AdminClient, agent: Agent
    ) -> None:
        self._session, self._url, self._client = session, url, client
        self._admin, self._agent = admin, agent
        self._stopped = False
        self._times: dict[str, list[float]] = {"answered": [], "refused": []}

    def stop(self) -> None:
        self._stopped = True

    def taken(self) -> dict[str, list[float]]:
        """The times since the last call, in seconds."""
        times, self._times = self._times, {"answered": [], "refused": []}
        return times

    async def run(self) -> None:
        while not self._stopped:
            await self.round()
            await asyncio.sleep(0.05)

    async def round(self) -> None:
        token = await fetch_token(self._session, self._url, self._client)
        self._agent.verify(token)
        refused = asyncio.create_task(self._refusal(token))
        asked = time.monotonic()
        await self._admin.post("/admin/v1/revocations", {"token": token, "reason": "benchmark"})
        self._times["answered"].append(time.monotonic() - asked)
        async with asyncio.timeout(REFUSED_SECONDS):
            self._times["refused"].append(await refused - asked)

    async def _refusal(self, token: str) -> float:
        while True:
            try:
                self._agent.verify(token)
            except TokenRejected:
                return time.monotonic()
            await self._agent.changed()


async def _revoke(workspace: Workspace, url: str, file: Path, batch_size: int) -> tuple[Any, float]:
    """The command's report, and what it took beside what the report tells: its start, and a little for its end."""
    start = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tocsin", "--config", str(workspace.config), "revoke", "--json"),
        *("--file", str(file), "--reason", "benchmark", "--batch-size", str(batch_size), "--wait", "30"),
        env={**without_settings(os.environ), "TOCSIN_ISSUER": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode:
        raise CommandFailed(f"tocsin revoke --file ended with {process.returncode}: {err.decode()[-1000:]}")
    report = msgspec.json.decode(out)
    return report, time.monotonic() - start - report["seconds"]


def _write(file: Path, tokens: int, watched: Sequence[str]) -> None:
    """A file of so many tokens: the watched ones, and others with their header that nobody has issued."""
    header, payload, signature = watched[0].split(".")
    claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=="))
    places = {0: 0, tokens // 2: 1, tokens - 1: 2}
    with file.open("w") as lines:
        for number in range(tokens):
            if number in places:
                lines.write(watched[places[number]] + "\n")
                continue
            claims["jti"] = secrets.token_urlsafe(16)
            made_up = base64.urlsafe_b64encode(msgspec.json.encode(claims)).decode().rstrip("=")
            lines.write(f"{header}.{made_up}.{signature}\n")


def _seconds(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def _rounded(seconds: float) -> float:
    return round(seconds, 2)
