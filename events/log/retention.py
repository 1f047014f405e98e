"""How long the log must keep what."""

from dataclasses import dataclass

from events.streams import Stream

DAY = 86_400.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """Seconds for which each stream must be readable.

    Attributes:
        revocations: the ceiling of token life, plus clock skew, plus a day for whoever was away.
        heartbeats: minutes; only the newest counts.
        agents: hours; what agents said of themselves.
    """

    revocations: float = DAY + 300 + DAY
    heartbeats: float = 600
    agents: float = 6 * 3600

    @classmethod
    def covering(cls, token_life_ceiling: float, skew: float) -> "Retention":
        """What a longest token life and clock skew, both in seconds, ask for."""
        return cls(revocations=token_life_ceiling + skew + DAY)

    def of(self, stream: Stream) -> float | None:
        """Seconds for ``stream``; ``None`` where the newest entry is kept for ever (compaction)."""
        seconds: dict[Stream, float | None] = {
            Stream.KEYS: None,
            Stream.REVOCATIONS: self.revocations,
            Stream.HEARTBEATS: self.heartbeats,
            Stream.AGENTS: self.agents,
        }
        return seconds[stream]
