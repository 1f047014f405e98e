"""``tocsin issuer``."""

import click

from issuer.app import create_app
from issuer.settings import IssuerSettings
from tocsin import logs, serving
from tocsin.command import Context, json_option
from tocsin.settings import LogSettings
from verifier_agent.clocks import SystemClock
from verifier_agent.consul import ConsulSettings
from verifier_agent.hot import HotConfiguration
from verifier_agent.hot.following import following, registered

FOLDER = "issuer"
SERVICE = "tocsin-issuer"


@click.command("issuer")
@click.option("--port", type=click.IntRange(0, 65535), help="Instead of the configured port; 0 for any free one.")
@json_option
@click.pass_obj
def command(context: Context, port: int | None) -> None:
    """Run the issuer until SIGTERM or Ctrl-C."""
    configuration = context.hot(IssuerSettings, LogSettings)
    serving.run(lambda: _serve(context, configuration, port))


async def _serve(context: Context, configuration: HotConfiguration, port: int | None) -> None:
    settings, consul = configuration.live(IssuerSettings).now, context.read(ConsulSettings)
    logs.follow(configuration)

    def started(actual: int) -> None:
        context.output.answer({"issuer": settings.issuer, "host": settings.host, "port": actual})
        context.output.line(f"issuer {settings.issuer} listens on {settings.host}:{actual}")

    async with following(configuration, consul, FOLDER, SystemClock()) as followed:
        await serving.serve(
            create_app(settings, followed=followed),
            settings.host,
            settings.port if port is None else port,
            started,
            beside=lambda actual: registered(followed.consul, consul, SERVICE, settings.host, actual),
        )
