"""Tokens longer than a header should be, at the programs that serve HTTP."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tocsin.processes import Program
from tocsin.workspace import Workspace


@dataclass
class Server:
    """One program, a path that takes bearer tokens, and its log."""

    url: str
    log: Path

    async def ask(self, token: str) -> tuple[int, str]:
        """Status and body of the answer."""
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession() as session, session.get(self.url, headers=headers) as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[dict[str, Server]]:
    """An issuer and a sidecar."""
    workspace = Workspace(tmp_path / ".tocsin")
    await workspace.set_up(port=0, sidecar_port=0)
    program = ["tocsin", "--config", str(workspace.config)]
    paths = {"issuer": "/admin/v1/keys", "agent": "/verify"}
    async with (
        Program("issuer", [*program, "issuer", "--json"], tmp_path) as issuer,
        Program("agent", [*program, "agent", "--json"], tmp_path) as agent,
    ):
        yield {
            one.name: Server(
                f"http://127.0.0.1:{one.announcement['port']}{paths[one.name]}", tmp_path / f"{one.name}.log"
            )
            for one in (issuer, agent)
        }


async def test_a_token_that_is_too_long_is_refused_as_any_other(servers: dict[str, Server]) -> None:
    for length in (8_184, 8_200, 16_000):
        for name, server in servers.items():
            token = "t0ken" * (length // 5)
            status, body = await server.ask(token.ljust(length, "x"))

            assert status == 401, name
            assert json.loads(body)["error"] == "invalid_token"
            assert "t0ken" not in body
            if name == "agent" and length > 8_192:
                assert json.loads(body)["code"] == "oversized"


async def test_a_header_that_is_longer_than_any_is_refused_and_not_logged(servers: dict[str, Server]) -> None:
    for server in servers.values():
        status, _ = await server.ask("t0ken" * 4_000)

        assert 400 <= status < 500
        log = server.log.read_text()
        assert "t0ken" not in log
        assert "Traceback" not in log
