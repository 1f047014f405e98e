"""What docs/embedding.md shows works as it stands there, on an issuer whose folder is `.tocsin`."""

import asyncio
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.services.ports import free_ports
from tocsin.admin_client import AdminClient
from tocsin.processes import Program
from tocsin.workspace import Workspace, read_credentials

GUIDE: Final = Path(__file__).parents[2] / "docs" / "embedding.md"
SOON: Final = 60.0
"""Seconds within which what is expected happens."""

TELLS_WORKER: Final = """
import os
shown = application

def application(environ, start_response):
    def tells(status, headers):
        return start_response(status, [*headers, ("Worker", str(os.getpid()))])
    return shown(environ, tells)
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)


def shown(name: str) -> Any:
    """What the one Python block defines that defines this."""
    [block] = [block for block in blocks("python") if re.search(rf"^(?:async )?def {name}\b", block, re.MULTILINE)]
    namespace: dict[str, Any] = {"__name__": name}
    exec(block, namespace)  # noqa: S102 - our own guide
    return namespace[name]


@dataclass(frozen=True)
class Issuer:
    """A running issuer."""

    url: str

    async def token(self, scope: str = "demo:read demo:write") -> str:
        """A new one of the demo client's."""
        client = read_credentials(Path(".tocsin/demo-client.json"))
        who = {"Authorization": aiohttp.encode_basic_auth(client.client_id, client.client_secret)}
        form = {"grant_type": "client_credentials", "scope": scope}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/oauth2/token", data=form, headers=who) as answer,
        ):
            token: str = (await answer.json())["access_token"]
            return token

    async def revoke_all(self) -> None:
        """Every token there is by now."""
        async with AdminClient(self.url, read_credentials(Path(".tocsin/operator.json"))) as admin:
            body = {"selector": {"sub": "demo"}, "reason": "the guide is tried"}
            assert (await admin.post("/admin/v1/revocations", body, wait=5))["published"]


@pytest.fixture
async def issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Issuer]:
    monkeypatch.chdir(tmp_path)
    await Workspace(Path(".tocsin")).set_up(port=0, sidecar_port=0)
    async with Program("issuer", ["tocsin", "issuer", "--json"], tmp_path) as program:
        yield Issuer(f"http://127.0.0.1:{program.announcement['port']}")


def test_every_block_is_run_by_a_test() -> None:
    assert len(blocks("python")) == 4
    assert len(blocks("sh")) == 1
    assert GUIDE.read_text().count("```") == 2 * 5


async def test_a_service_on_an_event_loop(issuer: Issuer) -> None:
    async with TestClient(TestServer(shown("create_app")())) as http:

        async def ask(authorization: str) -> tuple[int, str]:
            async with http.get("/", headers={"Authorization": authorization}) as answer:
                return answer.status, answer.headers.get("WWW-Authenticate", await answer.text())

        token = await issuer.token()
        assert await ask(f"Bearer {token}") == (200, "hello demo")
        assert await ask("Basic eDp5") == (401, "Bearer")
        assert (await ask(f"bearer {await issuer.token('demo:write')}"))[0] == 403
        await issuer.revoke_all()
        async with asyncio.timeout(SOON):
            while (refused := await ask(f"Bearer {token}"))[0] == 200:  # noqa: ASYNC110 - it is heard elsewhere
                await asyncio.sleep(0.005)
        revoked = 'Bearer error="invalid_token", error_description="The access token has been revoked"'
        assert refused == (401, revoked)


async def test_a_synchronous_program(issuer: Issuer, capsys: pytest.CaptureFixture[str]) -> None:
    token, main = await issuer.token(), shown("main")
    await asyncio.to_thread(main, token)
    await issuer.revoke_all()
    await asyncio.to_thread(main, token)

    assert capsys.readouterr().out == "hello demo\nrefused: 401 The access token has been revoked\n"


async def test_a_program_behind_the_sidecar(issuer: Issuer, tmp_path: Path) -> None:
    ask, token = shown("ask"), await issuer.token()
    async with Program("agent", ["tocsin", "agent", "--json"], tmp_path) as program:
        sidecar = f"http://127.0.0.1:{program.announcement['port']}"
        status, claims = await asyncio.to_thread(ask, token, sidecar)
        assert status == 200
        assert '"sub":"demo"' in claims
        assert await asyncio.to_thread(ask, await issuer.token("demo:write"), sidecar) == (403, "")
        assert await asyncio.to_thread(ask, "no token", sidecar) == (401, "")
    assert await asyncio.to_thread(ask, token, sidecar) == (503, "")


# -- under gunicorn


class Gunicorn:
    """The guide's command with the guide's module, on a port of its own."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, http: aiohttp.ClientSession) -> None:
        self.process = process
        self._url = f"http://127.0.0.1:{port}/"
        self._http = http

    async def ask(self, token: str | None) -> tuple[int, str]:
        """Status, and by which worker."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with self._http.get(self._url, headers=headers) as answer:
            return answer.status, answer.headers["Worker"]

    async def until_both(self, token: str, status: int, but: frozenset[str] = frozenset()) -> frozenset[str]:
        """Wait until both workers, other ones than ``but``, answer like this twenty times in a row; who they are."""
        in_a_row: list[str] = []
        async with asyncio.timeout(SOON):
            while len(in_a_row) < 20 or len(set(in_a_row)) < 2:
                try:
                    answered, worker = await self.ask(token)
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)  # it is starting, or a worker has just ended
                    continue
                in_a_row = [*in_a_row, worker] if answered == status and worker not in but else []
        return frozenset(in_a_row)

    async def end(self) -> int:
        """How it exits when it is told to."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(SOON):
            return await self.process.wait()


@asynccontextmanager
async def gunicorn(folder: Path, *, preload: bool) -> AsyncIterator[Gunicorn]:
    [module] = [block for block in blocks("python") if "class Protected" in block]
    (folder / "orders.py").write_text(module + TELLS_WORKER)
    [port] = free_ports(1)
    command = shlex.split(blocks("sh")[0].replace(":8000", f":{port}"))
    assert command[0] == "gunicorn"
    if not preload:
        command.remove("--preload")
    with (folder / "gunicorn.log").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *command, cwd=folder, stdout=output, stderr=output
        )
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
            yield Gunicorn(process, port, http)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("preload", [True, False])
async def test_gunicorn_workers_hear_of_revocations_through_reloads(
    issuer: Issuer, tmp_path: Path, preload: bool
) -> None:
    async with gunicorn(tmp_path, preload=preload) as server:
        first = await issuer.token()
        workers = await server.until_both(first, 200)
        assert (await server.ask(None))[0] == 401
        assert (await server.ask(await issuer.token("demo:write")))[0] == 403
        await issuer.revoke_all()
        await server.until_both(first, 401)

        server.process.send_signal(signal.SIGHUP)
        second = await issuer.token()
        reloaded = await server.until_both(second, 200, but=workers)
        assert not reloaded & workers
        await server.until_both(first, 401)
        await issuer.revoke_all()
        await server.until_both(second, 401)

        assert await server.end() == 0
    complaints = re.compile(r"Traceback|Error|Exception|Warning|Task was|\[ERROR\]|agent_")
    assert not complaints.search((tmp_path / "gunicorn.log").read_text())
