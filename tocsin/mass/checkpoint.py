"""What has been sent, in a file beside the input, so that a run that died is gone on with.

A line for the job, then one for each batch that the issuer has answered. It holds no token. Under the job's random name
the issuer knows each batch again, so one whose answer was lost is not decided twice.
"""

import fcntl
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import msgspec

from tocsin.errors import WRONG_USE, CommandFailed

VERSION: Final = 1


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is being revoked.

    Attributes:
        name: random.
        fingerprint: of all digests.
        batch_size: digests in each batch.
        issuer: to whom.
        reason: why.
        version: of the file.
    """

    name: str
    fingerprint: str
    batch_size: int
    issuer: str
    reason: str
    version: int = VERSION


class Answered(msgspec.Struct, frozen=True):
    """A batch that has been decided, and the ``id`` of its revocation."""

    batch: int
    id: str


class Checkpoint:
    """Of one job; held by one process at a time.

    Attributes:
        job: as it was begun, by this run or by one before.
        done: the answered batches, by number.
    """

    def __init__(self, path: Path | None, file: BinaryIO | None, job: Job, done: dict[int, str]) -> None:
        self.job = job
        self.done = done
        self._path = path
        self._file = file

    @classmethod
    def open(cls, path: Path | None, *, fingerprint: str, batch_size: int, issuer: str, reason: str) -> Self:
        """Go on with the job in the file at ``path``, or begin one; without a path, nothing is kept.

        Raises:
            CommandFailed: the file is of another job, in use, or cannot be written.
        """
        name = secrets.token_hex(16)
        job = Job(name=name, fingerprint=fingerprint, batch_size=batch_size, issuer=issuer, reason=reason)
        if path is None:
            return cls(None, None, job, {})
        try:
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b", buffering=0)
        except OSError as error:
            raise _wrong(f"the checkpoint cannot be written: {error}; name another with --checkpoint") from error
        try:
            _lock(file, path)
            return cls(path, file, *_begun(file, path, job))
        except BaseException:
            file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def note(self, batch: int, identifier: str) -> None:
        """Remember an answer."""
        self.done[batch] = identifier
        if self._file is not None:
            self._file.write(msgspec.json.encode(Answered(batch, identifier)) + b"\n")

    def remove(self) -> None:
        """The job is done."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CommandFailed(f"another run is at it: {path} is in use", code="conflict") from error


def _begun(file: BinaryIO, path: Path, job: Job) -> tuple[Job, dict[int, str]]:
    """The job that the file was begun for, which must be this one, and what has been answered."""
    whole, newline, torn = file.read().rpartition(b"\n")
    lines = whole.split(b"\n")
    if not newline:
        if torn and not _is_torn(torn):
            raise _wrong(f"{path} is no checkpoint; name another file with --checkpoint")
        file.truncate(0)
        file.write(msgspec.json.encode(job) + b"\n")
        os.fsync(file.fileno())  # before anything is sent: its name must outlive us
        return job, {}
    file.truncate(len(whole) + 1)
    try:
        before = msgspec.json.decode(lines[0], type=Job)
        done = [msgspec.json.decode(line, type=Answered) for line in lines[1:]]
    except (msgspec.MsgspecError, ValueError) as error:
        raise _wrong(f"{path} is no checkpoint; name another file with --checkpoint") from error
    for what in ("version", "issuer", "reason", "batch_size", "fingerprint"):
        if getattr(before, what) != getattr(job, what):
            raise _wrong(
                f"a run that was interrupted had another {_WORDS[what]}, with {len(done)} batches revoked: go on with "
                f"what it had, or remove {path} to begin anew"
            )
    return before, {answered.batch: answered.id for answered in done}


_WORDS: Final = {
    "version": "version of this program",
    "issuer": "issuer",
    "reason": "reason",
    "batch_size": "batch size",
    "fingerprint": "content of the file",
}


def _is_torn(text: bytes) -> bool:
    """Whether it is the beginning of a job's line that was not finished."""
    return text.startswith(b'{"name":')


def _wrong(text: str) -> CommandFailed:
    return CommandFailed(text, code="wrong_use", exit_code=WRONG_USE)
