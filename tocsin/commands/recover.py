"""``tocsin recover``."""

import asyncio
from pathlib import Path

import click
import msgspec

from issuer.keys.generation import PrivateJwk
from issuer.offline import recovery_of
from issuer.recovery.findings import Findings, StreamFindings
from issuer.settings import IssuerSettings
from tocsin.command import Context, json_option
from tocsin.errors import IN_PART
from tocsin.offline_key import read_offline
from tocsin.output import Output


@click.command("recover")
@click.option("--dry-run", is_flag=True, help="Say what was found and would be done, and change nothing.")
@click.option(
    "--force",
    is_flag=True,
    help="Also when store and log agree: say again all that is live, for agents that have seen something else.",
)
@click.option(
    "--event-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The newest event key, as it was kept offline: for a store that is older than its succession.",
)
@json_option
@click.pass_obj
def command(context: Context, dry_run: bool, force: bool, event_key: Path | None) -> int:
    """Bring store and log together again, after a backup was restored or the log lost its tail.

    Stop the issuers first. What the log has and the store lacks is imported; where the two differ both revocations
    hold, and lifts do not. Then the streams go on in a higher incarnation, which lets agents agree again. It may be
    run again as often as need be.
    """
    settings: IssuerSettings = context.read(IssuerSettings)
    output = context.output
    jwk = None if event_key is None else read_offline(event_key)
    found = asyncio.run(_run(settings, output, jwk, dry_run=dry_run, force=force))
    output.answer({**_as_json(found), "dry_run": dry_run})
    _tell(output, found)
    if dry_run:
        output.line("nothing was changed" if found.needed or force else "there is nothing to recover")
        return 0
    output.line("the log has all of it" if found.published else "not all of it is in the log yet: start the issuers")
    return 0 if found.published else IN_PART


async def _run(
    settings: IssuerSettings, output: Output, event_key: PrivateJwk | None, *, dry_run: bool, force: bool
) -> Findings:
    async with recovery_of(
        settings, lambda step: output.line(f"{step} …"), migrating=not dry_run, event_key=event_key
    ) as recovery:
        return await (recovery.look(everything=force) if dry_run else recovery.recover(everything=force))


def _as_json(found: Findings) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(found)
    return plain


def _tell(output: Output, found: Findings) -> None:
    for stream in found.streams:
        output.line(f"{stream.stream}: the store ended at {stream.store}, the log at {stream.log or 'nothing'}")
        for line in _lines(stream):
            output.line(f"  {line}")
    for kid, state in found.keys.items():
        output.line(f"key {kid}: {state}")
    for before, after in found.said_again.items():
        output.line(f"revocation {before} is now {after}")
    if found.recovered:
        output.line(f"the streams go on as {found.incarnation}.1")


def _lines(stream: StreamFindings) -> list[str]:
    lines = []
    if stream.imported:
        lines.append(f"{stream.imported} events that the store lacked are taken over from the log")
    if stream.forked:
        lines.append(f"two events have one number: {', '.join(stream.forked)}")
    if stream.stray:
        lines.append(f"in the log alone, and not taken over as they are: {', '.join(stream.stray)}")
    if stream.lost:
        lines.append(f"{stream.lost} has been heard of, and neither store nor log has it")
    if stream.unpublished:
        lines.append(f"{stream.unpublished} live events that the log lacks are published")
    if stream.again:
        lines.append(f"said again: {', '.join(stream.again)}")
    lines += [f"lift {lift} does not hold: {target} is revoked" for lift, target in stream.void.items()]
    return lines
