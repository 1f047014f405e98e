"""Passwords: hashed with Argon2id (RFC 9106) in threads of their own, a few at once."""

import asyncio
import os
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

T = TypeVar("T")

MAX_PASSWORD: Final = 1024
"""Characters; more would only cost time."""
AT_ONCE: Final = max(1, (os.cpu_count() or 2) // 2)
"""Hashes made at once: each takes 64 MiB and as many cores as it has lanes, and the event loop needs a core too."""
NICENESS: Final = 10
"""By how much their threads stand back: who logs in waits for a tenth of a second anyway, others for milliseconds."""
MAX_HASH: Final = 256
MAX_MEMORY_KIB: Final = 1 << 20
MAX_PASSES: Final = 32
"""What a hash that was made elsewhere may cost each time that somebody tries to log in."""
_ARGON2ID: Final = re.compile(
    r"\$argon2id\$v=19\$m=(?P<memory>[1-9][0-9]{0,9}),t=(?P<passes>[1-9][0-9]{0,9}),p=[1-9][0-9]{0,2}"
    r"\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{22,}"
)
"""The string format of the reference implementation, with 8 bytes of salt and 16 of hash at least."""


def check_imported(kept: str) -> None:
    """Whether a hash that was made elsewhere can be kept: Argon2id as it is usually written, and not too dear to check.

    Raises:
        ValueError: it cannot; the message shows nothing of it.
    """
    found = _ARGON2ID.fullmatch(kept)
    if not found or len(kept) > MAX_HASH:
        raise ValueError("the password hash is not of the form $argon2id$v=19$m=…,t=…,p=…$salt$hash")
    if int(found["memory"]) > MAX_MEMORY_KIB or int(found["passes"]) > MAX_PASSES:
        raise ValueError(f"the password hash takes more than {MAX_MEMORY_KIB} KiB or {MAX_PASSES} passes to check")


class Passwords:
    """Makes and checks hashes; nobody on the event loop waits for the work itself."""

    def __init__(self, hasher: PasswordHasher | None = None, *, at_once: int = AT_ONCE) -> None:
        """Set up.

        Args:
            hasher: by default with the second recommendation of RFC 9106 section 4: 64 MiB, three passes.
            at_once: hashes made at once; further ones wait for their turn.
        """
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="argon2", initializer=_stand_back)
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """A hash to keep, with its parameters and salt in it.

        Raises:
            ValueError: the password is empty or too long.
        """
        if not 1 <= len(password) <= MAX_PASSWORD:
            raise ValueError(f"a password must be 1 to {MAX_PASSWORD} characters")
        return await self._in_a_thread(self._hasher.hash, password)

    async def check(self, kept: str | None, password: str) -> bool:
        """Whether the password is the one that ``kept`` was made of; ``None``, for nobody, takes as long."""
        if not 1 <= len(password) <= MAX_PASSWORD:
            password, kept = "-", None
        if self._nobody is None:
            self._nobody = await self._in_a_thread(self._hasher.hash, os.urandom(16).hex())
        matches = await self._in_a_thread(self._matches, kept or self._nobody, password)
        return matches and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether it was made with other parameters than today's, and should be made anew at the next login."""
        return self._hasher.check_needs_rehash(kept)

    def close(self) -> None:
        """End the threads, when they have done what they are at."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _matches(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_a_thread(self, work: Callable[..., T], *given: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *given)


def _stand_back() -> None:
    """Let every other thread go first, and leave it a core; those that Argon2 starts for its lanes inherit both.

    A thread of lower priority is not put off its core at the very moment at which one of higher priority wakes up, but
    some milliseconds later: on two cores, four lanes would have all others wait for that each time.
    """
    if sys.platform == "linux":  # elsewhere the whole process would
        os.nice(NICENESS)
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) > 1:
            os.sched_setaffinity(0, allowed[1:])
