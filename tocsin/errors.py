"""How a command fails, and the exit codes."""

from typing import Final

FAILED: Final = 1
WRONG_USE: Final = 2
IN_PART: Final = 3

ADDRESS_IN_USE: Final = "address_in_use"
"""The code of what fails because another program listens there."""


class CommandFailed(Exception):
    """A command that could not do what was asked.

    Attributes:
        code: stable, for ``--json``.
        exit_code: of the process.
    """

    def __init__(self, message: str, *, code: str = "failed", exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code
        self.exit_code = exit_code
