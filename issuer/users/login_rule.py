"""How long somebody must wait before the next password is looked at: a rule without I/O.

Three things are counted, and an attempt must be allowed by all that apply to it.

- *here*: failures for one account from one address. Few are free, then the wait doubles, up to ``login_max_delay``.
- *account*: failures for one account from addresses at which it has never been logged in. The wait ends at a minute:
  whoever fails on purpose delays strangers, and shuts nobody out.
- *address*: failures from one address for accounts that have never been logged in there, against one password tried on
  many names.

Where an account has been logged in from an address before, *here* alone applies: neither strangers elsewhere nor a
neighbour at the same address who tries other names can lock its owner out. Where the address is not known, or is that
of a program through which many log in, *account* alone applies.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

FIRST_DELAY: Final = 1.0
ACCOUNT_MAX_DELAY: Final = 60.0
ACCOUNT_FREE: Final = 4
"""Times as many failures are free as for one address."""
ADDRESS_FREE: Final = 10
DAY: Final = 86_400.0
HOUR: Final = 3600.0
KNOWN_SECONDS: Final = 90 * DAY
"""For how long an address is remembered as one that an account was logged in from."""


class Counted(StrEnum):
    """What failures are counted of."""

    HERE = "here"
    ACCOUNT = "account"
    ADDRESS = "address"


class Failures(msgspec.Struct, frozen=True):
    """What has been counted.

    Attributes:
        count: attempts that failed, or have not been found good yet.
        last_at: when the last of them was, seconds since the epoch.
    """

    count: int
    last_at: float


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How many failures are free, and what further ones cost.

    Attributes:
        free: failures without a wait.
        longest: the longest wait, in seconds.
        forgets: after so many seconds without a failure all are forgotten.
    """

    free: int
    longest: float
    forgets: float

    def wait(self, failures: Failures, now: float) -> float:
        """Seconds until the next attempt may be made; 0 for at once."""
        since = now - failures.last_at
        if failures.count < self.free or since >= self.forgets:
            return 0.0
        exponent = min(failures.count - self.free, 40)
        # A clock that was put back must not make the wait longer than it is.
        return max(0.0, min(self.longest, FIRST_DELAY * 2.0**exponent) - max(0.0, since))


class LoginRule:
    """Decides on an attempt by what was counted before."""

    def __init__(self, attempts: int, max_delay: float) -> None:
        """Set up.

        Args:
            attempts: failures for one account from one address that are free.
            max_delay: longest wait for one account at one address, and for one address, in seconds.
        """
        kept = max(DAY, 2 * max_delay)
        self.patience: Mapping[Counted, Patience] = {
            Counted.HERE: Patience(free=attempts, longest=max_delay, forgets=kept),
            Counted.ACCOUNT: Patience(
                free=attempts * ACCOUNT_FREE, longest=min(max_delay, ACCOUNT_MAX_DELAY), forgets=kept
            ),
            Counted.ADDRESS: Patience(
                free=attempts * ADDRESS_FREE, longest=max_delay, forgets=max(HOUR, 2 * max_delay)
            ),
        }

    @staticmethod
    def applying(*, has_address: bool, is_known: bool) -> tuple[Counted, ...]:
        """What is counted of an attempt.

        Args:
            has_address: whether it is known from where it comes.
            is_known: whether the account has been logged in from there before.
        """
        if not has_address:
            return (Counted.ACCOUNT,)
        return (Counted.HERE,) if is_known else (Counted.HERE, Counted.ACCOUNT, Counted.ADDRESS)

    def wait(self, counted: Mapping[Counted, Failures], now: float) -> float:
        """Seconds until the attempt may be made; 0 for at once."""
        return max((self.patience[what].wait(failures, now) for what, failures in counted.items()), default=0.0)
