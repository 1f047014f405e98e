"""``tocsin config`` as an operator types it, on a real Consul, with an issuer and a sidecar that run as processes."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.consul_workspace import say_where, until, workspace_in_consul
from tests.integration.test_command_line import Shell
from tests.services.service import Service
from tocsin.delivery import fetch_token
from tocsin.processes import Program
from tocsin.workspace import read_credentials


@dataclass
class Installation(Shell):
    """An issuer and a sidecar that are told by Consul too."""

    issuer: str
    sidecar: str

    async def lifetime(self) -> int:
        """Seconds that a token lives which is issued now."""
        credentials = read_credentials(self.folder / ".tocsin" / "demo-client.json")
        async with aiohttp.ClientSession() as session:
            token = await fetch_token(session, self.issuer, credentials)
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return int(claims["exp"] - claims["iat"])

    async def told_sidecar(self) -> dict[str, Any]:
        """What the sidecar says of its settings."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.sidecar}/config") as answer:
            return {each["name"]: each["value"] for each in (await answer.json())["settings"]}


@pytest.fixture
async def installation(tmp_path: Path, consul: Service) -> AsyncIterator[Installation]:
    """Its folder in Consul is a test's own."""
    workspace = await workspace_in_consul(tmp_path, consul)
    program = ["tocsin", "--config", str(workspace.config)]
    async with (
        Program("issuer", [*program, "issuer", "--json"], tmp_path) as issuer,
        Program("agent", [*program, "agent", "--json"], tmp_path) as agent,
    ):
        url = say_where(workspace, issuer.announcement["port"])
        yield Installation(tmp_path, url, f"http://127.0.0.1:{agent.announcement['port']}")


async def test_what_is_set_is_in_force_at_issuer_and_sidecar_without_a_restart(installation: Installation) -> None:
    def tocsin(*arguments: str) -> Any:
        return asyncio.to_thread(installation.tocsin, "config", *arguments, "--json")

    async def lives(seconds: int) -> bool:
        return await installation.lifetime() == seconds

    async def stale_after(seconds: float) -> bool:
        return bool((await installation.told_sidecar())["max_staleness"] == seconds)

    assert await lives(900)
    set_at_issuer = (await tocsin("set", "issuer", "access_token_lifetime=77s", "refresh_grace=5s")).json()
    assert set_at_issuer["consul"] == {"access_token_lifetime": "77s", "refresh_grace": "5s"}
    await until(lambda: lives(77))
    assert (await tocsin("set", "agent", "max_staleness=33s")).code == 0
    await until(lambda: stale_after(33.0))

    shown = {each["name"]: each for each in (await tocsin("show")).json()["settings"]}
    assert shown["access_token_lifetime"]["source"].endswith("/issuer/access_token_lifetime")
    assert (await tocsin("check", "agent")).json() == {
        "program": "agent", "ok": True, "consul": {"max_staleness": "33s"}
    }  # fmt: skip

    assert (await tocsin("unset", "issuer", "access_token_lifetime")).json()["consul"] == {"refresh_grace": "5s"}
    await until(lambda: lives(900))


async def test_what_cannot_be_is_refused_before_it_is_written(installation: Installation) -> None:
    for assignment, words in (
        ("access_token_lifetme=1m", "did you mean 'access_token_lifetime'?"),
        ("access_token_lifetime=48h", "not above 'token_lifetime_ceiling'"),
        ("access_token_lifetime=-5m", "is no length of time; write seconds, or a number with ms, s, m, h or d"),
        ("store=sqlite:///x.db", "cannot change while a program runs"),
        ("refresh_grace", "is not NAME=VALUE"),
    ):
        ran = await asyncio.to_thread(installation.tocsin, "config", "set", "issuer", "refresh_grace=1s", assignment)
        assert (ran.code, words in ran.err) == (2, True), ran.err
    checked = await asyncio.to_thread(installation.tocsin, "config", "check", "issuer", "--json")
    assert checked.json()["consul"] == {}


def test_without_a_consul_it_says_how_to_go_on(shell: Shell) -> None:
    shell.tocsin("init")

    ran = shell.tocsin("config", "set", "issuer", "refresh_grace=1s")
    assert (ran.code, "setting 'consul' is missing" in ran.err) == (2, True)
    away = shell.tocsin("config", "check", "issuer", TOCSIN_CONSUL="http://127.0.0.1:1")
    assert (away.code, "cannot be asked" in away.err) == (1, True)
    assert shell.tocsin("config", "check", "issuer").code == 0


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """An empty folder."""
    return Shell(tmp_path)
