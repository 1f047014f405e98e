"""A lock on a folder, held by one agent at a time. The system gives it back when a process ends, however it does."""

import fcntl
import os
import weakref
from contextlib import suppress
from pathlib import Path

from verifier_agent.errors import StoreUnavailable


class FolderLock:
    """An ``flock`` on a file of the folder. A child process does not inherit it: it is an agent of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        forgetting = weakref.WeakMethod(self._forget)
        os.register_at_fork(after_in_child=lambda: (forget := forgetting()) and forget())

    def hold(self) -> None:
        """Take it, or make sure that it is still there.

        Raises:
            StoreUnavailable: another agent has it (code ``in_use``).
            OSError: the file cannot be made.
        """
        if self._descriptor is not None and self._stands():
            return
        self.release()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                raise StoreUnavailable(f"{self._path.parent} is another agent's; it is only read", "in_use") from error
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Give it back, at once: a child process that is just beginning may still have a copy."""
        if self._descriptor is not None:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            finally:
                self._forget()

    def _stands(self) -> bool:
        """Whether what we hold is still the file of that name: the folder may have been put in another's place."""
        if self._descriptor is None:
            return False
        with suppress(OSError):
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        return False

    def _forget(self) -> None:
        # A child's copy is closed; the parent's, which is the same lock, is not let go by that.
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
