"""``tocsin user``: adds and lists on the store directly; disabling goes through the issuer, as it revokes."""

import asyncio
import csv
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from issuer.errors import Conflict
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from issuer.store.migration import check_version
from issuer.users import Passwords, User, UserStore
from tocsin.admin_client import AdminClient
from tocsin.command import Context, json_option
from tocsin.errors import IN_PART, WRONG_USE, CommandFailed
from tocsin.settings import OperatorSettings, operator_credentials

T = TypeVar("T")


@click.group("user")
def command() -> None:
    """Add users, let them do nothing any more, or again."""


@command.command("add")
@click.argument("username")
@click.option("--claim", "claims", multiple=True, metavar="NAME=VALUE", help="What tokens may say; VALUE may be JSON.")
@click.option("--no-password", is_flag=True, help="A user who logs in elsewhere.")
@click.password_option(
    "--password", prompt=False, prompt_required=False, help="Asked for when absent; an argument is seen by others."
)
@json_option
@click.pass_obj
def add(context: Context, username: str, claims: tuple[str, ...], no_password: bool, password: str | None) -> None:
    """Add USERNAME, who logs in with a password."""
    said = _claims(claims)
    if password is None and not no_password:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    user = _on_store(context, lambda store: store.add(username, password, claims=said))
    context.output.answer(msgspec.to_builtins(user))
    context.output.line(f"username  {user.username}\nsub       {user.sub}")


@command.command("list")
@json_option
@click.pass_obj
def list_users(context: Context) -> None:
    """List users by name, the first thousand."""
    users = _on_store(context, lambda store: store.all())
    context.output.answer({"users": [msgspec.to_builtins(user) for user in users]})
    context.output.table(["USERNAME", "SUB", "STATE"], [_row(user) for user in users])


@command.command("set-password")
@click.argument("username")
@click.password_option("--password", help="Asked for when absent; an argument is seen by others.")
@json_option
@click.pass_obj
def set_password(context: Context, username: str, password: str) -> None:
    """Give USERNAME another password. What was granted before stands: revoke it with `tocsin revoke --sub`."""
    user = _on_store(context, lambda store: store.set_password(username, password))
    context.output.answer(msgspec.to_builtins(user))
    context.output.line(f"{user.username} has another password")


@command.command("import", short_help="Add users from a CSV file.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@click.pass_obj
def import_users(context: Context, file: Path) -> int:
    """Add users from a CSV FILE with the columns username, password and any claims; who is there already stays as is.

    Exit code 3: some lines could not be used; each is named with its number.
    """
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    if rows and "username" not in rows[0]:
        raise CommandFailed(f"{file} has no column 'username'", exit_code=WRONG_USE)
    added, faults = _on_store(context, lambda store: _import(store, rows))
    context.output.answer({"added": added, "faults": [{"line": line, "fault": fault} for line, fault in faults]})
    for line, fault in faults:
        context.output.line(f"{file}:{line}: {fault}")
    context.output.line(f"{added} of {len(rows)} users added")
    return IN_PART if faults else 0


@command.command("disable", short_help="Let USERNAME do nothing any more.")
@click.argument("username")
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@json_option
@click.pass_obj
def disable(context: Context, username: str, reason: str) -> None:
    """Let USERNAME do nothing any more; everything of theirs is revoked, everywhere."""
    answer = asyncio.run(_ask(context, username, "disable", reason))
    context.output.answer(answer)
    context.output.line(f"{answer['username']} is disabled; revocation {answer['revocation']}")


@command.command("enable")
@click.argument("username")
@click.option("--reason", required=True, help="Why.")
@json_option
@click.pass_obj
def enable(context: Context, username: str, reason: str) -> None:
    """Let USERNAME log in again. What was revoked stays revoked, unless that is lifted."""
    answer = asyncio.run(_ask(context, username, "enable", reason))
    context.output.answer(answer)
    context.output.line(f"{answer['username']} is enabled")


def _claims(given: tuple[str, ...]) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise CommandFailed(f"--claim {each!r} must be NAME=VALUE", exit_code=WRONG_USE)
        try:
            claims[name] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            claims[name] = value
    return claims


def _row(user: User) -> tuple[str, ...]:
    return user.username, user.sub, "disabled" if user.disabled else "enabled"


async def _import(store: UserStore, rows: list[dict[str, Any]]) -> tuple[int, list[tuple[int, str]]]:
    added, faults = 0, []
    for line, row in enumerate(rows, start=2):
        claims = {name: value for name, value in row.items() if name not in ("username", "password", None) and value}
        try:
            await store.add(row.get("username") or "", row.get("password") or None, claims=claims)
            added += 1
        except (Conflict, ValueError) as error:
            faults.append((line, str(error)))
    return added, faults


async def _ask(context: Context, username: str, what: str, reason: str) -> Any:
    settings: OperatorSettings = context.read(OperatorSettings)
    async with AdminClient(settings.issuer, operator_credentials(settings)) as admin:
        return await admin.post(f"/admin/v1/users/{username}/{what}", {"reason": reason})


def _on_store(context: Context, work: Callable[[UserStore], Awaitable[T]]) -> T:
    settings: IssuerSettings = context.read(IssuerSettings)

    async def done() -> T:
        database, passwords = Database(settings.store), Passwords()
        try:
            await check_version(database)
            return await work(UserStore(database, passwords))
        except ValueError as error:
            raise CommandFailed(str(error), exit_code=WRONG_USE) from error
        finally:
            passwords.close()
            await database.close()

    return asyncio.run(done())
