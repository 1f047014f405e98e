"""``tocsin login``: to see a login from the side of an application."""

import asyncio

import click

from tocsin.command import Context, json_option
from tocsin.errors import WRONG_USE, CommandFailed
from tocsin.loopback_login import log_in
from tocsin.settings import OperatorSettings
from tocsin.workspace import DEMO_APP
from verifier_agent import parse_seconds


@click.command("login")
@click.argument("client_id", default=DEMO_APP)
@click.option("--scope", help="What to ask for; everything that the client may have when absent.")
@click.option("--wait", default="5m", show_default=True, help="How long to wait for the browser.")
@json_option
@click.pass_obj
def command(context: Context, client_id: str, scope: str | None, wait: str) -> None:
    """Log in through a browser and show the tokens, as a program on this machine does it.

    CLIENT_ID is a public client with the redirect URI http://127.0.0.1/callback.
    """
    try:
        seconds = parse_seconds(wait)
    except ValueError as error:
        raise CommandFailed(f"--wait: {error}", exit_code=WRONG_USE) from error
    answer = asyncio.run(log_in(context.read(OperatorSettings).issuer, client_id, scope, _tell, wait=seconds))
    context.output.answer(answer)
    for name, value in answer.items():
        context.output.line(f"{name:<14} {value}")


def _tell(address: str) -> None:
    click.echo(f"Open in a browser on this machine:\n\n  {address}\n", err=True)
