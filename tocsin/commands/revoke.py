"""``tocsin revoke``."""

import asyncio
from typing import Any, Final

import click
import msgspec

from tocsin.admin_client import AdminClient
from tocsin.command import Context, json_option, tell_decided, wait_option
from tocsin.settings import OperatorSettings, operator_credentials

_TEXT_CLAIMS: Final = frozenset({"sub", "client_id", "sid", "jti", "aud", "scope", "tenant", "azp"})
"""Claims whose values are text in every token, also when they look like numbers."""
_WHOLE: Final = ("--token", "--jti", "--key")


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
@click.option("--yes", is_flag=True, help="Do not ask before revoking everything.")
@wait_option
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
    what = f"revoked key {options['key']}" if options["key"] else "revoked"
    return tell_decided(context.output, f"{what} as {answer['id']}", answer)


def _request(options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The call that the options ask for."""
    selector = _selector(options)
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
    if chosen[0] in _WHOLE and options["issued_before"] is not None:
        raise click.UsageError(f"{chosen[0]} and --issued-before do not go together: it revokes whatever the time")
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


def _selector(options: dict[str, Any]) -> dict[str, str | int | bool]:
    """The claims that must all match, each named once."""
    named = [(name, options[option]) for option, name in (("sub", "sub"), ("client", "client_id")) if options[option]]
    selector: dict[str, str | int | bool] = {}
    for name, value in [*named, *map(_claim, options["claims"])]:
        if name in selector:
            raise click.UsageError(f"claim {name!r} is given twice: a token would have to match both")
        selector[name] = value
    return selector


def _claim(text: str) -> tuple[str, str | int | bool]:
    """``NAME=VALUE``; where it need not be text, a JSON number or boolean counts as that, in quotes as text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"--claim {text!r}: write NAME=VALUE")
    if name in _TEXT_CLAIMS:
        return name, value
    try:
        return name, msgspec.json.decode(value, type=str | int | bool)
    except msgspec.MsgspecError:
        return name, value


async def _send(context: Context, path: str, body: dict[str, Any], wait: int) -> Any:
    settings: OperatorSettings = context.read(OperatorSettings)
    async with AdminClient(settings.issuer, operator_credentials(settings)) as admin:
        return await admin.post(path, body, wait=wait)
