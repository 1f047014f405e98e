"""The four streams. Order within one is the point, so each has a single partition."""

from enum import StrEnum
from typing import Final


class Stream(StrEnum):
    """One ordered sequence of events of one issuer."""

    KEYS = "keys"
    """The whole key set at each moment; the newest event suffices."""
    REVOCATIONS = "revocations"
    """Revocations of tokens and selectors, and lifts."""
    HEARTBEATS = "heartbeats"
    """Once a second: issuer time, and head and floor of every sequenced stream."""
    AGENTS = "agents"
    """Agent status and receipts; signed by agents, not by the issuer."""


SEQUENCED: Final = (Stream.KEYS, Stream.REVOCATIONS)
"""Streams whose events are numbered without holes and must be complete for an agent to be fresh."""

FOLLOWED: Final = (Stream.KEYS, Stream.REVOCATIONS, Stream.HEARTBEATS)
"""Streams that an agent reads."""
