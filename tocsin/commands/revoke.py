"""``tocsin revoke``."""

import asyncio
from typing import Any

import click
import msgspec

from tocsin.admin_client import AdminClient
from tocsin.command import Context, json_option
from tocsin.errors import IN_PART
from tocsin.settings import OperatorSettings, operator_credentials


@click.command("revoke")
@click.option("--token", help="One access token.")
@click.option("--jti", help="One token, by its identifier.")
@click.option("--sub", help="Every token of a subject.")
@click.option("--client", help="Every token of a client.")
@click.option("--key", help="A signing key, with every token it signed. For good: this cannot be lifted.")
@click.option("--claim", "claims", multiple=True, metavar="NAME=VALUE", help="Any claim; several must all match.")
@click.option("--everything", is_flag=True, help="Every token of the issuer.")
@click.option("--issued-before", type=float, help="Only tokens issued up to this time (seconds since the epoch).")
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@click.option("--wait", default=5, show_default=True, type=click.IntRange(0, 30), help="Seconds to wait for the log.")
@click.option("--yes", is_flag=True, help="Do not ask before revoking everything.")
@json_option
@click.pass_obj
def command(context: Context, /, **options: Any) -> int:
    """Revoke a token, a client, a subject, a key, or everything: by exactly one of the options.

    --sub, --client and --claim go together: a token is hit when all of them match.
    Exit code 3: it is decided and durable, but the event log has not acknowledged it yet.
    """
    path, body = _request(options)
    if options["everything"] and not options["yes"]:
        click.confirm("Revoke every token of the issuer, your own among them?", abort=True, err=True)
    answer = asyncio.run(_send(context, path, body, options["wait"]))
    context.output.answer(answer)
    if path.startswith("/admin/v1/keys"):
        context.output.line(f"revoked key {options['key']} as {answer['id']}")
        return 0
    published = answer["published"]
    context.output.line(f"revoked as {answer['id']}" + ("" if published else ", not yet published"))
    return 0 if published else IN_PART


def _request(options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The call that the options ask for."""
    selector = {name: options[option] for option, name in (("sub", "sub"), ("client", "client_id")) if options[option]}
    selector |= dict(_claim(text) for text in options["claims"])
    ways = {
        "--token": options["token"],
        "--jti": options["jti"],
        "--key": options["key"],
        "--everything": options["everything"],
        "--sub, --client, --claim": selector,
    }
    chosen = [way for way, value in ways.items() if value]
    if len(chosen) != 1:
        but = f", not {' and '.join(chosen)}" if chosen else ""
        raise click.UsageError(f"choose exactly one of {' · '.join(ways)}{but}")
    body: dict[str, Any] = {"reason": options["reason"]}
    if options["key"]:
        return f"/admin/v1/keys/{options['key']}/revoke", body
    if options["token"]:
        body["token"] = options["token"]
    elif options["jti"]:
        body["jti"] = options["jti"]
    else:
        body["selector"] = selector
    if options["issued_before"] is not None:
        body["issued_before"] = options["issued_before"]
    return "/admin/v1/revocations", body


def _claim(text: str) -> tuple[str, str | int | bool]:
    """``NAME=VALUE``; a value that is a JSON number or boolean counts as that, in quotes as text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"--claim {text!r}: write NAME=VALUE")
    try:
        return name, msgspec.json.decode(value, type=str | int | bool)
    except msgspec.MsgspecError:
        return name, value


async def _send(context: Context, path: str, body: dict[str, Any], wait: int) -> Any:
    settings: OperatorSettings = context.read(OperatorSettings)
    async with AdminClient(settings.issuer, operator_credentials(settings)) as admin:
        return await admin.post(path, body, wait=wait)
