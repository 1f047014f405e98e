"""What an agent says of itself."""

import msgspec

from verifier_agent.fleet.report import FleetReport
from verifier_agent.jwks import ForeignKeys
from verifier_agent.saved.report import StoreReport


class ForeignReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent knows of one foreign issuer.

    Attributes:
        keys: ``kid`` of those that verify.
        skipped: keys of its document that cannot be used, and why.
        usable: whether the keys count still.
        refreshes: documents read.
        failures: attempts that brought none.
        last_error: of the newest attempt; ``None`` when it was good.
        negative_hits: how often a key known to be absent was asked for.
        refused_by_cool_down: how often a caller who had named absent keys was put off.
    """

    keys: list[str]
    skipped: dict[str, str]
    usable: bool
    refreshes: int
    failures: int
    last_error: str | None
    negative_hits: int
    refused_by_cool_down: int

    @classmethod
    def of(cls, keys: ForeignKeys, boot: float) -> "ForeignReport":
        """At this moment of the boot-time clock, in seconds."""
        return cls(
            keys=sorted(keys.keys),
            skipped=dict(keys.skipped),
            usable=boot < keys.usable_until,
            refreshes=keys.refreshes,
            failures=keys.failures,
            last_error=None if keys.last_error is None else str(keys.last_error),
            negative_hits=keys.negative_hits,
            refused_by_cool_down=keys.refused_by_cool_down,
        )


class RedisReport(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands with Redis.

    Attributes:
        breaker: ``closed`` when it answers, ``open`` or ``half_open`` when it does not.
        failures: calls that failed.
        writes: whether this agent is the one that writes.
        saved: events that were saved.
        left_out: events for which there was no more room.
        deny_list_level: whether the deny-list is level with what is known; absent when there is none.
        deny_list_owner: another issuer, in whose deny-list ours would be.
    """

    breaker: str
    failures: int
    writes: bool
    saved: int
    left_out: int
    deny_list_level: bool | None = None
    deny_list_owner: str | None = None


class AgentReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent knows, and how well.

    Attributes:
        issuer: whose events it follows.
        ready: whether everything has been known at least once, by a heartbeat of the log.
        stale: whether what is known is older than ``max_staleness``, or was never complete.
        freshness: seconds since everything was known; ``None`` when it never was.
        clock_skew: seconds by which this machine's clock seems ahead of the issuer's; ``None`` if unknown.
        applied: stream to the highest ``seq`` up to which nothing is missing.
        holes: stream to the missing ``seq`` ranges, by the newest heartbeat.
        forks: contradictions seen, in words.
        misunderstood: critical events that this version does not know.
        event_keys: ``kid`` of the event keys that are known, oldest first; the last signs.
        begun_anew: how often all was heard again, as an event key may have been in other hands.
        keys: ``kid`` to state.
        unusable_keys: ``kid`` of keys that this version cannot use, and why.
        selectors: selector revocations in force.
        digests: single-token revocations in force.
        refused: events refused, by code.
        log_failures: how often a log could not be read.
        log_read: ``log``, or ``fallback_log`` while that is read beside the first, which does not suffice.
        log_fault: why it does not: ``unreadable``, ``silent`` or ``incomplete``; ``None`` while it does.
        log_failovers: how often the fallback was begun with.
        log_errors: why a log could not be read when it was last tried, by setting; the fallback is tried now and then.
        started_from: the store that it started from, or ``issuer``; ``log`` when it heard everything anew.
        stores: how each store is that it saves to.
        redis: how it stands with Redis; ``None`` without.
        foreign: what is known of each foreign issuer.
        fleet: how its enrolment stands; ``None`` when it does not enrol.
    """

    issuer: str
    ready: bool
    stale: bool
    freshness: float | None
    clock_skew: float | None
    applied: dict[str, int]
    holes: dict[str, list[tuple[int, int]]]
    forks: list[str]
    misunderstood: list[str]
    event_keys: list[str]
    begun_anew: int
    keys: dict[str, str]
    unusable_keys: dict[str, str]
    selectors: int
    digests: int
    refused: dict[str, int]
    log_failures: int
    log_read: str
    log_fault: str | None
    log_failovers: int
    log_errors: dict[str, str]
    started_from: str
    stores: dict[str, StoreReport]
    redis: RedisReport | None
    foreign: dict[str, ForeignReport]
    fleet: FleetReport | None
