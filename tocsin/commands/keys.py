"""``tocsin keys``."""

import asyncio
from typing import Any

import click

from tocsin.admin_client import AdminClient
from tocsin.command import Context, json_option, tell_decided, wait_option
from tocsin.receipts import tell_receipts, wait_fleet_option, with_receipt
from tocsin.settings import OperatorSettings, operator_credentials
from tocsin.vault import export_key, import_key, rewrap
from tocsin.wrapping import wrap


@click.group("keys")
def command() -> None:
    """List, rotate and revoke token keys; seal them anew, import and export them, wrap them for configuration."""


for _private in (rewrap, import_key, export_key, wrap):
    command.add_command(_private)


@command.command("list")
@json_option
@click.pass_obj
def list_keys(context: Context) -> None:
    """List the token keys with their states.

    And which are in the list of configuration.
    """
    answer = asyncio.run(_call(context, "/admin/v1/keys", None))
    _show(context, answer)
    if answer["listed"]:
        context.output.line(f"in signing_keys, the first signs: {', '.join(answer['listed'])}")
    for kid, state in answer["passed_over"].items():
        context.output.line(f"in signing_keys, and passed over as it is {state}: {kid}")


@command.command("rotate", short_help="Let the standby key sign from now on.")
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@click.option("--alg", type=click.Choice(["ES256", "RS256", "EdDSA"]), help="The issuer's default when absent.")
@click.option("--force", is_flag=True, help="Even to a standby that not all know: who does not will refuse its tokens.")
@wait_fleet_option
@wait_option
@json_option
@click.pass_obj
def rotate(context: Context, reason: str, alg: str | None, force: bool, wait: int, wait_fleet: int | None) -> int:
    """Let the standby key sign from now on; what the old key signed still verifies.

    It waits for --wait seconds until the standby is published and every agent that counts has acknowledged it, and is
    refused with the names of those that have not. Exit code 3: the event log has not acknowledged the rotation yet; or,
    with --wait-fleet, not every agent has applied it.
    """
    body: dict[str, Any] = {"reason": reason}
    if alg:
        body["alg"] = alg
    if force:
        body["force"] = True
    answer = asyncio.run(_call(context, "/admin/v1/keys/rotate", body, wait, wait_fleet))
    return _tell(context, f"rotated as {answer['id']}", answer)


@command.command("revoke")
@click.argument("kid")
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@wait_fleet_option
@wait_option
@json_option
@click.pass_obj
def revoke(context: Context, kid: str, reason: str, wait: int, wait_fleet: int | None) -> int:
    """Revoke the key KID with every token it signed, for good. The standby signs from now on.

    Exit code 3: it is decided and durable, but the event log has not acknowledged it yet; or, with --wait-fleet, not
    every agent has applied it, and who has not is named.
    """
    answer = asyncio.run(_call(context, f"/admin/v1/keys/{kid}/revoke", {"reason": reason}, wait, wait_fleet))
    return _tell(context, f"revoked key {kid} as {answer['id']}", answer)


def _tell(context: Context, text: str, answer: dict[str, Any]) -> int:
    _show(context, answer)
    return max(tell_decided(context.output, text, answer), tell_receipts(context.output, answer))


def _show(context: Context, answer: dict[str, Any]) -> None:
    context.output.answer(answer)
    context.output.table(["KID", "ALG", "STATE"], [(key["kid"], key["alg"], key["state"]) for key in answer["keys"]])


async def _call(
    context: Context, path: str, body: dict[str, Any] | None, wait: int = 0, wait_fleet: int | None = None
) -> Any:
    settings: OperatorSettings = context.read(OperatorSettings)
    async with AdminClient(settings.issuer, operator_credentials(settings)) as admin:
        if body is None:
            return await admin.get(path)
        answer = await admin.post(path, body, wait=wait)
        return await with_receipt(admin, answer, f"/admin/v1/keys/receipts/{answer['id']}", wait_fleet)
