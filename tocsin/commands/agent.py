"""``tocsin agent``."""

import click

from tocsin import logs, serving
from tocsin.command import Context, json_option
from tocsin.settings import LogSettings
from verifier_agent import Agent, AgentSettings
from verifier_agent.sidecar import SidecarSettings
from verifier_agent.sidecar.app import create_app


@click.command("agent")
@click.option("--port", type=click.IntRange(0, 65535), help="Instead of the configured port; 0 for any free one.")
@json_option
@click.pass_obj
def command(context: Context, port: int | None) -> None:
    """Run a verifier agent behind HTTP until SIGTERM or Ctrl-C: GET /verify with a bearer token."""
    sources = context.sources()
    logs.set_up(sources.read(LogSettings))
    settings, sidecar = sources.read(AgentSettings), sources.read(SidecarSettings)

    def started(actual: int) -> None:
        context.output.answer({"host": sidecar.sidecar_host, "port": actual})
        context.output.line(f"agent listens on {sidecar.sidecar_host}:{actual}")

    serving.run(
        lambda: serving.serve(
            create_app(Agent(settings)), sidecar.sidecar_host, sidecar.sidecar_port if port is None else port, started
        )
    )
