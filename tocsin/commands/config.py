"""``tocsin config``."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import click
import msgspec

from issuer.keys.list_opening import ListCheck
from issuer.settings import IssuerSettings
from tocsin.admin_client import AdminClient
from tocsin.command import Context, json_option
from tocsin.settings import LogSettings, OperatorSettings, operator_credentials
from tocsin.stored_configuration import Program, StoredConfiguration
from verifier_agent import AgentSettings, SettingInvalid
from verifier_agent.consul import ConsulSettings
from verifier_agent.sidecar import SidecarSettings


async def _check_list(settings: msgspec.Struct) -> None:
    if isinstance(settings, IssuerSettings):
        await ListCheck(settings)(settings)


PROGRAMS: Final = {
    "issuer": Program("issuer", (IssuerSettings, LogSettings), _check_list),
    "agent": Program("agent", (AgentSettings, SidecarSettings, LogSettings)),
}

program_argument = click.argument("program", type=click.Choice(list(PROGRAMS)))


@click.group("config")
def command() -> None:
    """Show what configuration is in force, check it, and change it while programs run."""


@command.command("show", short_help="Show what is in force at the issuer.")
@json_option
@click.pass_obj
def show(context: Context) -> None:
    """Show what is in force at the issuer, where each value came from, and what was refused and why."""
    report = asyncio.run(_ask_issuer(context))
    context.output.answer(report)
    context.output.table(["SETTING", "VALUE", "FROM", "HOT"], [_row(each) for each in report["settings"]])
    for source, refused in report["refused"].items():
        context.output.line(f"refused, from {source}: {refused['detail']}")
    if report["waiting"]:
        context.output.line(f"takes a restart: {', '.join(report['waiting'])}")
    if report["consul"] and report["consul"]["error"]:
        context.output.line(f"Consul cannot be asked: {report['consul']['error']}")


@command.command("check", short_help="Check what PROGRAM would read at its start.")
@program_argument
@json_option
@click.pass_obj
def check(context: Context, program: str) -> None:
    """Check what file, environment and Consul say for PROGRAM, as it would read them at its start."""
    stored = asyncio.run(_checked(context, PROGRAMS[program]))
    names = sorted(stored.values)
    context.output.answer({"program": program, "ok": True, "consul": stored.shown(stored.values)})
    context.output.line(f"{program}: good" + (f"; from Consul: {', '.join(names)}" if names else ""))


@command.command("set", short_help="Set what PROGRAM is told by Consul.")
@program_argument
@click.argument("assignments", nargs=-1, required=True, metavar="NAME=VALUE…")
@json_option
@click.pass_obj
def set_values(context: Context, program: str, assignments: tuple[str, ...]) -> None:
    """Set what PROGRAM is told by Consul: every NAME at once, or none of them."""
    changes: dict[str, str | None] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not value.strip():
            raise click.BadArgumentUsage(f"{assignment!r} is not NAME=VALUE")
        changes[name.strip()] = value.strip()
    _change(context, PROGRAMS[program], changes)


@command.command("unset", short_help="Take names out of Consul.")
@program_argument
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@json_option
@click.pass_obj
def unset(context: Context, program: str, names: tuple[str, ...]) -> None:
    """Take names out of Consul, so that environment, file or default hold again."""
    _change(context, PROGRAMS[program], dict.fromkeys(names))


def _change(context: Context, program: Program, changes: Mapping[str, str | None]) -> None:
    values = asyncio.run(_write(context, program, changes))
    context.output.answer({"program": program.name, "consul": values})
    context.output.table(["SETTING", "VALUE"], sorted(values.items()))


async def _write(context: Context, program: Program, changes: Mapping[str, str | None]) -> dict[str, str]:
    place = context.read(ConsulSettings).place()
    if place is None:
        raise SettingInvalid("setting 'consul' is missing: without it nothing can be set; edit the configuration file")
    return await StoredConfiguration.change(place, program, context.sources(), changes)


async def _checked(context: Context, program: Program) -> StoredConfiguration:
    stored = await _stored(context, program)
    await stored.check_whole(stored.values)
    return stored


async def _stored(context: Context, program: Program) -> StoredConfiguration:
    place = context.read(ConsulSettings).place()
    if place is None:
        return StoredConfiguration(program, context.sources(), "", {}, {})
    return await StoredConfiguration.read(place, program, context.sources())


async def _ask_issuer(context: Context) -> Any:
    settings: OperatorSettings = context.read(OperatorSettings)
    async with AdminClient(settings.issuer, operator_credentials(settings)) as admin:
        return await admin.get("/admin/v1/config")


def _row(setting: Mapping[str, Any]) -> tuple[str, str, str, str]:
    value = setting["value"]
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return setting["name"], text, setting["source"], "yes" if setting["hot"] else ""
