"""``tocsin lift``."""

import asyncio
from typing import Any

import click

from tocsin.admin_client import AdminClient
from tocsin.command import Context, json_option, tell_decided, wait_option
from tocsin.settings import OperatorSettings, operator_credentials


@click.command("lift")
@click.argument("revocation")
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@wait_option
@json_option
@click.pass_obj
def command(context: Context, revocation: str, reason: str, wait: int) -> int:
    """Take back exactly one REVOCATION, by its id (such as 1.42). Others that hit the same tokens stay.

    Exit code 3: it is decided and durable, but the event log has not acknowledged it yet.
    """
    answer = asyncio.run(_lift(context, revocation, reason, wait))
    context.output.answer(answer)
    return tell_decided(context.output, f"{revocation} is lifted by {answer['lifted_by']}", answer)


async def _lift(context: Context, revocation: str, reason: str, wait: int) -> Any:
    settings: OperatorSettings = context.read(OperatorSettings)
    async with AdminClient(settings.issuer, operator_credentials(settings)) as admin:
        return await admin.post(f"/admin/v1/revocations/{revocation}/lift", {"reason": reason}, wait=wait)
