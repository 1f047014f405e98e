"""``tocsin keys``."""

import asyncio
from typing import Any

import click

from tocsin.admin_client import AdminClient
from tocsin.command import Context, json_option
from tocsin.settings import OperatorSettings, operator_credentials


@click.group("keys")
def command() -> None:
    """List, rotate and revoke token keys."""


@command.command("list")
@json_option
@click.pass_obj
def list_keys(context: Context) -> None:
    """List the token keys with their states."""
    _show(context, asyncio.run(_call(context, "/admin/v1/keys", None)))


@command.command("rotate")
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@click.option("--alg", type=click.Choice(["ES256", "RS256", "EdDSA"]), help="The issuer's default when absent.")
@json_option
@click.pass_obj
def rotate(context: Context, reason: str, alg: str | None) -> None:
    """Let the standby key sign from now on; what the old key signed still verifies."""
    body = {"reason": reason} | ({"alg": alg} if alg else {})
    _show(context, asyncio.run(_call(context, "/admin/v1/keys/rotate", body)))


@command.command("revoke")
@click.argument("kid")
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@json_option
@click.pass_obj
def revoke(context: Context, kid: str, reason: str) -> None:
    """Revoke the key KID with every token it signed, for good. The standby signs from now on."""
    _show(context, asyncio.run(_call(context, f"/admin/v1/keys/{kid}/revoke", {"reason": reason})))


def _show(context: Context, answer: dict[str, Any]) -> None:
    context.output.answer(answer)
    context.output.table(["KID", "ALG", "STATE"], [(key["kid"], key["alg"], key["state"]) for key in answer["keys"]])


async def _call(context: Context, path: str, body: dict[str, str] | None) -> Any:
    settings: OperatorSettings = context.read(OperatorSettings)
    async with AdminClient(settings.issuer, operator_credentials(settings)) as admin:
        return await (admin.get(path) if body is None else admin.post(path, body))
