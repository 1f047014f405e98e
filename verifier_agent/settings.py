"""What an agent is told at start."""

from pathlib import Path

import msgspec

from verifier_agent.configuration import Seconds
from verifier_agent.errors import SettingInvalid
from verifier_agent.policy import OnStale, VerificationPolicy


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one agent.

    Attributes:
        log: URL of the event log, see ``events.log.open_log``.
        trust: file with the issuer and its event keys, see ``events.IssuerTrust``.
        audience: what ``aud`` must contain unless a call says otherwise.
        skew: by how much clocks may differ.
        max_staleness: how old knowledge may be before ``on_stale`` decides.
        on_stale: ``deny`` (say that verification is unavailable) or ``allow`` (go on with what is known).
        cache_size: verified tokens to remember.
        start_timeout: how long to wait at start until everything is known.
    """

    log: str
    trust: Path
    audience: str | None = None
    skew: Seconds = 5
    max_staleness: Seconds = 900
    on_stale: OnStale = OnStale.DENY
    cache_size: int = 10_000
    start_timeout: Seconds = 10

    def __post_init__(self) -> None:
        if self.cache_size < 0:
            raise SettingInvalid(f"setting 'cache_size' must be 0 or more, not {self.cache_size}")

    def policy(self) -> VerificationPolicy:
        """The verifier's part of them."""
        return VerificationPolicy(
            audience=self.audience,
            skew=self.skew,
            max_staleness=self.max_staleness,
            on_stale=self.on_stale,
            cache_size=self.cache_size,
        )
