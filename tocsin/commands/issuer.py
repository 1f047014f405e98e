"""``tocsin issuer``."""

import contextlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import structlog

from issuer.app import create_app
from issuer.endpoints.draining import DRAINING
from issuer.endpoints.siblings import Siblings
from issuer.keys.list_opening import ListCheck
from issuer.settings import MOST_WORKERS, IssuerSettings
from tocsin import logs, serving
from tocsin.command import Context, json_option
from tocsin.errors import CommandFailed
from tocsin.settings import LogSettings
from tocsin.tls import ServerTls
from tocsin.workers import parent
from tocsin.workers.port import reserved
from tocsin.workers.supervisor import Supervisor
from verifier_agent.clocks import SystemClock
from verifier_agent.consul import ConsulSettings
from verifier_agent.hot import HotConfiguration
from verifier_agent.hot.following import following, registered

FOLDER = "issuer"
SERVICE = "tocsin-issuer"


@click.command("issuer")
@click.option("--port", type=click.IntRange(0, 65535), help="Instead of the configured port; 0 for any free one.")
@click.option("--workers", type=click.IntRange(1, MOST_WORKERS), help="Processes that listen on the port together.")
@click.option("--as-worker", type=int, hidden=True)
@click.option("--siblings", type=click.Path(path_type=Path), hidden=True)
@json_option
@click.pass_obj
def command(
    context: Context, port: int | None, workers: int | None, as_worker: int | None, siblings: Path | None
) -> None:
    """Run the issuer until SIGTERM or Ctrl-C."""
    configuration = context.hot(IssuerSettings, LogSettings)
    settings = configuration.live(IssuerSettings).now
    port, workers = settings.port if port is None else port, settings.workers if workers is None else workers
    if as_worker is not None and siblings is not None:
        structlog.contextvars.bind_contextvars(worker=as_worker)
        serving.run(lambda: _serve(context, configuration, port, Siblings(as_worker, workers, siblings)))
    elif workers == 1:
        serving.run(lambda: _serve(context, configuration, port))
    else:
        settings.check_workers(workers)
        logs.follow(configuration)
        _look_after(context, settings, port, workers)


async def _serve(
    context: Context, configuration: HotConfiguration, port: int, siblings: Siblings | None = None
) -> None:
    """Be an issuer, alone or one of several."""
    settings, consul = configuration.live(IssuerSettings).now, context.read(ConsulSettings)
    logs.follow(configuration)

    def started(actual: int) -> None:
        context.output.answer({"issuer": settings.issuer, "host": settings.host, "port": actual})
        context.output.line(f"issuer {settings.issuer} listens on {settings.host}:{actual}")
        if siblings is not None:
            parent.end_with_it(sys.stdin.fileno())

    configuration.also_check(ListCheck(settings))
    await configuration.check()
    tls = _tls(settings)
    hung_up = None if tls is None else tls.reload
    async with following(configuration, consul, FOLDER, SystemClock(), hung_up=hung_up) as followed:
        # Of several workers one speaks for the address of all.
        connection = followed.consul if siblings is None or siblings.index == 0 else None
        app = create_app(settings, followed=followed, siblings=siblings)
        await serving.serve(
            app,
            serving.Listening(host=settings.host, port=port, tls=tls, shared=siblings is not None),
            started,
            serving.Stopping(
                drain_seconds=settings.drain_time, draining=app[DRAINING].begin, seconds=settings.stop_timeout
            ),
            beside=lambda actual: registered(connection, consul, SERVICE, settings.host, actual, tls=tls is not None),
        )


def _look_after(context: Context, settings: IssuerSettings, port: int, workers: int) -> None:
    """Be the parent of workers.

    Raises:
        CommandFailed: as ``Supervisor.run``, or the port cannot be had.
    """
    with reserved(settings.host, port) as held, _folder() as folder:
        actual = int(held.getsockname()[1])

        def arguments(index: int) -> Sequence[str]:
            own = ["--as-worker", str(index), "--siblings", folder, "--workers", str(workers), "--port", str(actual)]
            return [*context.arguments, "issuer", "--json", *own]

        def started(said: dict[str, object]) -> None:
            context.output.answer({**said, "workers": workers})
            context.output.line(f"issuer {settings.issuer} listens on {settings.host}:{actual}, {workers} workers")

        supervisor = Supervisor(workers, arguments, settings.drain_time + settings.stop_timeout)
        serving.run(lambda: supervisor.run(started))


def _folder() -> contextlib.AbstractContextManager[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="tocsin-")
    except OSError as error:
        raise CommandFailed(f"workers need a folder for temporary files; set TMPDIR: {error}") from error


def _tls(settings: IssuerSettings) -> ServerTls | None:
    """The certificate to show, where the settings have one.

    Raises:
        SettingInvalid: it cannot be read.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return ServerTls(settings.tls_cert, settings.tls_key)
