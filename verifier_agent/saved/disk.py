"""What an agent has heard, in a file: the issuer's snapshot, and behind it the signed events since, one a line.

It is one file, so that a snapshot and the events since are exchanged together. It is only ever appended to, or put in
the place of the one before as a whole; a line that was cut off by a crash is dropped.
"""

import asyncio
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, TypeVar

from events import Stream
from verifier_agent.errors import StoreUnavailable
from verifier_agent.saved.folder_lock import FolderLock
from verifier_agent.saved.protocol import SavedEvent, SavedState, SealedSnapshot

MAGIC: Final = b"tocsin-state"
VERSION: Final = 1
MAX_BYTES: Final = 1 << 30
"""A larger file is none of ours."""
_LONGEST_HEADER: Final = 64
_LAST_LINE: Final = 4 << 20
"""Where a line that was cut off must begin: more than the longest event."""

T = TypeVar("T")


class _Header(NamedTuple):
    """The first line: sizes of the seal and of the data, 0 for both without a snapshot."""

    length: int
    seal: int
    data: int

    @property
    def events_at(self) -> int:
        return self.length + self.seal + self.data + 1


class DiskStore:
    """A ``StateStore`` in a folder. Files are readable by their owner alone; all work is done in a thread of its own.

    Several agents may start from one folder; the first of them writes to it.
    """

    def __init__(self, folder: Path) -> None:
        """Prepare; nothing is made or opened yet."""
        self._folder = folder
        self._file = folder / "tocsin.state"
        self._lock = FolderLock(folder / "tocsin.lock")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tocsin-state")
        self._closed = False

    async def load(self) -> SavedState:
        """See ``StateStore.load``."""
        return await self._run(self._load)

    async def replace(self, snapshot: SealedSnapshot | None, events: Sequence[SavedEvent]) -> None:
        """See ``StateStore.replace``."""
        await self._run(lambda: self._replace(snapshot, events))

    async def append(self, events: Sequence[SavedEvent]) -> None:
        """See ``StateStore.append``."""
        await self._run(lambda: self._append(events))

    async def close(self) -> None:
        """See ``StateStore.close``."""
        if not self._closed:
            with suppress(StoreUnavailable):
                await self._run(self._lock.release)
            self._closed = True
            self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise StoreUnavailable("this store has been closed", "closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except RuntimeError as error:  # the program is ending, and starts no work in threads any more
            raise StoreUnavailable(str(error), "closed") from error
        except OSError as error:
            code = errno.errorcode.get(error.errno or 0, "unavailable").lower()
            raise StoreUnavailable(f"{self._file}: {error.strerror or error}", code) from error

    # -- in the thread

    def _load(self) -> SavedState:
        try:
            with self._file.open("rb") as file:
                header = _header(file)
                snapshot = _snapshot(file, header)
                return SavedState(snapshot, list(_events(file.read())))
        except FileNotFoundError:
            return SavedState(None, ())

    def _replace(self, snapshot: SealedSnapshot | None, events: Sequence[SavedEvent]) -> None:
        self._hold()
        new = self._file.with_name("tocsin.new")
        new.unlink(missing_ok=True)
        try:
            with _created(new) as file:
                seal, data = (b"", b"") if snapshot is None else (snapshot.seal, snapshot.data)
                file.write(b"%b %d %d %d\n" % (MAGIC, VERSION, len(seal), len(data)))
                file.write(seal)
                file.write(data)
                file.write(b"\n")
                file.writelines(_lines(events))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._file)
        except OSError:
            with suppress(OSError):
                new.unlink(missing_ok=True)
            raise
        self._sync_folder()

    def _append(self, events: Sequence[SavedEvent]) -> None:
        self._hold()
        added = b"".join(_lines(events))
        try:
            with self._file.open("r+b", buffering=0) as file:
                end = _end_of_events(file)
                file.truncate(end)
                file.seek(end)
                try:
                    _write(file, added)
                    os.fsync(file.fileno())
                except OSError:
                    with suppress(OSError):
                        file.truncate(end)
                    raise
        except (FileNotFoundError, StoreUnavailable):  # it is gone or damaged: what is heard from now on is kept
            self._replace(None, events)

    def _hold(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.hold()

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _created(path: Path) -> Iterator[BinaryIO]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file


def _write(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _header(file: BinaryIO | FileIO) -> _Header:
    """What the first line says, if the file is at least as long as that.

    Raises:
        StoreUnavailable: it is no such file, of another version, or has lost its end (code ``damaged``).
    """
    size = os.fstat(file.fileno()).st_size
    line = file.readline(_LONGEST_HEADER)
    parts = line.split()
    if len(parts) != 4 or parts[0] != MAGIC or not line.endswith(b"\n") or not all(map(bytes.isdigit, parts[1:])):
        raise StoreUnavailable("the saved state is none", "damaged")
    if int(parts[1]) != VERSION:
        raise StoreUnavailable(f"the saved state is of version {int(parts[1])}; this program has {VERSION}", "damaged")
    header = _Header(len(line), int(parts[2]), int(parts[3]))
    if not header.events_at <= size <= MAX_BYTES:
        raise StoreUnavailable(f"the saved state has {size} bytes, which cannot be", "damaged")
    return header


def _snapshot(file: BinaryIO, header: _Header) -> SealedSnapshot | None:
    seal, data = file.read(header.seal), file.read(header.data)
    file.read(1)
    return SealedSnapshot(seal=seal, data=data) if header.seal else None


def _end_of_events(file: FileIO) -> int:
    """Behind the last line that is whole."""
    start = _header(file).events_at - 1  # the line break before the first event
    end = file.seek(0, os.SEEK_END)
    looked = max(start, end - _LAST_LINE)
    file.seek(looked)
    at = file.read().rfind(b"\n")
    return looked + at + 1 if at >= 0 else start


def _lines(events: Sequence[SavedEvent]) -> Iterator[bytes]:
    for stream, data in events:
        if b"\n" in data:
            raise ValueError("an event is one line")
        yield b"%b %b\n" % (stream.encode(), data)


def _events(lines: bytes) -> Iterator[SavedEvent]:
    """What stands in whole lines; what is no event of a stream that we know is passed over."""
    for line in lines.split(b"\n")[:-1]:
        name, separator, data = line.partition(b" ")
        if separator:
            with suppress(ValueError):
                yield SavedEvent(Stream(name.decode("ascii")), data)
