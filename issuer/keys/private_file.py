"""Files with secrets in them: their owner's alone, or not read and not written at all."""

import os
from pathlib import Path

from verifier_agent import SettingInvalid


def read_private(path: Path, what: str) -> bytes:
    """The content of a file with mode 0600 or 0400.

    Raises:
        SettingInvalid: it cannot be read, or others may; the message names ``what``, the file and its mode.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o7777  # of the very file that is read
            if mode not in (0o600, 0o400):
                raise SettingInvalid(
                    f"{what}: {path} has mode {mode:04o}, and must be its owner's alone (0600 or 0400); chmod 600 it"
                )
            return file.read()
    except OSError as error:
        raise SettingInvalid(f"{what}: {error}") from error


def write_private(path: Path, content: bytes) -> None:
    """Make a file with mode 0600 that was not there before.

    Raises:
        FileExistsError: there is one already; it is not touched.
        OSError: it cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
