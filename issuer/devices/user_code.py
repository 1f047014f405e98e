"""User codes: what a device shows and a person types (RFC 8628 section 6.1).

Eight letters of twenty are 34.5 bits. That is little, so guesses are counted (``guessing``), and whoever guesses right
has gained no token: only the device code, of 256 bits, fetches one.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import Final

LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so that no words come of them; no digits, which look like letters."""
LENGTH: Final = 8
SEPARATOR: Final = "-"
MAX_ENTERED: Final = 64
"""Characters. Nobody types more for eight letters, however they set them apart."""


def new_user_code(choice: Callable[[Sequence[str]], str] = secrets.choice) -> str:
    """A code as it is kept: letters alone; ``choice`` draws one of a sequence."""
    return "".join(choice(LETTERS) for _ in range(LENGTH))


def shown(user_code: str) -> str:
    """The code as people see it, in two halves: ``WDJB-MJHT``."""
    return f"{user_code[: LENGTH // 2]}{SEPARATOR}{user_code[LENGTH // 2 :]}"


def read_user_code(entered: str) -> str | None:
    """The code that somebody means, as it is kept; ``None`` when it can be none.

    Case does not matter, and whatever no code has is left out: separators, spaces, slips (section 6.1).
    """
    if len(entered) > MAX_ENTERED:
        return None
    letters = "".join(each for each in entered.upper() if each in LETTERS)
    return letters if len(letters) == LENGTH else None
