"""``tocsin fleet``."""

import asyncio
from typing import Any

import click

from tocsin.admin_client import AdminClient
from tocsin.command import Context, json_option
from tocsin.errors import IN_PART
from tocsin.settings import OperatorSettings, operator_credentials


@click.group("fleet", invoke_without_command=True)
@click.option("--all", "everybody", is_flag=True, help="Those too that have left, expired or been removed.")
@json_option
@click.pass_context
def command(ctx: click.Context, everybody: bool) -> int:
    """List the enrolled agents: how they stand, how far they have come, and who lags.

    Exit code 3: an agent that counts lacks what was decided more than a few seconds ago; it is named.
    """
    if ctx.invoked_subcommand is not None:
        return 0
    context: Context = ctx.obj
    answer = asyncio.run(_get(context))
    context.output.answer(answer)
    shown = [agent for agent in answer["agents"] if everybody or agent["counts"]]
    context.output.table(
        ["AGENT", "STANDING", "KEYS", "REVOCATIONS", ">LAG", ">FRESHNESS", ">LAST HEARD", "VERSION", "ID"],
        [_row(agent) for agent in sorted(shown, key=lambda agent: (agent["name"], agent["id"]))],
    )
    laggards = sorted(agent["name"] for agent in answer["agents"] if agent["lags"])
    count = f"{answer['counted']} agent{'' if answer['counted'] == 1 else 's'} counted"
    context.output.line(f"{count}; behind: {', '.join(laggards)}" if laggards else f"{count}, none behind")
    return IN_PART if laggards else 0


@command.command("remove")
@click.argument("agent")
@click.option("--reason", required=True, help="Why; kept beside the agent.")
@json_option
@click.pass_obj
def remove(context: Context, agent: str, reason: str) -> None:
    """Wait no more for AGENT, by its id: it is gone for good. One that lives enrols again by itself."""
    answer = asyncio.run(_remove(context, agent, reason))
    context.output.answer(answer)
    context.output.line(f"removed {answer['name']} ({answer['id']})")


def _row(agent: dict[str, Any]) -> tuple[str, ...]:
    lag = agent["lag"].values()
    behind = "?" if None in lag else str(sum(lag))
    standing = f"{agent['standing']}, behind" if agent["lags"] else agent["standing"]
    return (
        agent["name"],
        standing,
        agent["applied"]["keys"],
        agent["applied"]["revocations"],
        behind,
        "never" if agent["freshness"] is None else f"{agent['freshness']:.1f} s",
        f"{agent['silent_seconds']:.1f} s ago",
        agent["version"],
        agent["id"],
    )


async def _get(context: Context) -> Any:
    settings: OperatorSettings = context.read(OperatorSettings)
    async with AdminClient(settings.issuer, operator_credentials(settings)) as admin:
        return await admin.get("/admin/v1/agents")


async def _remove(context: Context, agent: str, reason: str) -> Any:
    settings: OperatorSettings = context.read(OperatorSettings)
    async with AdminClient(settings.issuer, operator_credentials(settings)) as admin:
        return await admin.post(f"/admin/v1/agents/{agent}/remove", {"reason": reason})
