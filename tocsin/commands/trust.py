"""``tocsin trust``: the event keys, which agents pin, and how one succeeds another."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from events import IssuerTrust, format_seq
from events.thumbprint import thumbprint
from issuer.errors import IssuerError
from issuer.keys.succession import Chain
from issuer.offline import succession_of
from issuer.settings import IssuerSettings
from tocsin.command import Context, json_option
from tocsin.errors import WRONG_USE, CommandFailed
from tocsin.offline_key import make_successor, read_offline
from verifier_agent import SettingInvalid

ACTOR = "tocsin trust"

_key_option = click.option(
    "--key",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file that was kept offline.",
)
_next_option = click.option(
    "--next-out",
    required=True,
    type=click.Path(path_type=Path),
    help="A new file for the key after it, to be kept offline.",
)
_trust_option = click.option(
    "--trust-out", type=click.Path(path_type=Path), help="Write the trust file for agents that are set up from now on."
)
_reason_option = click.option("--reason", required=True, help="Why; kept in the audit trail.")


@click.group("trust")
def command() -> None:
    """Show the event keys that agents pin, and have one succeed another."""


@command.command("show")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@click.pass_obj
def show(context: Context, file: Path | None) -> int:
    """Show the event keys of the store.

    Where each ended, and which may come next.

    With a trust FILE, say where that differs. Exit code 1: it differs.
    """
    settings: IssuerSettings = context.read(IssuerSettings)
    chain = asyncio.run(_show(settings))
    differences = [] if file is None else _differences(_loaded(file), chain.trust)
    context.output.answer({**_as_json(chain), "differences": differences})
    _tell(context, chain)
    for difference in differences:
        context.output.line(f"{file}: {difference}")
    if file is not None and not differences:
        context.output.line(f"{file} pins the same")
    return 1 if differences else 0


@command.command("successor")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new file for it, to be kept offline.")
@click.option("--replace", is_flag=True, help="Also when there is a successor already, as its file is lost.")
@_trust_option
@json_option
@click.pass_obj
def successor(context: Context, out: Path, replace: bool, trust_out: Path | None) -> None:
    """Make the key that may succeed, and pin it.

    That is the one after the event key of today; the store keeps its thumbprint.

    `tocsin init` has made one for a new installation. Agents hold to what their own trust file says: give them the new
    one.
    """
    settings: IssuerSettings = context.read(IssuerSettings)
    made: list[Path] = []
    heir = make_successor(out, made)

    async def run() -> Chain:
        async with succession_of(settings, lost=True) as succession:
            return await succession.pin(heir, replace=replace)

    chain = _run_or_remove(run, made)
    _told(context, chain, out, trust_out, f"the successor of event key {chain.keys[-1].kid} is {heir}")


@command.command("succeed")
@_key_option
@_next_option
@_reason_option
@click.option("--stolen", is_flag=True, help="The event key may be in other hands: agents hear all of it anew.")
@click.option("--force", is_flag=True, help="Also when agents could not follow: they are stale until they can.")
@_trust_option
@json_option
@click.pass_obj
def succeed(
    context: Context, key: Path, next_out: Path, reason: str, stolen: bool, force: bool, trust_out: Path | None
) -> None:
    """Have the successor sign from now on.

    The event key of today ends with the number that it has reached.

    Issuers and agents go on meanwhile. Agents that sleep catch up when they wake. The private half of the old key is
    removed from the store. Bring every issuer to this version first.
    """
    settings: IssuerSettings = context.read(IssuerSettings)
    jwk, made = read_offline(key), list[Path]()
    heir = _another(make_successor(next_out, made), thumbprint(jwk), made)

    async def run() -> Chain:
        async with succession_of(settings) as succession:
            return await succession.succeed(jwk, heir, reason=reason, actor=ACTOR, stolen=stolen, force=force)

    chain = _run_or_remove(run, made)
    before, after = chain.keys[-2:]
    _told(
        context,
        chain,
        next_out,
        trust_out,
        f"event key {before.kid} has ended as {format_seq(chain.seq)}, {after.kid} signs",
    )
    if stolen:
        context.output.line(
            "Now stop the issuers, run `tocsin recover --force`, and start them: all is said again by it."
        )


@command.command("adopt")
@_key_option
@_next_option
@_reason_option
@click.option(
    "--trust-out", required=True, type=click.Path(path_type=Path), help="The trust file to give to every agent."
)
@json_option
@click.pass_obj
def adopt(context: Context, key: Path, next_out: Path, reason: str, trust_out: Path) -> None:
    """Go on with the successor when the key is lost.

    It signs from now on, and the trust file is written anew.

    Stop the issuers first. No agent takes the successor's word alone: each needs the new trust file, as it got the
    first, and a restart. Until then it goes on with what it knows, and says how old that is.
    """
    settings: IssuerSettings = context.read(IssuerSettings)
    jwk, made = read_offline(key), list[Path]()
    heir = _another(make_successor(next_out, made), thumbprint(jwk), made)

    async def run() -> Chain:
        async with succession_of(settings, lost=True) as succession:
            return await succession.adopt(jwk, heir, reason=reason, actor=ACTOR)

    chain = _run_or_remove(run, made)
    _told(context, chain, next_out, trust_out, f"event key {chain.keys[-1].kid} signs; give every agent {trust_out}")


async def _show(settings: IssuerSettings) -> Chain:
    async with succession_of(settings, lost=True) as succession:
        return await succession.show()


def _run_or_remove(run: Callable[[], Coroutine[Any, Any, Chain]], made: Sequence[Path]) -> Chain:
    """Do it; where it was refused, the key that was made for it is not needed."""
    try:
        return asyncio.run(run())
    except SettingInvalid:
        _remove(made)
        raise
    except IssuerError as error:
        if not error.retryable:  # otherwise it may have been done all the same, and the file is all there is of the key
            _remove(made)
        raise


def _another(heir: str, key: str, made: Sequence[Path]) -> str:
    if heir == key:
        _remove(made)
        raise CommandFailed("--next-out names the file of --key: the key after it must be another", exit_code=WRONG_USE)
    return heir


def _remove(made: Sequence[Path]) -> None:
    for path in made:
        with suppress(OSError):
            path.unlink()


def _told(context: Context, chain: Chain, offline: Path, trust_out: Path | None, text: str) -> None:
    if trust_out is not None:
        chain.trust.save(trust_out)
    context.output.answer({**_as_json(chain), "offline": str(offline), "trust": trust_out and str(trust_out)})
    context.output.line(text)
    context.output.line(f"Keep {offline} offline, and remove it here: it is the private half of the next event key.")
    if trust_out is not None:
        context.output.line(f"the trust file is {trust_out}")


def _tell(context: Context, chain: Chain) -> None:
    rows = [
        (key.kid, key.jwk["alg"], "signs" if key.ends is None else _in_words(key.ends), key.successor or "none")
        for key in chain.keys
    ]
    context.output.table(["EVENT KEY", "ALG", "END", "SUCCESSOR"], rows)


def _as_json(chain: Chain) -> dict[str, Any]:
    keys = [
        {
            "kid": key.kid,
            "alg": key.jwk["alg"],
            "successor": key.successor or None,
            "ends": None if key.ends is None else {stream: format_seq(seq) for stream, seq in key.ends.items()},
            "began_at": key.began_at,
        }
        for key in chain.keys
    ]
    return {"issuer": chain.trust.issuer, "event_keys": keys, "successor": chain.trust.successor or None}


def _in_words(ends: dict[str, int]) -> str:
    return ", ".join(f"{stream} {format_seq(seq)}" for stream, seq in sorted(ends.items()))


def _loaded(file: Path) -> IssuerTrust:
    try:
        return IssuerTrust.load(file)
    except ValueError as error:
        raise CommandFailed(str(error), exit_code=WRONG_USE) from error


def _differences(pinned: IssuerTrust, stored: IssuerTrust) -> list[str]:
    """Where a trust file says something else than the store. One that is older than a succession lacks what is new."""
    chain = [thumbprint(jwk) for jwk in stored.event_keys]
    found = [
        f"it pins event key {jwk['kid']}, which the store does not have"
        for jwk in pinned.event_keys
        if thumbprint(jwk) not in chain
    ]
    if pinned.issuer != stored.issuer:
        found.append(f"it is of {pinned.issuer}, and the store of {stored.issuer}")
    newest = thumbprint(pinned.event_keys[-1])
    if newest in chain:
        expected = [*chain, stored.successor][chain.index(newest) + 1]
        if pinned.successor != expected:
            found.append(f"its successor is {pinned.successor or 'none'}, and the store's {expected or 'none'}")
    for kid, ends in pinned.ends.items():
        if kid in stored.ends and stored.ends[kid] != ends:
            found.append(
                f"event key {kid} ends at {_in_words(ends)}, and in the store at {_in_words(stored.ends[kid])}"
            )
    return found
