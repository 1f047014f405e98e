"""``tocsin revocations``."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import click

from tocsin.admin_client import AdminClient
from tocsin.command import Context, json_option
from tocsin.settings import OperatorSettings, operator_credentials


@click.command("revocations")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--before", help="Go on below this id.")
@json_option
@click.pass_obj
def command(context: Context, limit: int, before: str | None) -> None:
    """List what has been revoked, newest first."""
    answer = asyncio.run(_list(context, limit, before))
    context.output.answer(answer)
    context.output.table(
        [">ID", "WHEN (UTC)", "WHAT", "STATE", "BY", "REASON"], [_row(found) for found in answer["revocations"]]
    )


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    if "selector" in found:
        claims = found["selector"].get("claims", {})
        what = " ".join(f"{name}={value}" for name, value in claims.items()) or "everything"
    else:
        what = f"{found['tokens']} token" + ("" if found["tokens"] == 1 else "s")
    state = "published" if found["published"] else "decided"
    if "lifted_by" in found:
        state = f"lifted by {found['lifted_by']}"
    when = datetime.fromtimestamp(found["time"], UTC).strftime("%Y-%m-%d %H:%M:%S")
    return found["id"], when, what, state, found["actor"], found["reason"]


async def _list(context: Context, limit: int, before: str | None) -> Any:
    settings: OperatorSettings = context.read(OperatorSettings)
    query = f"?limit={limit}" + (f"&before={before}" if before else "")
    async with AdminClient(settings.issuer, operator_credentials(settings)) as admin:
        return await admin.get(f"/admin/v1/revocations{query}")
