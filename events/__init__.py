"""What is said, and how it travels: records, selectors, signing, sequence rules and the event logs.

This package knows neither of the others. See ``docs/events.md`` for the schema of every event.
"""

from events.digests import TokenDigest, jti_digest, token_digest
from events.errors import EventRefused, LogError, LogUnavailable, PositionLost, RefusalCode, SelectorInvalid
from events.records import (
    AgentStatus,
    Baseline,
    Heartbeat,
    KeySet,
    KeyState,
    Lift,
    PublishedKey,
    Record,
    Revoke,
    RevokeDigests,
    Snapshot,
    Succession,
    UnknownRecord,
)
from events.selectors import Selector
from events.sequence import StreamHead, StreamSequence, format_seq, pack, unpack
from events.signing import EventKey, EventOpener, EventSigner, SignedEvent, UnverifiedEvent, VerifiedEvent
from events.streams import Stream
from events.trust import IssuerTrust

__all__ = [
    "AgentStatus",
    "Baseline",
    "EventKey",
    "EventOpener",
    "EventRefused",
    "EventSigner",
    "Heartbeat",
    "IssuerTrust",
    "KeySet",
    "KeyState",
    "Lift",
    "LogError",
    "LogUnavailable",
    "PositionLost",
    "PublishedKey",
    "Record",
    "RefusalCode",
    "Revoke",
    "RevokeDigests",
    "Selector",
    "SelectorInvalid",
    "SignedEvent",
    "Snapshot",
    "Stream",
    "StreamHead",
    "StreamSequence",
    "Succession",
    "TokenDigest",
    "UnknownRecord",
    "UnverifiedEvent",
    "VerifiedEvent",
    "format_seq",
    "jti_digest",
    "pack",
    "token_digest",
    "unpack",
]
