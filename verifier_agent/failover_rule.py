"""When a second log is read beside the first: a rule without I/O or clock."""

from enum import StrEnum
from typing import Final

from verifier_agent.log_health import LogHealth

LATE_SECONDS: Final = 2.0
"""Looks further apart than this say that this process stood still, and nothing of the log."""
SILENT_SECONDS: Final = 3.0
"""After so long without a heartbeat, of which there is one each second, the second log is read."""
MISSING_SECONDS: Final = 8.0
"""After so long without a part of what is missing: more than the first log takes to be read again from its start."""
STEADY_SECONDS: Final = 10.0
"""How long the first must have been good before it is read alone again; doubled each time it relapses."""
LONGEST_STEADY_SECONDS: Final = 320.0
RELAPSE_SECONDS: Final = 60.0


class Fault(StrEnum):
    """Why the first log does not suffice."""

    UNREADABLE = "unreadable"
    SILENT = "silent"
    INCOMPLETE = "incomplete"


class FailoverRule:
    """When a second log is read. No I/O, no clock.

    Attributes:
        fault: what is, or was until lately, wrong with the first; ``None`` while it is read alone.
        failovers: how often the second was begun with.
    """

    def __init__(self, patience: float = SILENT_SECONDS) -> None:
        """Set up.

        Args:
            patience: how long the first may be silent, in seconds.
        """
        self.fault: Fault | None = None
        self.failovers = 0
        self._patience = patience
        self._looked_at = self._begun_at = float("-inf")
        self._good_since: float | None = None
        self._returned_at = float("-inf")
        self._steady = STEADY_SECONDS
        self._missing: tuple[int, ...] | None = None
        self._missing_since = 0.0

    def look(self, now: float, first: LogHealth, missing: tuple[int, ...] | None) -> None:
        """Judge anew.

        Args:
            now: boot-time clock, seconds.
            first: how the first log is.
            missing: up to where each stream is complete while something is missing; ``None`` while nothing is.
        """
        if now - self._looked_at > LATE_SECONDS:
            self._begun_at = now
        self._looked_at = now
        fault = self._fault_of(now, first, missing)
        if self.fault is None:
            if fault is not None:
                self._fail_over(now, fault)
        elif fault is not None or (first.late_at is not None and now - first.late_at < SILENT_SECONDS):
            self._good_since = None
        elif self._good_since is None:
            self._good_since = now
        elif now - self._good_since >= self._steady:
            self.fault, self._returned_at = None, now

    def _fail_over(self, now: float, fault: Fault) -> None:
        relapsed = now - self._returned_at < RELAPSE_SECONDS
        self._steady = min(2 * self._steady, LONGEST_STEADY_SECONDS) if relapsed else STEADY_SECONDS
        self.fault, self._good_since = fault, None
        self.failovers += 1

    def _fault_of(self, now: float, first: LogHealth, missing: tuple[int, ...] | None) -> Fault | None:
        if missing != self._missing or missing is None:
            self._missing, self._missing_since = missing, now
        elif now - max(self._missing_since, self._begun_at) > MISSING_SECONDS:
            return Fault.INCOMPLETE
        if first.error and first.alive_at is None:  # nothing has been heard of it yet: no reason to wait
            return Fault.UNREADABLE
        heard = self._begun_at if first.alive_at is None else max(first.alive_at, self._begun_at)
        if now - heard > self._patience:
            return Fault.UNREADABLE if first.error else Fault.SILENT
        return None
