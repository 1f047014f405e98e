"""What an operator's commands say of decisions that the event log has, or has not, acknowledged."""

import asyncio
import os
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

DECIDE = [
    ["revoke", "--sub", "alice"],
    ["revoke", "--key", "k1"],
    ["keys", "revoke", "k1"],
    ["keys", "rotate"],
    ["lift", "1.2"],
]


@dataclass
class Issuer:
    """Answers every decision so, and remembers what it was asked."""

    answer: dict[str, Any]
    asked: list[tuple[str | None, Any]] = field(default_factory=list)

    async def decide(self, request: web.Request) -> web.Response:
        if request.path == "/oauth2/token":
            return web.json_response({"access_token": "x"})
        self.asked.append((request.headers.get("Prefer"), await request.json()))
        return web.json_response({"id": "1.3", "lifted_by": "1.3", "keys": [], **self.answer})


async def run(issuer: Issuer, *arguments: str) -> tuple[int | None, str]:
    """The command's exit code and what it says."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", issuer.decide)
    async with TestServer(app) as server:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
        ours = {
            "TOCSIN_ISSUER": f"http://127.0.0.1:{server.port}",
            "TOCSIN_OPERATOR_ID": "operator",
            "TOCSIN_OPERATOR_SECRET": "s",
        }
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "tocsin", *arguments, "--reason", "x"],
            env=inherited | ours,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 30)
        return process.returncode, out.decode()


@pytest.mark.parametrize("command", DECIDE, ids=" ".join)
async def test_an_unpublished_decision_is_told_with_exit_code_3(command: list[str]) -> None:
    issuer = Issuer({"published": False})

    code, out = await run(issuer, *command, "--wait", "2")

    assert code == 3
    assert "1.3, not yet published" in out
    assert [wait for wait, _ in issuer.asked] == ["wait=2"]


@pytest.mark.parametrize("command", DECIDE, ids=" ".join)
async def test_a_published_decision_is_told_with_exit_code_0(command: list[str]) -> None:
    code, out = await run(Issuer({"published": True}), *command)

    assert code == 0
    assert "1.3" in out
    assert "not yet" not in out


async def test_a_rotation_is_forced_only_when_asked_to_be() -> None:
    issuer = Issuer({"published": True})

    await run(issuer, "keys", "rotate")
    await run(issuer, "keys", "rotate", "--force")

    assert [body for _, body in issuer.asked] == [{"reason": "x"}, {"reason": "x", "force": True}]
