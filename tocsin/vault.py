"""``tocsin keys rewrap``, ``import`` and ``export``: what is done with private keys, on the store directly.

Private keys do not travel over HTTP, not even to an operator: who may do this has the store and the key-encryption key.
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

import click
import msgspec

from events import format_seq
from issuer.keys.exchange import Format, KeyUnusable, read_key, write_key
from issuer.keys.generation import PrivateJwk
from issuer.keys.private_file import read_private, write_private
from issuer.keys.rewrapping import Rewrapped
from issuer.offline import keys_of, rewrapping_of
from issuer.settings import IssuerSettings
from tocsin.command import Context, json_option
from tocsin.errors import IN_PART, WRONG_USE, CommandFailed

ACTOR: Final = "tocsin keys"

passphrase_option = click.option(
    "--passphrase-file", type=click.Path(path_type=Path), help="File with the passphrase, its owner's alone."
)
_reason_option = click.option("--reason", required=True, help="Why; kept in the audit trail.")


@click.command("rewrap")
@json_option
@click.pass_obj
def rewrap(context: Context) -> int:
    """Seal every private key anew under the key-encryption key of today. Issuers go on working.

    Give each issuer both keys first: the one to come in other_kek_files, then in kek_file with the old one in
    other_kek_files. It may be interrupted and run again. Exit code 3: not everything is under the new key, or does not
    stay so; keep the old one.
    """
    settings: IssuerSettings = context.read(IssuerSettings)
    done = asyncio.run(_rewrap(settings))
    context.output.answer({**msgspec.to_builtins(done), "complete": done.is_complete})
    context.output.line(
        f"{done.rewrapped} keys sealed anew under {done.kek_id}, {done.already} were already, "
        f"{done.overtaken} overtaken, {len(done.broken)} broken"
    )
    for fault in done.broken.values():
        context.output.line(f"  {fault}")
    if done.still_sealing:
        context.output.line(f"issuers that seal with another key still: {', '.join(done.still_sealing)}")
    context.output.line(
        "no key needs another key-encryption key any more" if done.is_complete else "keep the old one, and run it again"
    )
    return 0 if done.is_complete else IN_PART


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_reason_option
@click.option("--kid", help="What to name it; by default what a JWK says, or else its thumbprint.")
@click.option("--verify-only", is_flag=True, help="It never signs here; for tokens that it has signed elsewhere.")
@passphrase_option
@json_option
@click.pass_obj
def import_key(
    context: Context, file: Path, reason: str, kid: str | None, verify_only: bool, passphrase_file: Path | None
) -> None:
    """Add the private key in FILE.

    That is PEM (PKCS #8, plain or under a passphrase) or JWK. It becomes a standby, which signs after those that are
    there already; or verifies alone, until the longest token that it may have signed until today has expired.
    """
    settings: IssuerSettings = context.read(IssuerSettings)
    jwk = read_private_key(file, kid, passphrase_file)
    state = "retiring" if verify_only else "pending"
    seq = asyncio.run(_import(settings, jwk, reason, verify_only=verify_only))
    answer = {"id": format_seq(seq), "seq": seq, "kid": jwk["kid"], "alg": jwk["alg"], "state": state}
    context.output.answer(answer)
    context.output.line(f"key {jwk['kid']} ({jwk['alg']}) is {state} as of {answer['id']}")
    if file.stat().st_mode & 0o077:
        context.output.line(f"others may read {file} (mode {file.stat().st_mode & 0o7777:04o}): is it a secret still?")


@click.command("export")
@click.argument("kid")
@_reason_option
@click.option("--reveal-private-key", is_flag=True, help="Say that you know what you ask for.")
@click.option("--out", type=click.Path(path_type=Path), help="A new file, for its owner alone; else standard output.")
@click.option("--format", "form", type=click.Choice(["pem", "jwk"]), default="pem", show_default=True)
@click.option("--encrypt", is_flag=True, help="Under a passphrase, which is asked for.")
@passphrase_option
@json_option
@click.pass_obj
def export_key(
    context: Context,
    kid: str,
    reason: str,
    reveal_private_key: bool,
    out: Path | None,
    form: Format,
    encrypt: bool,
    passphrase_file: Path | None,
) -> None:
    """Take the private key KID out of the vault.

    It goes into a file or through a pipe, never to a terminal.

    The audit trail says so. Whoever has it can make tokens in the issuer's name: should it leak, `tocsin keys revoke`.
    """
    if not reveal_private_key:
        raise CommandFailed("a private key leaves the vault with --reveal-private-key alone", exit_code=WRONG_USE)
    if out is None and sys.stdout.isatty():
        raise CommandFailed("a private key is not shown on a terminal: use --out FILE, or a pipe", exit_code=WRONG_USE)
    if out is not None and out.exists():
        raise CommandFailed(f"{out} is there already, and is not written over", exit_code=WRONG_USE)
    passphrase = _new_passphrase(passphrase_file) if encrypt or passphrase_file else None
    if passphrase and form == "jwk":
        raise CommandFailed("a passphrase encrypts PKCS #8 alone: choose --format pem", exit_code=WRONG_USE)
    settings: IssuerSettings = context.read(IssuerSettings)
    content = write_key(asyncio.run(_export(settings, kid, reason)), form, passphrase)
    if out is not None:
        try:
            write_private(out, content)
        except OSError as error:
            raise CommandFailed(f"cannot write {out}: {error}") from error
        context.output.answer({"kid": kid, "format": form, "file": str(out)})
        context.output.line(f"key {kid} is in {out}, for its owner alone")
    elif context.output.as_json:
        context.output.answer({"kid": kid, "format": form, "key": content.decode()})
    else:
        click.echo(content, nl=False)


async def _rewrap(settings: IssuerSettings) -> Rewrapped:
    async with rewrapping_of(settings) as rewrapping:
        return await rewrapping.run()


async def _import(settings: IssuerSettings, jwk: PrivateJwk, reason: str, *, verify_only: bool) -> int:
    async with keys_of(settings) as keys:
        try:
            return (await keys.take_in(jwk, reason=reason, actor=ACTOR, verify_only=verify_only)).seq
        except ValueError as error:
            raise CommandFailed(str(error), exit_code=WRONG_USE) from error


async def _export(settings: IssuerSettings, kid: str, reason: str) -> PrivateJwk:
    async with keys_of(settings) as keys:
        try:
            return await keys.give_out(kid, reason=reason, actor=ACTOR)
        except ValueError as error:
            raise CommandFailed(str(error), exit_code=WRONG_USE) from error


def read_private_key(file: Path, kid: str | None, passphrase_file: Path | None) -> PrivateJwk:
    """The private key in a file of an operator's; the passphrase is asked for where need be and there is a terminal.

    Raises:
        CommandFailed: it cannot be read, or is no key of use here.
    """
    passphrase = _passphrase(passphrase_file)
    try:
        content = file.read_bytes()
        if b"ENCRYPTED" in content and passphrase is None and sys.stdin.isatty():
            passphrase = click.prompt("Passphrase", hide_input=True, err=True)
        return read_key(content, passphrase, kid)
    except KeyUnusable as error:
        raise CommandFailed(f"{file} is of no use here: {error}", exit_code=WRONG_USE) from error
    except OSError as error:
        raise CommandFailed(f"{file} cannot be read: {error}") from error


def _passphrase(file: Path | None) -> str | None:
    if file is None:
        return None
    found = read_private(file, "--passphrase-file").decode(errors="replace").rstrip("\r\n")
    if not found:
        raise CommandFailed(f"--passphrase-file: {file} is empty", exit_code=WRONG_USE)
    return found


def _new_passphrase(file: Path | None) -> str:
    asked = _passphrase(file)
    if asked is None:
        asked = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    return asked
