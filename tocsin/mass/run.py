"""``tocsin revoke --file`` from its first line to its report."""

import asyncio
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final

import click
import msgspec

from events.digests import BATCH_LIMIT
from tocsin.admin_client import AdminClient
from tocsin.command import Context
from tocsin.errors import IN_PART, WRONG_USE, CommandFailed
from tocsin.mass.checking import BadLine, Checked, check
from tocsin.mass.checkpoint import Checkpoint
from tocsin.mass.formats import format_of
from tocsin.mass.progress import Progress
from tocsin.mass.sending import Sender, Sent
from tocsin.mass.sorted_digests import SortedDigests
from tocsin.settings import OperatorSettings, operator_credentials

CHECKPOINT: Final = ".tocsin"
"""Added to the name of the input."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says.

    Attributes:
        file: what to read, ``-`` for standard input.
        reason: why; kept with each batch.
        form: the file's format, found by its name when absent.
        kind: what its values are, found by their column's name when absent.
        column: under which name they stand.
        skip_bad: whether to go on without the lines that are bad.
        errors: where to write all of these.
        checkpoint: where to keep what is done; beside the input when absent.
        batch_size: tokens in one revocation.
        dry_run: whether to check alone.
        patience: seconds for which a batch is tried.
        wait: seconds to wait for the event log at the end.
    """

    file: str
    reason: str
    form: str | None = None
    kind: str | None = None
    column: str | None = None
    skip_bad: bool = False
    errors: Path | None = None
    checkpoint: Path | None = None
    batch_size: int = BATCH_LIMIT
    dry_run: bool = False
    patience: float = 60.0
    wait: float = 5.0


class Report(msgspec.Struct, kw_only=True):
    """What became of the file.

    Attributes:
        lines: read, blank ones and a header included.
        bad: lines that cannot be revoked by.
        bad_lines: the first of them.
        duplicates: good lines that name a token which another one names too.
        tokens: different tokens.
        batches: revocations that they make.
        revoked: tokens that are revoked now, by this run or by the interrupted one that it went on with.
        resumed: batches that the interrupted run had been answered.
        repeated: batches that had been decided without our hearing the answer.
        retries: how often something was sent again.
        events: ids of the revocations.
        lifted: those of them that have been taken back meanwhile.
        published: whether the event log has acknowledged all of them.
        dry_run: whether nothing was to be sent.
        checked_seconds: from the start until the whole file was read.
        answered_seconds: from the start until the last batch was decided.
        published_seconds: from the start until the event log had all of them.
        seconds: in all.
    """

    lines: int
    bad: int
    bad_lines: list[BadLine]
    duplicates: int
    tokens: int
    batches: int
    revoked: int = 0
    resumed: int = 0
    repeated: int = 0
    retries: int = 0
    events: list[str] = []
    lifted: list[str] = []
    published: bool = False
    dry_run: bool = False
    checked_seconds: float = 0.0
    answered_seconds: float | None = None
    published_seconds: float | None = None
    seconds: float = 0.0


def revoke_file(context: Context, options: Options) -> int:
    """Check the whole file, revoke what it names, and say what became of it; the exit code.

    Raises:
        CommandFailed: a line is bad, or the issuer refuses or is away; the report has been given.
    """
    start = time.monotonic()
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(quiet=context.output.as_json))
        digests = stack.enter_context(SortedDigests())
        checked = _check(options, digests, progress)
        report = _described(checked, options)
        report.checked_seconds = _since(start)
        try:
            if not context.output.as_json:
                for line in checked.bad.told():
                    click.echo(line, err=True)
            _refuse(checked, options)
            if not options.dry_run:
                asyncio.run(_send(context, options, digests, progress, report, start))
        finally:
            report.seconds = _since(start)
            context.output.answer(report)
    _tell(context, report)
    whole = options.dry_run or (report.published and not report.lifted)
    return 0 if whole and not report.bad else IN_PART


def _check(options: Options, digests: SortedDigests, progress: Progress) -> Checked:
    form = format_of(options.form, options.file, options.kind, options.column)
    progress.phase("checking", "lines")
    try:
        with ExitStack() as stack:
            file: BinaryIO = sys.stdin.buffer
            if options.file != "-":
                file = stack.enter_context(Path(options.file).open("rb", buffering=1 << 20))
            return check(file, form, digests, errors=options.errors, progress=progress)
    except OSError as error:
        raise CommandFailed(str(error), code="wrong_use", exit_code=WRONG_USE) from error


