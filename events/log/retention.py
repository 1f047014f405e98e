"""How long the log must keep what."""

from dataclasses import dataclass

from events.records import MAX_SKEW
from events.streams import Stream

DAY = 86_400.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """Seconds for which each stream must be readable.

    Attributes:
        revocations: as long as the longest token that one can hit, plus a day for whoever was away.
        heartbeats: minutes; only the newest counts.
        agents: hours; what agents said of themselves.
    """

    revocations: float = DAY + 3 * MAX_SKEW + DAY
    heartbeats: float = 600
    agents: float = 6 * 3600

    @classmethod
    def covering(cls, token_life_ceiling: float) -> "Retention":
        """What a longest token life in seconds asks for: three clocks may be wrong, the issuer's, the verifier's and
        by what the verifier tolerates."""
        return cls(revocations=token_life_ceiling + 3 * MAX_SKEW + DAY)

    def of(self, stream: Stream) -> float | None:
        """Seconds for ``stream``; ``None`` where the newest entry is kept for ever (compaction)."""
        seconds: dict[Stream, float | None] = {
            Stream.KEYS: None,
            Stream.REVOCATIONS: self.revocations,
            Stream.HEARTBEATS: self.heartbeats,
            Stream.AGENTS: self.agents,
        }
        return seconds[stream]
