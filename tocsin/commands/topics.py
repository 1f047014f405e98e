"""``tocsin topics``."""

import asyncio

import click

from events.log import Retention, open_log, prepare_log
from issuer.settings import IssuerSettings
from tocsin.command import Context, json_option
from tocsin.errors import CommandFailed


@click.group("topics")
def command() -> None:
    """Create and check the Kafka topics. Other logs need none."""


@command.command("create", short_help="Create the topics that are missing.")
@json_option
@click.pass_obj
def create(context: Context) -> None:
    """Create the topics that are missing, with the settings that they need."""
    settings: IssuerSettings = context.read(IssuerSettings)
    created = asyncio.run(prepare_log(settings.log, _retention(settings)))
    context.output.answer({"created": created})
    context.output.line("created " + ", ".join(created) if created else "nothing to create")


@command.command("check", short_help="Report what would lose events.")
@json_option
@click.pass_obj
def check(context: Context) -> None:
    """Report, by name, topics that are missing or have settings that would lose events."""
    settings: IssuerSettings = context.read(IssuerSettings)
    faults = asyncio.run(_check(settings))
    context.output.answer({"faults": faults})
    for fault in faults:
        context.output.line(fault)
    if faults:
        raise CommandFailed(f"{len(faults)} faults in the event log", code="faults")
    context.output.line("the event log is in order")


def _retention(settings: IssuerSettings) -> Retention:
    return Retention.covering(settings.token_lifetime_ceiling)


async def _check(settings: IssuerSettings) -> list[str]:
    event_log = open_log(settings.log, _retention(settings))
    try:
        return await event_log.check()
    finally:
        await event_log.close()
