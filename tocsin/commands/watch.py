"""``tocsin watch``."""

import asyncio
from contextlib import suppress

import click

from events import IssuerTrust
from events.log import open_log
from tocsin.admin_client import AdminClient
from tocsin.command import Context, json_option
from tocsin.errors import IN_PART
from tocsin.settings import OperatorSettings, operator_credentials
from tocsin.watching import FleetWatch, Happening, LogWatch, Show
from verifier_agent import AgentSettings, SettingInvalid


@click.command("watch")
@click.option("--past", default=0, show_default=True, type=click.IntRange(0, 1000), help="Begin so many events back.")
@click.option("--for", "seconds", type=click.FloatRange(0.1), help="End after so many seconds; Ctrl-C otherwise.")
@click.option("--no-fleet", is_flag=True, help="Events alone: do not ask the issuer for its agents.")
@json_option
@click.pass_obj
def command(context: Context, past: int, seconds: float | None, no_fleet: bool) -> int:
    """Show what is decided as it reaches the event log, and agents that fall behind, leave or catch up.

    Events are checked with the pinned event key, as an agent checks them; one that is refused is shown as such. With
    --json each is a line. Exit code 3, when it ends by itself: an agent that counts was behind at the end.
    """
    behind: set[str] = set()

    def show(happening: Happening) -> None:
        context.output.answer(happening.detail)
        context.output.line(happening.text)

    with suppress(KeyboardInterrupt):
        asyncio.run(_watch(context, past, seconds, show, None if no_fleet else behind))
    return IN_PART if behind else 0


async def _watch(context: Context, past: int, seconds: float | None, show: Show, behind: set[str] | None) -> None:
    settings: AgentSettings = context.read(AgentSettings)
    try:
        trust = IssuerTrust.load(settings.trust)
    except (OSError, ValueError) as error:
        raise SettingInvalid(f"setting 'trust': {error}") from error
    watch = LogWatch(lambda: open_log(settings.log), trust, past)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
            tasks.create_task(watch.run(show))
            if behind is not None:
                operator: OperatorSettings = context.read(OperatorSettings)
                admin = AdminClient(operator.issuer, operator_credentials(operator))
                tasks.create_task(FleetWatch(admin, behind).run(show))
