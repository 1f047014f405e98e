"""What a verifier asks of tokens and of its own knowledge."""

from enum import StrEnum

import msgspec
from msgspec import UnsetType

from events.records import MAX_SKEW

Audience = str | UnsetType | None
"""What ``aud`` must contain: ``UNSET`` for what the policy says, ``None`` for a caller who does not want it checked."""


class OnStale(StrEnum):
    """What to do when knowledge is older than ``max_staleness``."""

    ALLOW = "allow"
    DENY = "deny"


class VerificationPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Rules for every call of one verifier.

    Attributes:
        audience: what ``aud`` must contain unless a call says otherwise; ``None``: each call must say.
        skew: seconds, at most ``MAX_SKEW``, by which clocks may differ when ``exp``, ``nbf`` and ``iat`` are judged.
        max_staleness: seconds since everything was known, after which ``on_stale`` decides.
        on_stale: refuse to say anything, or go on with what is known.
        cache_size: verified tokens to remember; 0 for none.
    """

    audience: str | None = None
    skew: float = 5.0
    max_staleness: float = 900.0
    on_stale: OnStale = OnStale.DENY
    cache_size: int = 10_000

    def __post_init__(self) -> None:
        if not 0 <= self.skew <= MAX_SKEW:
            raise ValueError(f"skew must be 0 to {MAX_SKEW:.0f} s, not {self.skew:g}")
