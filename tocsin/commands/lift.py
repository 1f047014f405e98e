"""``tocsin lift``."""

import asyncio
from typing import Any

import click

from tocsin.admin_client import AdminClient
from tocsin.command import Context, json_option, tell_decided, wait_option
from tocsin.receipts import tell_receipts, wait_fleet_option, with_receipt
from tocsin.settings import OperatorSettings, operator_credentials


@click.command("lift")
@click.argument("revocation")
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@wait_fleet_option
@wait_option
@json_option
@click.pass_obj
def command(context: Context, revocation: str, reason: str, wait: int, wait_fleet: int | None) -> int:
    """Take back exactly one REVOCATION, by its id (such as 1.42). Others that hit the same tokens stay.

    Exit code 3: it is decided and durable, but the event log has not acknowledged it yet; or, with --wait-fleet, not
    every agent has applied it, and who has not is named.
    """
    answer = asyncio.run(_lift(context, revocation, reason, wait, wait_fleet))
    context.output.answer(answer)
    code = tell_decided(context.output, f"{revocation} is lifted by {answer['lifted_by']}", answer)
    return max(code, tell_receipts(context.output, answer))


async def _lift(context: Context, revocation: str, reason: str, wait: int, wait_fleet: int | None) -> Any:
    settings: OperatorSettings = context.read(OperatorSettings)
    async with AdminClient(settings.issuer, operator_credentials(settings)) as admin:
        answer = await admin.post(f"/admin/v1/revocations/{revocation}/lift", {"reason": reason}, wait=wait)
        return await with_receipt(admin, answer, f"/admin/v1/revocations/{answer['lifted_by']}/receipts", wait_fleet)
