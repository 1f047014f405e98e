"""``tocsin client``: works on the store directly, so it needs no running issuer."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import click
import msgspec

from issuer.client_assertions import check_keys
from issuer.clients import CODE_GRANT, Client, ClientStore
from issuer.grants import offered_grants
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from issuer.store.migration import check_version
from tocsin.admin_client import AdminClient
from tocsin.command import Context, json_option
from tocsin.errors import WRONG_USE, CommandFailed
from tocsin.settings import OperatorSettings, operator_credentials
from verifier_agent import parse_seconds

T = TypeVar("T")

LOGIN_GRANTS: Final = (CODE_GRANT, "refresh_token")
"""Of a client that users log in to."""


@click.group("client")
def command() -> None:
    """Register, change and end clients, and give them secrets. A secret is shown once and stored hashed."""


_WHAT_IT_MAY: Final = (
    click.option("--name", help="For people: users see it when they are asked."),
    click.option("--grant", "grants", multiple=True, help="Grant type it may use; repeat for more."),
    click.option("--scope", "scopes", multiple=True, help="Scope it may have; repeat for more."),
    click.option("--audience", "audiences", multiple=True, help="Service its tokens may be for; the first by default."),
    click.option("--token-lifetime", help="Such as 10m; the issuer's default when absent."),
    click.option("--token-alg", type=click.Choice(["ES256", "RS256", "EdDSA"]), help="The issuer's default if absent."),
    click.option("--redirect-uri", "redirect_uris", multiple=True, help="Where logins may send browsers back to."),
    click.option("--post-logout-redirect-uri", "post_logout_redirect_uris", multiple=True, help="… and logouts."),
    click.option("--skip-consent/--ask-consent", default=None, help="Whether users need not agree: it is our own."),
)


def what_it_may(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say what a client is and may."""
    for option in reversed(_WHAT_IT_MAY):
        function = option(function)
    return function


@command.command("add")
@click.argument("client_id")
@what_it_may
@click.option("--public", is_flag=True, help="It can keep no secret, as an application on a phone or in a browser.")
@click.option(
    "--jwks",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with its public keys (JWK set): it authenticates with signed assertions, and has no secret.",
)
@json_option
@click.pass_obj
def add(context: Context, /, client_id: str, public: bool, jwks: Path | None, **options: Any) -> None:
    """Register CLIENT_ID and show its secret.

    Without --grant it may use client_credentials; with a redirect URI, authorization_code and refresh_token.
    """
    try:
        said = _said(options)
        said.setdefault("grants", LOGIN_GRANTS if said.get("redirect_uris") or public else ("client_credentials",))
        client = Client(client_id=client_id, public=public, jwks=() if jwks is None else _keys(jwks), **said)
    except ValueError as error:
        raise CommandFailed(str(error), exit_code=WRONG_USE) from error
    _check(client, context.read(IssuerSettings))
    if client.jwks or client.public:
        asyncio.run(_with_store(context, lambda store: store.add_without_secret(client)))
        by_none = "by none: it is public, and uses PKCE" if CODE_GRANT in client.grants else "by none: it is public"
        how = "with its keys (private_key_jwt)" if client.jwks else by_none
        context.output.answer({"client_id": client_id, "keys": len(client.jwks), "public": client.public})
        context.output.line(f"client_id      {client_id}\nIt authenticates {how}.")
        return
    secret = asyncio.run(_with_store(context, lambda store: store.add(client)))
    context.output.answer({"client_id": client_id, "client_secret": secret.reveal()})
    context.output.line(f"client_id      {client_id}\nclient_secret  {secret.reveal()}\nThe secret is not shown again.")


@command.command("list")
@json_option
@click.pass_obj
def list_clients(context: Context) -> None:
    """List the registered clients."""
    clients = asyncio.run(_with_store(context, lambda store: store.all()))
    context.output.answer({"clients": [msgspec.to_builtins(client) for client in clients]})
    context.output.table(
        ["CLIENT", "NAME", "GRANTS", "SCOPES", "AUDIENCES"],
        [
            (
                client.client_id,
                client.name,
                " ".join(client.grants),
                " ".join(client.scopes),
                " ".join(client.audiences),
            )
            for client in clients
        ],
    )


@command.command("rotate-secret", short_help="Give CLIENT_ID a further secret.")
@click.argument("client_id")
@json_option
@click.pass_obj
def rotate_secret(context: Context, client_id: str) -> None:
    """Give CLIENT_ID a further secret; the one before stays good until the next rotation."""
    secret = asyncio.run(_with_store(context, lambda store: store.rotate_secret(client_id)))
    context.output.answer({"client_id": client_id, "client_secret": secret.reveal()})
    context.output.line(f"client_id      {client_id}\nclient_secret  {secret.reveal()}\nThe secret is not shown again.")


