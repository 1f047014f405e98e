"""The records that events carry, each under a type URI of its own.

Where CAEP has a type for the same fact, the event names that URI too, see ``events.subjects``.
"""

from array import array
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, Final

import msgspec

from events.digests import unpack_digests
from events.selectors import Selector
from events.sequence import StreamHead
from events.streams import SEQUENCED, Stream

NAMESPACE: Final = "urn:tocsin:event:"

MAX_SKEW: Final = 300.0
"""Seconds by which any clock may be wrong, and that a verifier may be set to tolerate. Revocations are kept for longer
than the tokens that they hit by several times this, so no verifier may tolerate more."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something an event says. Subclasses name their type URI, their streams, and whether agents must understand."""

    type: ClassVar[str]
    streams: ClassVar[tuple[Stream, ...]] = (Stream.REVOCATIONS,)
    critical: ClassVar[bool] = True


class Revoke(Record, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Every token that the selector hits and that is older than the cutoff is revoked.

    Attributes:
        selector: which tokens.
        issued_before: absent for the usual cutoff, *as of this event* (tokens whose ``rsq`` is lower than the
            event's ``seq``); otherwise seconds since the epoch: tokens with ``iat`` up to and including it.
        expires_at: seconds since the epoch, by issuer time; no token that it can hit lives longer.
        reason: why, for the audit trail.
        actor: who decided, for the audit trail.
        replaces: ``seq`` of the revocation that a recovery says again by this one; 0 for none. Where that says the
            same it is taken out of force, so that a lift of this one lifts both.
    """

    type: ClassVar[str] = NAMESPACE + "revoke"

    selector: Selector
    expires_at: float
    issued_before: float | None = None
    reason: str = ""
    actor: str = ""
    replaces: int = 0


class RevokeDigests(Record, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """The tokens with these digests are revoked, whatever their ``rsq``.

    Attributes:
        digests: a sorted packed batch, see ``events.digests.pack_digests``.
        expires_at: seconds since the epoch, by issuer time.
        reason: why, for the audit trail.
        actor: who decided, for the audit trail.
        replaces: as a ``Revoke``'s.
    """

    type: ClassVar[str] = NAMESPACE + "revoke-digests"

    digests: bytes
    expires_at: float
    reason: str = ""
    actor: str = ""
    replaces: int = 0

    @cached_property
    def unpacked(self) -> "array[int]":
        """The digests in ascending order, for all who are given the record; nobody may change them.

        Raises:
            ValueError: as ``events.digests.unpack_digests``.
        """
        return unpack_digests(self.digests)


class Lift(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Takes back exactly one revocation; others that hit the same tokens stay.

    Attributes:
        target: ``seq`` of the revocation.
        expires_at: that revocation's, so that both are forgotten together.
        reason: why, for the audit trail.
        actor: who decided, for the audit trail.
    """

    type: ClassVar[str] = NAMESPACE + "lift"

    target: int
    expires_at: float
    reason: str = ""
    actor: str = ""


class KeyState(StrEnum):
    """Life of a token key: ``pending -> active -> retiring -> retired``, and ``revoked`` from any of them."""

    PENDING = "pending"
    ACTIVE = "active"
    RETIRING = "retiring"
    RETIRED = "retired"
    REVOKED = "revoked"

    @property
    def verifies(self) -> bool:
        """Whether signatures by a key in this state count. A pending key is published ahead, so it does."""
        return self in (KeyState.PENDING, KeyState.ACTIVE, KeyState.RETIRING)


class PublishedKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One token key as verifiers see it.

    Attributes:
        kid: key identifier, never used again for another key.
        alg: the one algorithm that signatures by this key have (RFC 7518, RFC 8037).
        state: where it is in its life.
        jwk: public JWK (RFC 7517); absent when the key is revoked or retired and need not be known any more.
        changed_at: seconds since the epoch at which it entered its state.
    """

    kid: str
    alg: str
    state: KeyState
    jwk: dict[str, str] | None = None
    changed_at: float = 0


class KeySet(Record, frozen=True, kw_only=True, omit_defaults=True):
    """All token keys of the issuer at one moment."""

    type: ClassVar[str] = NAMESPACE + "key-set"
    streams: ClassVar[tuple[Stream, ...]] = (Stream.KEYS,)

    keys: tuple[PublishedKey, ...]
    reason: str = ""
    actor: str = ""


class Baseline(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The first event of a stream's incarnation: nothing that holds lies between it and what it follows.

    Events that were numbered in between are of a history that was lost or forked. Which revocations are live among
    them a recovery says again above the baseline, so nobody needs them, and nothing there contradicts anything.

    Attributes:
        follows: ``seq`` of the last event that holds; 0 for the first incarnation, and where everything that is live
            is said again.
        follows_digest: digest of the event at that ``seq``, empty when there is none.
    """

    type: ClassVar[str] = NAMESPACE + "baseline"
    streams: ClassVar[tuple[Stream, ...]] = SEQUENCED

    follows: int = 0
    follows_digest: str = ""


class Succession(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The event key that signs this ends here, and another one signs from now on.

    All but ``reason`` and ``actor`` is signed by the new key as well, see ``events.succession``.

    Attributes:
        jwk: public half of the new key (RFC 7517), with ``kid`` and ``alg``.
        predecessor: thumbprint of the key that ends (RFC 7638).
        heir: thumbprint of the key that is to succeed the new one, whose private half is kept offline.
        ends: stream name to the last ``seq`` that the old key may sign there: this event's own on its stream.
        time: seconds since the epoch at which it was decided.
        stolen: whether the old key was in other hands. Agents then hear anew what it has said up to its end.
        counter_signature: a compact JWS of the new key over all of that.
        reason: why, for the audit trail.
        actor: who decided, for the audit trail.
    """

    type: ClassVar[str] = NAMESPACE + "succession"
    streams: ClassVar[tuple[Stream, ...]] = (Stream.KEYS,)

    jwk: dict[str, str]
    predecessor: str
    heir: str
    ends: dict[str, int]
    time: float
    counter_signature: str
    stolen: bool = False
    reason: str = ""
    actor: str = ""


class Heartbeat(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Issuer time, and how far each sequenced stream had come at that time.

    Attributes:
        time: seconds since the epoch by the store's clock, read in the same statement as the heads.
        heads: stream name to its head and floor.
    """

    type: ClassVar[str] = NAMESPACE + "heartbeat"
    streams: ClassVar[tuple[Stream, ...]] = (Stream.HEARTBEATS,)
    critical: ClassVar[bool] = False

    time: float
    heads: dict[str, StreamHead]


class Snapshot(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The seal of a snapshot: a heartbeat that also names the bytes of a state for which its heads are covered.

    It is numbered as a heartbeat and never published: it travels with the bytes that it names.

    Attributes:
        sha256: of the bytes, in hexadecimal.
        size: how many bytes.
        time: as a heartbeat's.
        heads: as a heartbeat's.
    """

    type: ClassVar[str] = NAMESPACE + "snapshot"
    streams: ClassVar[tuple[Stream, ...]] = (Stream.HEARTBEATS,)
    critical: ClassVar[bool] = False

    sha256: str
    size: int
    time: float
    heads: dict[str, StreamHead]


class AgentStatus(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What an agent says of itself on the agents stream, signed with its own key: status, acknowledgement and receipt.

    Its ``seq`` orders what one agent says, and nothing else; the newest holds.

    Attributes:
        agent: its enrolled identifier, the thumbprint of its key (RFC 7638).
        time: seconds since the epoch by the agent's clock.
        name: for people, such as host and process.
        version: of the software.
        applied: stream name to what it has applied: of the keys the newest key set's ``seq``, of the revocations the
            highest ``seq`` up to which nothing is missing.
        unusable_keys: ``kid`` of published keys that it cannot verify with.
        freshness: seconds, or absent when it has never been complete.
        max_staleness: seconds after which it refuses to verify; absent when it never does.
        understands: type URIs that it can apply.
        every: longest time in seconds until its next status.
        farewell: it stops, and does not count from now on.
        heir: thumbprint of the key that may succeed the issuer's event key, as this agent has it pinned; empty when
            none is.
    """

    type: ClassVar[str] = NAMESPACE + "agent-status"
    streams: ClassVar[tuple[Stream, ...]] = (Stream.AGENTS,)
    critical: ClassVar[bool] = False

    agent: str
    time: float
    name: str = ""
    version: str = ""
    applied: dict[str, int] = {}
    unusable_keys: tuple[str, ...] = ()
    freshness: float | None = None
    max_staleness: float | None = None
    understands: tuple[str, ...] = ()
    every: float = 0.0
    farewell: bool = False
    heir: str = ""


class UnknownRecord(Record, frozen=True, kw_only=True):
    """An event of a type that this version does not know. Critical ones leave a hole in the stream."""

    type: ClassVar[str] = ""
    critical: ClassVar[bool] = False

    name: str


KNOWN: Final[Mapping[str, type[Record]]] = {
    record.type: record
    for record in (Revoke, RevokeDigests, Lift, KeySet, Baseline, Succession, Heartbeat, Snapshot, AgentStatus)
}


def decode_record(events: Mapping[str, Any]) -> Record:
    """The record in a SET's ``events`` claim (RFC 8417 section 2.2).

    Beside Tocsin's own type, an event may name other URIs for the same fact; these are passed over.

    Raises:
        msgspec.ValidationError: the payload does not fit its type; the message names the field.
    """
    for name, payload in events.items():
        if name in KNOWN:
            return msgspec.convert(payload, KNOWN[name])
    return UnknownRecord(name=next(iter(events), ""))


def encode_record(record: Record) -> dict[str, Any]:
    """The payload of ``record`` as JSON-compatible values, without its type."""
    payload: dict[str, Any] = msgspec.to_builtins(record)
    return payload
