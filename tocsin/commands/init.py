"""``tocsin init``."""

import asyncio
from pathlib import Path

import click

from tocsin.command import Context, json_option
from tocsin.workspace import Workspace


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path(".tocsin"))
@click.option("--issuer", help="The issuer's URL; by default http://127.0.0.1:PORT.")
@click.option("--host", help="Where the issuer listens; by default 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="Where the issuer listens; by default 8080.")
@click.option("--sidecar-port", type=click.IntRange(0, 65535), help="Where the sidecar listens; by default 8081.")
@click.option("--store", help="sqlite:///… or postgresql://…; by default a file in the folder.")
@click.option("--log", help="sqlite:///… or kafka://…; by default a file in the folder.")
@click.option("--demo/--no-demo", default=True, show_default=True, help="Whether to make a client to try it with.")
@json_option
@click.pass_obj
def command(
    context: Context,
    folder: Path,
    demo: bool,
    issuer: str | None,
    host: str | None,
    port: int | None,
    sidecar_port: int | None,
    store: str | None,
    log: str | None,
) -> None:
    """Set up FOLDER for development: keys, an operator client, a demo client, configuration.

    What is there already stays as it is, so it can be called again: without options, or with the same ones.
    """
    workspace = Workspace(folder)
    made = asyncio.run(
        workspace.set_up(
            issuer,
            host=host,
            port=port,
            sidecar_port=sidecar_port,
            store=store,
            log=log,
            demo=demo,
        )
    )
    context.output.answer({"folder": str(folder), "files": [str(path) for path in made]})
    for path in made:
        context.output.line(f"  {path}")
    if workspace.successor in made:
        context.output.line(
            f"Keep {workspace.successor} offline, and remove it here: it is the private half of the next event key, "
            "and the answer should the one of today be stolen or lost (tocsin trust succeed)."
        )
    if not made:
        context.output.line("everything is there already")
    context.output.line(f"Next: tocsin --config {workspace.config} issuer, and in another terminal … agent")
