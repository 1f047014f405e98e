"""``tocsin agent``."""

import click

from tocsin import logs, serving
from tocsin.command import Context, json_option
from tocsin.settings import LogSettings
from verifier_agent import AgentSettings
from verifier_agent.clocks import SystemClock
from verifier_agent.consul import ConsulSettings
from verifier_agent.hot import HotConfiguration
from verifier_agent.hot.configured import configured_agent
from verifier_agent.hot.following import following, registered
from verifier_agent.sidecar import SidecarSettings
from verifier_agent.sidecar.app import create_app

FOLDER = "agent"
SERVICE = "tocsin-agent"


@click.command("agent")
@click.option("--port", type=click.IntRange(0, 65535), help="Instead of the configured port; 0 for any free one.")
@json_option
@click.pass_obj
def command(context: Context, port: int | None) -> None:
    """Run a verifier agent behind HTTP until SIGTERM or Ctrl-C: GET /verify with a bearer token."""
    configuration = context.hot(AgentSettings, SidecarSettings, LogSettings)
    serving.run(lambda: _serve(context, configuration, port))


async def _serve(context: Context, configuration: HotConfiguration, port: int | None) -> None:
    sidecar, consul = configuration.live(SidecarSettings).now, context.read(ConsulSettings)
    host = sidecar.sidecar_host
    logs.follow(configuration)

    def started(actual: int) -> None:
        context.output.answer({"host": host, "port": actual})
        context.output.line(f"agent listens on {host}:{actual}")

    listening = serving.Listening(host=host, port=sidecar.sidecar_port if port is None else port)
    async with following(configuration, consul, FOLDER, SystemClock()) as followed:
        await serving.serve(
            create_app(configured_agent(configuration), followed),
            listening,
            started,
            beside=lambda actual: registered(followed.consul, consul, SERVICE, host, actual),
        )