@command.command("set", short_help="Change what CLIENT_ID may.")
@click.argument("client_id")
@what_it_may
@json_option
@click.pass_obj
def change(context: Context, /, client_id: str, **options: Any) -> None:
    """Change what CLIENT_ID may: each option replaces what there was. What it holds already stays good."""
    settings: IssuerSettings = context.read(IssuerSettings)

    async def changed(store: ClientStore) -> Client:
        try:
            said = _said(options)
            if not said:
                raise CommandFailed("nothing to change: give at least one option", exit_code=WRONG_USE)
            found = next((client for client in await store.all() if client.client_id == client_id), None)
            if found is not None:
                _check(msgspec.structs.replace(found, **said), settings)
            return await store.change(client_id, said)
        except ValueError as error:
            raise CommandFailed(str(error), exit_code=WRONG_USE) from error

    client = asyncio.run(_with_store(context, changed))
    context.output.answer(msgspec.to_builtins(client))
    context.output.line(f"{client_id} is changed")


@command.command("disable", short_help="Let CLIENT_ID do nothing any more.")
@click.argument("client_id")
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@json_option
@click.pass_obj
def disable(context: Context, client_id: str, reason: str) -> None:
    """Let CLIENT_ID do nothing any more; all of its tokens are revoked, everywhere."""
    answer = asyncio.run(_ask(context, client_id, "disable", reason))
    context.output.answer(answer)
    context.output.line(f"{client_id} is disabled; revocation {answer['revocation']}")


@command.command("enable")
@click.argument("client_id")
@click.option("--reason", required=True, help="Why.")
@json_option
@click.pass_obj
def enable(context: Context, client_id: str, reason: str) -> None:
    """Let CLIENT_ID ask for tokens again. What was revoked stays revoked, unless that is lifted."""
    context.output.answer(asyncio.run(_ask(context, client_id, "enable", reason)))
    context.output.line(f"{client_id} is enabled")


@command.command("delete", short_help="Remove CLIENT_ID for good.")
@click.argument("client_id")
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@json_option
@click.pass_obj
def delete(context: Context, client_id: str, reason: str) -> None:
    """Remove CLIENT_ID for good; all of its tokens are revoked, everywhere."""
    answer = asyncio.run(_ask(context, client_id, "delete", reason))
    context.output.answer(answer)
    context.output.line(f"{client_id} is gone; revocation {answer['revocation']}")


async def _ask(context: Context, client_id: str, what: str, reason: str) -> Any:
    settings: OperatorSettings = context.read(OperatorSettings)
    async with AdminClient(settings.issuer, operator_credentials(settings)) as admin:
        return await admin.post(f"/admin/v1/clients/{quote(client_id, safe='')}/{what}", {"reason": reason})


def _said(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, as fields of a client.

    Raises:
        ValueError: ``--token-lifetime`` is no time.
    """
    said = {name: value for name, value in options.items() if value not in (None, ())}
    if "token_lifetime" in said:
        said["token_lifetime"] = parse_seconds(said["token_lifetime"])
    return said


def _keys(file: Path) -> tuple[dict[str, str], ...]:
    """The keys in a JWK set (RFC 7517 section 5), or the one key that the file is.

    Raises:
        ValueError: it is neither, or a key cannot be used.
    """
    try:
        found = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        keys = msgspec.convert(found.get("keys", [found]), tuple[dict[str, Any], ...])
    except (msgspec.MsgspecError, ValueError) as error:
        raise ValueError(f"--jwks {file}: {error}") from error
    if not keys:
        raise ValueError(f"--jwks {file} holds no key")
    try:
        check_keys(keys)
    except ValueError as error:
        raise ValueError(f"--jwks {file}: {error}") from error
    return keys


def _check(client: Client, settings: IssuerSettings) -> None:
    """Refuse what this issuer would never give the client."""
    known = offered_grants(settings)
    for grant in client.grants:
        if grant not in known:
            raise CommandFailed(f"there is no grant {grant!r}, only {', '.join(sorted(known))}", exit_code=WRONG_USE)
    ceiling = settings.token_lifetime_ceiling
    if client.token_lifetime is not None and client.token_lifetime > ceiling:
        raise CommandFailed(
            f"--token-lifetime {client.token_lifetime:g} s is above setting 'token_lifetime_ceiling', {ceiling:g} s",
            exit_code=WRONG_USE,
        )


async def _with_store(context: Context, work: Callable[[ClientStore], Awaitable[T]]) -> T:
    settings: IssuerSettings = context.read(IssuerSettings)
    database = Database(settings.store)
    try:
        await check_version(database)
        return await work(ClientStore(database))
    finally:
        await database.close()
