"""``tocsin issuer``."""

import click

from issuer.app import create_app
from issuer.settings import IssuerSettings
from tocsin import logs, serving
from tocsin.command import Context, json_option
from tocsin.settings import LogSettings


@click.command("issuer")
@click.option("--port", type=click.IntRange(0, 65535), help="Instead of the configured port; 0 for any free one.")
@json_option
@click.pass_obj
def command(context: Context, port: int | None) -> None:
    """Run the issuer until SIGTERM or Ctrl-C."""
    sources = context.sources()
    logs.set_up(sources.read(LogSettings))
    settings = sources.read(IssuerSettings)

    def started(actual: int) -> None:
        context.output.answer({"issuer": settings.issuer, "host": settings.host, "port": actual})
        context.output.line(f"issuer {settings.issuer} listens on {settings.host}:{actual}")

    serving.run(
        lambda: serving.serve(create_app(settings), settings.host, settings.port if port is None else port, started)
    )