def _described(checked: Checked, options: Options) -> Report:
    digests = checked.digests
    return Report(
        lines=checked.lines,
        bad=checked.bad.count,
        bad_lines=checked.bad.first,
        duplicates=digests.added - digests.count,
        tokens=digests.count,
        batches=digests.batches(options.batch_size),
        dry_run=options.dry_run,
    )


def _refuse(checked: Checked, options: Options) -> None:
    """Nothing is sent while a line is bad, unless that was allowed, nor when there is nothing to send."""
    count = checked.bad.count
    if count and not options.skip_bad:
        raise CommandFailed(
            f"{count} bad line{'s' * (count > 1)}, so nothing has been revoked; mend them, or leave them out with "
            "--skip-bad" + ("" if options.errors else "; --errors FILE keeps all of them"),
            code="bad_lines",
            exit_code=WRONG_USE,
        )
    if not checked.digests.count:
        raise CommandFailed("there is nothing to revoke in it", code="wrong_use", exit_code=WRONG_USE)


async def _send(
    context: Context, options: Options, digests: SortedDigests, progress: Progress, report: Report, start: float
) -> None:
    settings: OperatorSettings = context.read(OperatorSettings)
    credentials = operator_credentials(settings)
    path = options.checkpoint
    if path is None and options.file != "-":
        path = Path(options.file + CHECKPOINT)
    checkpoint = Checkpoint.open(
        path,
        fingerprint=digests.fingerprint,
        batch_size=options.batch_size,
        issuer=settings.issuer,
        reason=options.reason,
    )
    with checkpoint:
        if checkpoint.done:
            progress.note(f"going on where a run was interrupted: {len(checkpoint.done)} of {report.batches} batches")
        async with AdminClient(settings.issuer, credentials) as admin:
            sender = Sender(admin, digests, checkpoint, progress, patience=options.patience)
            try:
                await sender.run()
                report.answered_seconds = _since(start)
                report.published = await sender.wait_published(options.wait)
                report.published_seconds = _since(start) if report.published else None
            except CommandFailed as error:
                if not checkpoint.done and not sender.sent.uncertain:
                    checkpoint.remove()
                raise _in_part(error, len(checkpoint.done), report.batches, path) from error
            except asyncio.CancelledError as cancelled:  # Ctrl-C
                interrupted = CommandFailed("interrupted", code="interrupted")
                raise _in_part(interrupted, len(checkpoint.done), report.batches, path) from cancelled
            finally:
                _note(report, sender.sent, checkpoint, digests)
        checkpoint.remove()


def _in_part(error: CommandFailed, done: int, batches: int, path: Path | None) -> CommandFailed:
    """The same error, with what has been done and how to go on."""
    if not done:
        return error
    again = f"the same command goes on with the rest (by {path})" if path else "what is done will be done again"
    text = f"{error}; {done} of {batches} batches are revoked, {again}"
    return CommandFailed(text, code=error.code, exit_code=IN_PART)


def _note(report: Report, sent: Sent, checkpoint: Checkpoint, digests: SortedDigests) -> None:
    """What is done, also when it was interrupted."""
    size = checkpoint.job.batch_size
    report.revoked = sum(min(size, digests.count - number * size) for number in checkpoint.done)
    report.resumed, report.repeated, report.retries = sent.resumed, sent.repeated, sent.retries
    report.events = [checkpoint.done[number] for number in sorted(checkpoint.done)]
    report.lifted = sent.lifted


def _tell(context: Context, report: Report) -> None:
    read = f"{report.lines} lines: {report.tokens} tokens, {report.duplicates} named twice, {report.bad} bad"
    line = context.output.line
    if report.dry_run:
        line(f"{read}; they would be revoked in {report.batches} batches")
        return
    line(read)
    if report.resumed:
        line(f"{report.resumed} of {report.batches} batches had been revoked by the run that was interrupted")
    first, last = report.events[0], report.events[-1]
    line(
        f"revoked {report.revoked} tokens as {first if first == last else f'{first} to {last}'} "
        f"in {report.seconds:.1f} s" + ("" if report.published else ", not yet published")
    )
    if report.lifted:
        line(f"taken back meanwhile: {', '.join(report.lifted)}")


def _since(start: float) -> float:
    return round(time.monotonic() - start, 3)
