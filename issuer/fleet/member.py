"""Who counts, and who lags: rules without I/O or clock. Times are seconds since the epoch by the store's clock.

An agent leaves the count by its signed farewell, by an operator's removal, or when it must have ceased to verify; never
for being silent alone (docs/adr/0021-fleet.md).
"""

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from events import AgentStatus, Stream, unpack

GRACE_SECONDS: Final = 10.0
"""Longer than ``max_staleness`` for a heartbeat that was made just before, and took its time to arrive."""
QUIET_AFTER: Final = 3.0
"""After so many of its pauses without a status an agent is called quiet; it counts all the same."""


class Standing(StrEnum):
    """How an agent stands."""

    COUNTED = "counted"
    QUIET = "quiet"
    """Nothing has been heard of it for a while. It counts."""
    STALE = "stale"
    """By its own word what it knows is too old, or was never complete. It counts."""
    EXPIRED = "expired"
    """Nothing has been heard of it for so long that it must have ceased to verify."""
    LEFT = "left"
    """It has said farewell."""
    REMOVED = "removed"
    """An operator has removed it."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One enrolled agent.

    Attributes:
        id: thumbprint of its key.
        client_id: with whose credentials it enrolled.
        enrolled_at: when.
        heard_at: when its newest status was heard.
        status: that status, whose signature has been checked.
        seq: of that status.
        removed_at: when an operator removed it, if one has.
    """

    id: str
    client_id: str
    enrolled_at: float
    heard_at: float
    status: AgentStatus
    seq: int
    removed_at: float | None = None

    @property
    def name(self) -> str:
        """For people."""
        return self.status.name or self.id

    def applied(self, stream: Stream) -> int:
        """How far it says that it has come."""
        return self.status.applied.get(stream, 0)

    def counts(self, said_at: float, now: float) -> bool:
        """Whether what was said at a time must wait for this agent.

        Until then it may have heard everything, and its statuses be lost; from then on it is not fresh before it has
        heard this too. So it is ``max_staleness`` after the later of both that an agent which denies has ceased.
        """
        if self.removed_at is not None or self.status.farewell:
            return False
        limit = self.status.max_staleness
        return limit is None or now <= max(self.heard_at, said_at) + limit + GRACE_SECONDS

    def standing(self, now: float) -> Standing:
        """How it stands now, for people."""
        if self.removed_at is not None:
            return Standing.REMOVED
        if self.status.farewell:
            return Standing.LEFT
        if not self.counts(self.heard_at, now):
            return Standing.EXPIRED
        if now - self.heard_at > QUIET_AFTER * max(self.status.every, 1.0):
            return Standing.QUIET
        limit, freshness = self.status.max_staleness, self.status.freshness
        if freshness is None or (limit is not None and freshness > limit):
            return Standing.STALE
        return Standing.COUNTED


class Reason(StrEnum):
    """Why something waits for an agent."""

    NOT_APPLIED = "not_applied"
    """It has not said that it has applied it."""
    CANNOT_USE = "cannot_use"
    """It has heard of the key, and cannot verify with it."""


class Laggard(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that something waits for.

    Attributes:
        id: of the agent.
        name: for people.
        reason: why it is waited for.
        applied: how far it has come, as far as it has said.
        heard_at: when it said so.
    """

    id: str
    name: str
    reason: Reason
    applied: int
    heard_at: float


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Who has applied one event.

    Attributes:
        counted: how many agents it is waited for, or has been.
        applied: how many of them have applied it.
        laggards: the others.
    """

    counted: int
    applied: int
    laggards: tuple[Laggard, ...]


def receipt(
    members: Sequence[Member], stream: Stream, seq: int, said_at: float, now: float, *, kid: str | None = None
) -> Receipt:
    """Who of those that count has applied ``seq`` of ``stream``, which was said at a time.

    Args:
        members: all agents.
        stream: of the event.
        seq: of the event.
        said_at: when the event was signed.
        now: the store's clock.
        kid: of the key that matters in a key set: whoever cannot use it has not applied it.
    """
    counted = [member for member in members if member.counts(said_at, now)]
    laggards = [
        Laggard(id=member.id, name=member.name, reason=reason, applied=member.applied(stream), heard_at=member.heard_at)
        for member in sorted(counted, key=lambda each: (each.name, each.id))
        if (reason := _lags(member, stream, seq, kid)) is not None
    ]
    return Receipt(counted=len(counted), applied=len(counted) - len(laggards), laggards=tuple(laggards))


def _lags(member: Member, stream: Stream, seq: int, kid: str | None) -> Reason | None:
    if member.applied(stream) < seq:
        return Reason.NOT_APPLIED
    return Reason.CANNOT_USE if kid is not None and kid in member.status.unusable_keys else None


def lag(decided: int, applied: int) -> int | None:
    """How many events lie between two of one stream; ``None`` across incarnations, where numbers do not tell."""
    (incarnation, number), (applied_in, reached) = unpack(decided), unpack(applied)
    return max(number - reached, 0) if incarnation == applied_in else None


def who_cannot(members: Sequence[Member], record_type: str, now: float) -> list[str]:
    """Names of the agents that count and do not understand a type.

    A type that must be understood is sent when nobody is left here: an agent that meets an unknown one stays stale.
    """
    return [
        member.name
        for member in members
        if member.counts(member.heard_at, now) and record_type not in member.status.understands
    ]


def who_pins_another(members: Sequence[Member], heirs: Collection[str], now: float) -> list[str]:
    """Names of the agents that count, and wait for none of these event keys to be the next one."""
    return [
        member.name for member in members if member.counts(member.heard_at, now) and member.status.heir not in heirs
    ]


def named(names: Sequence[str], most: int = 10) -> str:
    """The names in a sentence, and how many more there are."""
    shown = ", ".join(name[:64] for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
