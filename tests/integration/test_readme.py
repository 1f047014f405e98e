"""What the README shows works as it stands there."""

import re
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tocsin.admin_client import AdminClient
from tocsin.delivery import fetch_token
from tocsin.processes import Program
from tocsin.workspace import Workspace, read_credentials

README = Path(__file__).parents[2] / "README.md"

Main = Callable[[str], Coroutine[Any, Any, None]]


@pytest.fixture
def main() -> Main:
    """The function in the README's Python example."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 1
    assert len([line for line in blocks[0].splitlines() if line.strip()]) <= 14
    namespace: dict[str, Any] = {}
    exec(blocks[0], namespace)  # noqa: S102 - our own README
    found: Main = namespace["main"]
    return found


@pytest.fixture
async def issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A running issuer whose folder is `.tocsin` in the current directory; its URL."""
    monkeypatch.chdir(tmp_path)
    workspace = Workspace(Path(".tocsin"))
    await workspace.set_up(port=0, sidecar_port=0)
    async with Program("issuer", ["tocsin", "issuer", "--json"], tmp_path) as program:
        yield f"http://127.0.0.1:{program.announcement['port']}"


async def test_the_embedding_example_greets_a_good_token_and_refuses_it_once_revoked(
    main: Main, issuer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    client = read_credentials(Path(".tocsin/demo-client.json"))
    async with aiohttp.ClientSession() as session:
        token = await fetch_token(session, issuer, client)

    await main(token)
    assert capsys.readouterr().out == "hello demo\n"

    async with AdminClient(issuer, read_credentials(Path(".tocsin/operator.json"))) as admin:
        body = {"selector": {"sub": "demo"}, "reason": "the README says so"}
        assert (await admin.post("/admin/v1/revocations", body, wait=5))["published"]
    await main(token)
    assert capsys.readouterr().out == "refused: revoked\n"


async def test_the_embedding_example_refuses_what_is_no_token(
    main: Main, issuer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await main("not a token")

    assert capsys.readouterr().out == "refused: malformed\n"
