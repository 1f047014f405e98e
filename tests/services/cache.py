"""Where fetched and built services are kept between runs, outside the checkout."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

LOCK_WITHIN_SECONDS = 1800.0  # the longest build takes about 5 minutes
POLL_SECONDS = 0.2


class Cache:
    """One folder per service and version. What stands there is complete; it was renamed into place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Cache":
        """The cache that TOCSIN_CACHE names, or else the one in the user's own cache folder (XDG_CACHE_HOME)."""
        named = environ.get("TOCSIN_CACHE")
        if named:
            return cls(Path(named).expanduser().absolute() / "services")
        xdg = environ.get("XDG_CACHE_HOME")
        return cls((Path(xdg) if xdg else Path.home() / ".cache") / "tocsin" / "services")

    def path(self, name: str) -> Path:
        """Where `name` (with its version) stands, or would."""
        return self._folder / name

    def has(self, name: str) -> bool:
        """Whether it stands there."""
        return self.path(name).is_dir()

    def make(self, name: str, build: Callable[[Path], None]) -> None:
        """Have `build` fill a folder and put it in its place, unless it stands there by now.

        Runs of other processes wait for each other, so that no two build the same thing.

        Raises:
            TimeoutError: another process has held the lock for LOCK_WITHIN_SECONDS.
            Exception: whatever `build` raises; nothing is left in the cache then.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._locked(name):
            if self.has(name):
                return
            unfinished = Path(tempfile.mkdtemp(prefix=f"{name}-unfinished-", dir=self._folder))
            try:
                build(unfinished)
                unfinished.chmod(0o755)
                unfinished.rename(self.path(name))
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        deadline = time.monotonic() + LOCK_WITHIN_SECONDS
        with (self._folder / f"{name}.lock").open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"{lock.name} is still held by another process") from None
                    time.sleep(POLL_SECONDS)
            lock.write(f"{os.getpid()}\n")
            yield  # closing the file gives the lock back, as the end of this process would
