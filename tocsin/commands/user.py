"""``tocsin user``: works on the store directly; disabling and deleting go through the issuer, as they revoke."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import click
import msgspec

from issuer.errors import Conflict
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from issuer.store.migration import check_version
from issuer.users import Passwords, User, UserStore, standard_claims
from tocsin.admin_client import AdminClient
from tocsin.command import Context, json_option
from tocsin.errors import IN_PART, WRONG_USE, CommandFailed
from tocsin.settings import OperatorSettings, operator_credentials
from tocsin.user_table import Fault, NewUser, rows_of

T = TypeVar("T")

MOST_LISTED: Final = 1000


@click.group("user")
def command() -> None:
    """Add users and say who they are; let them do nothing any more, or again; delete them."""


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
@click.option("--after", default="", metavar="USERNAME", help="Go on after this one.")
@click.option("--limit", type=click.IntRange(1, MOST_LISTED), default=MOST_LISTED, show_default=True)
@json_option
@click.pass_obj
def list_users(context: Context, after: str, limit: int) -> None:
    """List users by name."""
    users = _on_store(context, lambda store: store.all(limit=limit, after=after))
    context.output.answer({"users": [msgspec.to_builtins(user) for user in users]})
    context.output.table(["USERNAME", "SUB", "STATE"], [_row(user) for user in users])
    if len(users) == limit:
        context.output.line(f"there may be more: --after {users[-1].username}")


@command.command("show")
@click.argument("username")
@json_option
@click.pass_obj
def show(context: Context, username: str) -> None:
    """Show what the record of USERNAME says."""
    user = _on_store(context, lambda store: store.named(username))
    context.output.answer(msgspec.to_builtins(user))
    claims = [(name, msgspec.json.encode(value).decode()) for name, value in sorted(user.claims.items())]
    context.output.table(
        ["WHAT", "SAYS"], [("username", user.username), ("sub", user.sub), ("state", _state(user)), *claims]
    )


@command.command("set-claims")
@click.argument("username")
@click.option(
    "--claim", "claims", multiple=True, metavar="NAME=VALUE", help="Have the record say this; VALUE may be JSON."
)
@click.option("--without", multiple=True, metavar="NAME", help="Have it say nothing of this.")
@json_option
@click.pass_obj
def set_claims(context: Context, username: str, claims: tuple[str, ...], without: tuple[str, ...]) -> None:
    """Change what the record of USERNAME says. Tokens say it from the next one on."""
    said = _claims(claims)
    if not said and not without:
        raise CommandFailed("nothing to change: give --claim or --without", exit_code=WRONG_USE)
    if both := said.keys() & set(without):
        raise CommandFailed(f"claim {min(both)!r} is both given and taken away", exit_code=WRONG_USE)
    user = _on_store(context, lambda store: store.set_claims(username, said, without=without))
    context.output.answer(msgspec.to_builtins(user))
    context.output.line(f"{user.username}: {', '.join(sorted(user.claims)) or 'no claims'}")


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
    """Add users from a CSV FILE; who is there already stays as is.

    Columns: username; password, or password_hash (Argon2id); sub and disabled, to take over; all others are claims.

    Exit code 3: some lines could not be used; each is named with its number.
    """
    rows = list(rows_of(file))
    added, faults = _on_store(context, lambda store: _import(store, rows))
    context.output.answer({"added": added, "faults": msgspec.to_builtins(faults)})
    for each in faults:
        context.output.line(f"{file}:{each.line}: {each.fault}")
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


@command.command("delete", short_help="Forget USERNAME for good.")
@click.argument("username")
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@json_option
@click.pass_obj
def delete(context: Context, username: str, reason: str) -> None:
    """Forget USERNAME for good; everything of theirs is revoked, everywhere."""
    answer = asyncio.run(_ask(context, username, "delete", reason))
    context.output.answer(answer)
    context.output.line(f"{answer['username']} is deleted; revocation {answer['revocation']}")


def _claims(given: tuple[str, ...]) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise CommandFailed(f"--claim {each!r} must be NAME=VALUE", exit_code=WRONG_USE)
        claims[name] = standard_claims.parsed(name, value)
    return claims


def _row(user: User) -> tuple[str, ...]:
    return user.username, user.sub, _state(user)


def _state(user: User) -> str:
    return "disabled" if user.disabled else "enabled"


async def _import(store: UserStore, rows: list[tuple[int, NewUser | Fault]]) -> tuple[int, list[Fault]]:
    added, faults = 0, []
    for line, row in rows:
        if isinstance(row, Fault):
            faults.append(row)
            continue
        try:
            await store.add(**msgspec.structs.asdict(row))
            added += 1
        except (Conflict, ValueError) as error:
            faults.append(Fault(line, str(error)))
    return added, faults


async def _ask(context: Context, username: str, what: str, reason: str) -> Any:
    settings: OperatorSettings = context.read(OperatorSettings)
    async with AdminClient(settings.issuer, operator_credentials(settings)) as admin:
        return await admin.post(f"/admin/v1/users/{quote(username, safe='')}/{what}", {"reason": reason})


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
