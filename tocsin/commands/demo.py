"""``tocsin demo``."""

import asyncio
import signal
import tempfile
import time
from pathlib import Path
from typing import Final

import click

from tocsin.command import DEFAULT_FILE, Context, json_option
from tocsin.demonstration import show, stage
from tocsin.output import Output
from tocsin.processes import Program
from tocsin.workspace import DEMO_CLIENT, Workspace, read_credentials

ISSUER_PORT: Final = 8080
SIDECAR_PORT: Final = 8081


@click.command("demo")
@click.option("--agents", default=3, show_default=True, type=click.IntRange(1, 20))
@click.option("--log", help="Event log, such as kafka://127.0.0.1:9092; by default an SQLite file.")
@click.option("--stay", is_flag=True, help="Keep an issuer and a sidecar running, with lines to paste; Ctrl-C ends it.")
@json_option
@click.pass_obj
def command(context: Context, agents: int, log: str | None, stay: bool) -> None:
    """Show it all on this machine: issue, verify, revoke, refused. Exit 0 only when all of it held."""
    asyncio.run(_stay(context.output, log) if stay else _show(context.output, agents, log))


async def _show(output: Output, agents: int, log: str | None) -> None:
    start = time.monotonic()
    output.line("Tocsin: issue → verify → revoke → refused, on this machine alone (about 10 seconds)")
    with tempfile.TemporaryDirectory(prefix="tocsin-demo-") as folder:
        async with stage(Path(folder), output, agents=agents, log=log) as here:
            figures = await show(here, output)
    output.answer(figures)
    output.line(f"[green]✓[/] all of it held, in {time.monotonic() - start:.1f} s")


async def _stay(output: Output, log: str | None) -> None:
    """Issuer and sidecar on their usual ports, with what they need in ``.tocsin``."""
    workspace = Workspace(DEFAULT_FILE.parent)
    url = f"http://127.0.0.1:{ISSUER_PORT}"
    await workspace.set_up(port=ISSUER_PORT, sidecar_port=SIDECAR_PORT, log=log)
    program = ["tocsin", "--config", str(workspace.config)]
    async with (
        Program("issuer", [*program, "issuer", "--json"], workspace.folder),
        Program("agent", [*program, "agent", "--json"], workspace.folder),
    ):
        client = read_credentials(workspace.demo_client)
        output.answer({"issuer": url, "sidecar": f"http://127.0.0.1:{SIDECAR_PORT}", "client_id": client.client_id})
        output.line(_lines_to_paste(url, client.client_secret))
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()
    output.line("stopped")


def _lines_to_paste(url: str, secret: str) -> str:
    sidecar = f"http://127.0.0.1:{SIDECAR_PORT}"
    ask = f"curl -s -u {DEMO_CLIENT}:{secret} -d grant_type=client_credentials {url}/oauth2/token"
    verify = f'curl -i -H "Authorization: Bearer $TOKEN" {sidecar}/verify'
    return f"""issuer  {url}
sidecar {sidecar}
client  {DEMO_CLIENT}  secret {secret}

In another terminal, in this folder:

  TOKEN=$({ask} | cut -d'"' -f4)
  {verify}
  .venv/bin/tocsin revoke --client {DEMO_CLIENT} --reason "trying it out"
  {verify}
  .venv/bin/tocsin revocations

Ctrl-C stops both; what they know stays in {DEFAULT_FILE.parent}/."""
