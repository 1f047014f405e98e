"""``tocsin revoke``."""

import asyncio
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from events.digests import BATCH_LIMIT
from tocsin.admin_client import AdminClient
from tocsin.command import Context, json_option, tell_decided, wait_option
from tocsin.mass.formats import FORMATS, KINDS
from tocsin.mass.run import Options, revoke_file
from tocsin.receipts import tell_receipts, wait_fleet_option, with_receipt
from tocsin.settings import OperatorSettings, operator_credentials

_TEXT_CLAIMS: Final = frozenset({"sub", "client_id", "sid", "jti", "aud", "scope", "tenant", "azp"})
"""Claims whose values are text in every token, also when they look like numbers."""
_WHOLE: Final = ("--token", "--jti", "--key", "--file")
_OF_FILE: Final = {
    "form": "--format",
    "kind": "--by",
    "column": "--column",
    "skip_bad": "--skip-bad",
    "errors": "--errors",
    "checkpoint": "--checkpoint",
    "batch_size": "--batch-size",
    "dry_run": "--dry-run",
    "patience": "--patience",
}
"""What goes with ``--file`` alone."""


@click.command("revoke")
@click.option("--token", help="One access token.")
@click.option("--jti", help="One token, by its identifier.")
@click.option("--sub", help="Every token of a subject.")
@click.option("--client", help="Every token of a client.")
@click.option("--key", help="A signing key, with every token it signed. For good: this cannot be lifted.")
@click.option("--claim", "claims", multiple=True, metavar="NAME=VALUE", help="Any claim; several must all match.")
@click.option("--file", help="Many tokens: CSV, JSON lines, or one a line; - for standard input.")
@click.option("--everything", is_flag=True, help="Every token of the issuer.")
@click.option("--issued-before", type=float, help="Only tokens issued up to this time (seconds since the epoch).")
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@click.option("--yes", is_flag=True, help="Do not ask before revoking everything.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Of the file; by its extension otherwise.")
@click.option("--by", "kind", type=click.Choice(KINDS), help="What the file names tokens by; by its header otherwise.")
@click.option("--column", help="Column or member in which they stand, when it is called otherwise.")
@click.option("--skip-bad", is_flag=True, help="Leave out the file's bad lines; otherwise one stops it all.")
@click.option("--errors", type=click.Path(path_type=Path), help="Write every bad line's number and fault here.")
@click.option(
    "--checkpoint", type=click.Path(path_type=Path), help="Where to note what is done; FILE.tocsin otherwise."
)
@click.option(
    "--batch-size", type=click.IntRange(1, BATCH_LIMIT), help=f"Tokens in one revocation; {BATCH_LIMIT} otherwise."
)
@click.option("--dry-run", is_flag=True, help="Check the file and say what would be done.")
@click.option(
    "--patience", type=click.FloatRange(0, 86_400), help="Seconds to try while the issuer is away; 60 otherwise."
)
@wait_fleet_option
@wait_option
@json_option
@click.pass_obj
def command(context: Context, /, **options: Any) -> int:
    """Revoke a token, a client, a subject, a key, a file of tokens, or everything: by exactly one of the options.

    --sub, --client and --claim go together: a token is hit when all of them match.
    Exit code 3: it is decided and durable, but the event log has not acknowledged it yet; or, with --wait-fleet, not
    every agent has applied it, and who has not is named.

    A file is read whole before anything is sent: with a bad line nothing is revoked, and the exit code is 2. Tokens are
    digested here and do not leave this machine. A run that was interrupted goes on when it is started again. Exit code
    3 also says: bad lines were left out, or only some of the batches are revoked.
    """
    if options["file"] is not None:
        if options["wait_fleet"] is not None:
            raise click.UsageError("--wait-fleet and --file do not go together: see tocsin fleet")
        return revoke_file(context, _of_file(options))
    path, body = _request(options)
    if options["everything"] and not options["yes"]:
        if context.output.as_json:
            raise click.UsageError("--everything with --json needs --yes: a program cannot be asked")
        click.confirm("Revoke every token of the issuer, your own among them?", abort=True, err=True)
    answer = asyncio.run(_send(context, path, body, options["wait"], options["wait_fleet"]))
    context.output.answer(answer)
    what = f"revoked key {options['key']}" if options["key"] else "revoked"
    code = tell_decided(context.output, f"{what} as {answer['id']}", answer)
    return max(code, tell_receipts(context.output, answer))


def _request(options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The call that the options ask for."""
    _way(options)
    if given := [option for name, option in _OF_FILE.items() if options[name]]:
        raise click.UsageError(f"{given[0]} goes with --file")
    body: dict[str, Any] = {"reason": options["reason"]}
    if options["key"]:
        return f"/admin/v1/keys/{options['key']}/revoke", body
    if options["token"]:
        body["token"] = options["token"]
    elif options["jti"]:
        body["jti"] = options["jti"]
    else:
        body["selector"] = _selector(options)
    if options["issued_before"] is not None:
        body["issued_before"] = options["issued_before"]
    return "/admin/v1/revocations", body


def _of_file(options: dict[str, Any]) -> Options:
    """The options of ``--file``."""
    _way(options)
    given = {name: options[name] for name in _OF_FILE if options[name] is not None}
    return Options(file=options["file"], reason=options["reason"], wait=options["wait"], **given)


def _way(options: dict[str, Any]) -> str:
    """By which of its options the command revokes: exactly one."""
    ways = {
        "--token": options["token"],
        "--jti": options["jti"],
        "--key": options["key"],
        "--file": options["file"],
        "--everything": options["everything"],
        "--sub, --client, --claim": _selector(options),
    }
    chosen = [way for way, value in ways.items() if value]
    if len(chosen) != 1:
        but = f", not {' and '.join(chosen)}" if chosen else ""
        raise click.UsageError(f"choose exactly one of {' · '.join(ways)}{but}")
    if chosen[0] in _WHOLE and options["issued_before"] is not None:
        raise click.UsageError(f"{chosen[0]} and --issued-before do not go together: it revokes whatever the time")
    return chosen[0]


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


async def _send(context: Context, path: str, body: dict[str, Any], wait: int, wait_fleet: int | None) -> Any:
    settings: OperatorSettings = context.read(OperatorSettings)
    async with AdminClient(settings.issuer, operator_credentials(settings)) as admin:
        answer = await admin.post(path, body, wait=wait)
        about_keys = path.startswith("/admin/v1/keys/")
        receipts = f"/admin/v1/{'keys/receipts/' if about_keys else 'revocations/'}{answer['id']}"
        return await with_receipt(admin, answer, receipts if about_keys else f"{receipts}/receipts", wait_fleet)
