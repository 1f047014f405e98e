"""``tocsin demo``."""

import asyncio
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from events.log import Retention, prepare_log
from issuer.settings import IssuerSettings
from tocsin.command import DEFAULT_FILE, Context, json_option
from tocsin.demonstration import show, stage
from tocsin.errors import ADDRESS_IN_USE, CommandFailed
from tocsin.output import Output
from tocsin.own_topics import own_topics
from tocsin.processes import Program, run_with_children
from tocsin.workspace import DEMO_APP, DEMO_CLIENT, Login, Workspace, read_credentials, read_login
from verifier_agent import Sources


@click.command("demo")
@click.option("--agents", default=3, show_default=True, type=click.IntRange(1, 20))
@click.option("--log", help="Such as kafka://127.0.0.1:9092 (topics of its own); by default an SQLite file.")
@click.option("--stay", is_flag=True, help="Keep an issuer and a sidecar running, with lines to paste; Ctrl-C ends it.")
@json_option
@click.pass_obj
def command(context: Context, agents: int, log: str | None, stay: bool) -> None:
    """Show it all on this machine: issue, verify, revoke, refused. Exit 0 only when all of it held."""
    run_with_children(_stay(context.output, log) if stay else _show(context.output, agents, log))


async def _show(output: Output, agents: int, log: str | None) -> None:
    start = time.monotonic()
    output.line("Tocsin: issue → verify → revoke → refused, on this machine alone (about 10 seconds)")
    with tempfile.TemporaryDirectory(prefix="tocsin-demo-") as folder:
        async with stage(Path(folder), output, agents=agents, log=log) as here:
            figures = await show(here, output)
    output.answer(figures)
    output.held(f"all of it held, in {time.monotonic() - start:.1f} s")


async def _stay(output: Output, log: str | None) -> None:
    """Issuer and sidecar where the configuration in ``.tocsin`` says; it is made when it is missing."""
    workspace = Workspace(DEFAULT_FILE.parent)
    kept = _settings(workspace).log if workspace.config.exists() else None
    await workspace.set_up(log=own_topics(log, "demo", kept))
    settings = _settings(workspace)
    await prepare_log(settings.log, Retention())
    program = ["tocsin", "--config", str(workspace.config)]
    try:
        async with (
            Program("issuer", [*program, "issuer", "--json"], workspace.folder) as issuer,
            Program("agent", [*program, "agent", "--json"], workspace.folder) as agent,
        ):
            stop = _stop_when_told()
            client, login = read_credentials(workspace.demo_client), read_login(workspace.demo_user)
            here, sidecar = _url(issuer.announcement), _url(agent.announcement)
            output.answer({"issuer": settings.issuer, "sidecar": sidecar, "client_id": client.client_id})
            output.line(_lines_to_paste(settings.issuer, here, sidecar, client.client_secret, login))
            await _until(stop, issuer, agent)
    except CommandFailed as error:
        if error.code != ADDRESS_IN_USE:
            raise
        again = f"rm -r {workspace.folder}; .venv/bin/tocsin init --port 9080 --sidecar-port 9081"
        raise CommandFailed(f"{error}. To begin anew on other ports: {again}", code=error.code) from error
    output.line("stopped")


def _stop_when_told() -> asyncio.Event:
    """Set by Ctrl-C and SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _until(stop: asyncio.Event, *programs: Program) -> None:
    """Wait for it.

    Raises:
        CommandFailed: one of the programs has ended meanwhile.
    """
    waiting = [asyncio.create_task(wait) for wait in (stop.wait(), *(program.must_go_on() for program in programs))]
    try:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _settings(workspace: Workspace) -> IssuerSettings:
    return Sources.find({}, workspace.config).read(IssuerSettings)


def _url(announcement: dict[str, Any]) -> str:
    """Where a program that listens answers on this machine."""
    host = "127.0.0.1" if announcement["host"] in ("0.0.0.0", "::") else announcement["host"]  # noqa: S104 - read, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{announcement['port']}"


def _lines_to_paste(issuer: str, here: str, sidecar: str, secret: str, login: Login) -> str:
    ask = f"curl -s -u {DEMO_CLIENT}:{secret} -d grant_type=client_credentials {here}/oauth2/token"
    verify = f'curl -i -H "Authorization: Bearer $TOKEN" {sidecar}/verify'
    return f"""issuer  {issuer}
sidecar {sidecar}
client  {DEMO_CLIENT}  secret {secret}
user    {login.username}  password {login.password}

In another terminal, in this folder:

  TOKEN=$({ask} | cut -d'"' -f4)
  {verify}
  .venv/bin/tocsin revoke --client {DEMO_CLIENT} --reason "trying it out"
  {verify}
  .venv/bin/tocsin revocations

To log in with a browser, as the application {DEMO_APP} (it prints the address to open, and what it was given):

  .venv/bin/tocsin login

Ctrl-C stops both; what they know stays in {DEFAULT_FILE.parent}/."""
