"""``tocsin keys wrap``: an entry for the list of token keys in configuration."""

import asyncio
from pathlib import Path

import click

from issuer.errors import SealBroken
from issuer.keys.choice import key_wrappers
from issuer.keys.exchange import read_key
from issuer.keys.generation import PrivateJwk, generate
from issuer.keys.key_list import ListedKey, SealedEntry
from issuer.keys.list_opening import listed_key
from issuer.keys.vault import TOKEN_KEY, seal
from issuer.keys.wrapping import Wrappers
from issuer.settings import IssuerSettings
from tocsin.command import Context, json_option
from tocsin.errors import WRONG_USE, CommandFailed
from tocsin.vault import passphrase_option, read_private_key


@click.command("wrap")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("--alg", type=click.Choice(["ES256", "RS256", "EdDSA"]), help="Make a new key for it, in place of FILE.")
@click.option("--kid", help="What to name it; by default what a JWK or entry says, or else its thumbprint.")
@passphrase_option
@json_option
@click.pass_obj
def wrap(context: Context, file: Path | None, alg: str | None, kid: str | None, passphrase_file: Path | None) -> None:
    """Seal a private key for the setting signing_keys.

    Prints the entry to paste.

    The key is a new one for --alg; or that in FILE: PEM (PKCS #8, plain or under a passphrase), JWK, or an entry that
    is to be sealed anew, with the key-encryption key that the settings seal with now.

    The store is not touched. Whoever has the entry needs the key-encryption key to make anything of it.
    """
    if (file is None) == (alg is None):
        raise CommandFailed("name a FILE, or --alg for a new key", exit_code=WRONG_USE)
    settings: IssuerSettings = context.read(IssuerSettings)
    entry = asyncio.run(_wrapped(settings, file, alg, kid, passphrase_file))
    key = entry.parse()
    assert key is not None  # noqa: S101 - we have just made it
    context.output.answer({"kid": key.kid, "alg": key.alg, "kek_id": key.kek_id, "entry": entry.reveal()})
    context.output.line(entry.reveal())


async def _wrapped(
    settings: IssuerSettings, file: Path | None, alg: str | None, kid: str | None, passphrase_file: Path | None
) -> SealedEntry:
    wrappers = await key_wrappers(settings)
    if file is None:
        jwk = await asyncio.to_thread(generate, alg or "")
    elif (entry := _entry_in(file)) is not None:
        jwk = await _opened(entry, wrappers, file)
    else:
        jwk = read_private_key(file, kid, passphrase_file)
    jwk = PrivateJwk({**jwk, "kid": kid or jwk["kid"]})
    found = listed_key(await seal(wrappers.current, jwk, TOKEN_KEY)).text()
    try:
        found.check()
    except ValueError as error:
        raise CommandFailed(f"no entry can be made of it: {error}", exit_code=WRONG_USE) from error
    return found


def _entry_in(file: Path) -> ListedKey | None:
    """The entry that a file holds and nothing else; ``None`` where it holds something else."""
    try:
        return SealedEntry(file.read_text().strip()).parse()
    except ValueError:  # a PEM or a JWK, or bytes that are no text
        return None


async def _opened(entry: ListedKey, wrappers: Wrappers, file: Path) -> PrivateJwk:
    try:
        plain = await wrappers.unwrap(entry.sealed, kid=entry.kid, use=TOKEN_KEY, kek_id=entry.kek_id)
    except SealBroken as error:
        raise CommandFailed(f"{file}: {error}") from error
    return read_key(plain)
