"""``tocsin keys``."""

import asyncio
from typing import Any

import click

from tocsin.admin_client import AdminClient
from tocsin.command import Context, json_option, tell_decided, wait_option
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


@command.command("rotate", short_help="Let the standby key sign from now on.")
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@click.option("--alg", type=click.Choice(["ES256", "RS256", "EdDSA"]), help="The issuer's default when absent.")
@click.option("--force", is_flag=True, help="Even to a standby that agents cannot know yet: they refuse its tokens.")
@wait_option
@json_option
@click.pass_obj
def rotate(context: Context, reason: str, alg: str | None, force: bool, wait: int) -> int:
    """Let the standby key sign from now on; what the old key signed still verifies.

    Refused while the standby is not published. Exit code 3: the event log has not acknowledged the rotation yet.
    """
    body: dict[str, Any] = {"reason": reason}
    if alg:
        body["alg"] = alg
    if force:
        body["force"] = True
    answer = asyncio.run(_call(context, "/admin/v1/keys/rotate", body, wait))
    _show(context, answer)
    return tell_decided(context.output, f"rotated as {answer['id']}", answer)


@command.command("revoke")
@click.argument("kid")
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@wait_option
@json_option
@click.pass_obj
def revoke(context: Context, kid: str, reason: str, wait: int) -> int:
    """Revoke the key KID with every token it signed, for good. The standby signs from now on.

    Exit code 3: it is decided and durable, but the event log has not acknowledged it yet.
    """
    answer = asyncio.run(_call(context, f"/admin/v1/keys/{kid}/revoke", {"reason": reason}, wait))
    _show(context, answer)
    return tell_decided(context.output, f"revoked key {kid} as {answer['id']}", answer)


def _show(context: Context, answer: dict[str, Any]) -> None:
    context.output.answer(answer)
    context.output.table(["KID", "ALG", "STATE"], [(key["kid"], key["alg"], key["state"]) for key in answer["keys"]])


async def _call(context: Context, path: str, body: dict[str, Any] | None, wait: int = 0) -> Any:
    settings: OperatorSettings = context.read(OperatorSettings)
    async with AdminClient(settings.issuer, operator_credentials(settings)) as admin:
        return await (admin.get(path) if body is None else admin.post(path, body, wait=wait))
