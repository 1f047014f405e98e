"""``tocsin client``: works on the store directly, so it needs no running issuer."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from issuer.client_assertions import check_keys
from issuer.clients import Client, ClientStore
from issuer.grants import offered_grants
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from issuer.store.migration import check_version
from tocsin.command import Context, json_option
from tocsin.errors import WRONG_USE, CommandFailed
from verifier_agent import parse_seconds

T = TypeVar("T")


@click.group("client")
def command() -> None:
    """Register clients and give them secrets. A secret is shown once and stored hashed."""


@command.command("add")
@click.argument("client_id")
@click.option("--name", default="", help="For people.")
@click.option("--grant", "grants", multiple=True, help="Grant type it may use [default: client_credentials].")
@click.option("--scope", "scopes", multiple=True, help="Scope it may have; repeat for more.")
@click.option("--audience", "audiences", multiple=True, help="Service its tokens may be for; the first is the default.")
@click.option("--token-lifetime", help="Such as 10m; the issuer's default when absent.")
@click.option("--token-alg", type=click.Choice(["ES256", "RS256", "EdDSA"]), help="The issuer's default when absent.")
@click.option(
    "--jwks",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with its public keys (JWK set): it authenticates with signed assertions, and has no secret.",
)
@json_option
@click.pass_obj
def add(
    context: Context,
    client_id: str,
    name: str,
    grants: tuple[str, ...],
    scopes: tuple[str, ...],
    audiences: tuple[str, ...],
    token_lifetime: str | None,
    token_alg: str | None,
    jwks: Path | None,
) -> None:
    """Register CLIENT_ID and show its secret."""
    try:
        client = Client(
            client_id=client_id,
            name=name,
            grants=grants or ("client_credentials",),
            scopes=scopes,
            audiences=audiences,
            token_lifetime=None if token_lifetime is None else parse_seconds(token_lifetime),
            token_alg=token_alg,
            jwks=() if jwks is None else _keys(jwks),
        )
    except ValueError as error:
        raise CommandFailed(str(error), exit_code=WRONG_USE) from error
    _check(client, context.read(IssuerSettings))
    if client.jwks:
        asyncio.run(_with_store(context, lambda store: store.add_without_secret(client)))
        context.output.answer({"client_id": client_id, "keys": len(client.jwks)})
        context.output.line(f"client_id      {client_id}\nIt authenticates with its keys (private_key_jwt).")
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


@command.command("rotate-secret")
@click.argument("client_id")
@json_option
@click.pass_obj
def rotate_secret(context: Context, client_id: str) -> None:
    """Give CLIENT_ID a further secret; the one before stays good until the next rotation."""
    secret = asyncio.run(_with_store(context, lambda store: store.rotate_secret(client_id)))
    context.output.answer({"client_id": client_id, "client_secret": secret.reveal()})
    context.output.line(f"client_id      {client_id}\nclient_secret  {secret.reveal()}\nThe secret is not shown again.")


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
