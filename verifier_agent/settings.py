"""What an agent is told at start."""

import re
from pathlib import Path
from typing import ClassVar, Final

import msgspec

from events.records import MAX_SKEW
from verifier_agent.configuration import Seconds
from verifier_agent.errors import SettingInvalid
from verifier_agent.jwks.settings import ForeignIssuer, check_issuers
from verifier_agent.policy import OnStale, VerificationPolicy

_SECRET_PARTS: Final = re.compile(r"(?<=//).*(?=@)|(?<=\?).*", re.DOTALL)
"""Of a URL: who logs in, up to the last ``@`` as a password may hold one; and the options, which may hold one too."""

LEAST_EVERY: Final = 0.1
MOST_EVERY: Final = 300.0
"""Seconds: an issuer that hears nothing for longer cannot tell an agent that is there from one that is gone."""
_NAME: Final = re.compile(r"[ -~]{1,128}")


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one agent.

    Attributes:
        log: URL of the event log, see ``events.log.open_log``.
        fallback_log: URL of another one with the same events, which is read while the first does not suffice, such as
            the issuer's feed beside Kafka; none by default.
        trust: file with the issuer and its event keys, see ``events.IssuerTrust``.
        audience: what ``aud`` must contain unless a call says otherwise.
        skew: by how much clocks may differ.
        max_staleness: how old knowledge may be before ``on_stale`` decides.
        on_stale: ``deny`` (say that verification is unavailable) or ``allow`` (go on with what is known).
        cache_size: verified tokens to remember.
        start_timeout: how long to wait at start until everything is known.
        state_dir: folder to save to and to start from, for this agent alone; none by default.
        snapshot_url: ``https://[client:secret@]host/snapshot`` of the issuer, for snapshots to save; none by default.
        max_snapshot_age: how old a snapshot may be that is started from.
        redis: URL of a Redis that the agents of this issuer share, see ``verifier_agent.redis.RedisPlace``: they start
            from what one of them saves there, which keeps the deny-list too; none by default.
        redis_prefix: before all keys but those of the deny-list.
        redis_deny_list: whether to keep a deny-list there for verifiers in other languages.
        redis_deny_list_prefix: before its keys.
        redis_timeout: how long an answer of Redis may take; nobody who verifies waits for it.
        foreign_issuers: other issuers whose tokens are taken, with keys from their JWKS documents.
        enrol_url: ``https://client:secret@host/agents`` of the issuer, for an agent that is to be counted: it enrols
            with a key of its own, and says how far it has come; none by default.
        agent_name: of the agent, for people; host and process by default.
        status_every: longest time between two statuses of an enrolled agent.
    """

    HOT: ClassVar[frozenset[str]] = frozenset({"audience", "skew", "max_staleness", "on_stale", "cache_size"})
    """What may change while an agent runs, see ``Agent.reconfigure``."""

    log: str
    trust: Path
    audience: str | None = None
    skew: Seconds = 5
    max_staleness: Seconds = 900
    on_stale: OnStale = OnStale.DENY
    cache_size: int = 10_000
    start_timeout: Seconds = 10
    state_dir: Path | None = None
    snapshot_url: str | None = None
    max_snapshot_age: Seconds = 86_400
    fallback_log: str | None = None
    redis: str | None = None
    redis_prefix: str = "tocsin:"
    redis_deny_list: bool = True
    redis_deny_list_prefix: str = ""
    redis_timeout: Seconds = 0.05
    foreign_issuers: tuple[ForeignIssuer, ...] = ()
    enrol_url: str | None = None
    agent_name: str | None = None
    status_every: Seconds = 5

    def __post_init__(self) -> None:
        if self.skew > MAX_SKEW:
            raise SettingInvalid(f"setting 'skew' must be {MAX_SKEW:.0f} s or less, not {self.skew:g} s")
        if self.cache_size < 0:
            raise SettingInvalid(f"setting 'cache_size' must be 0 or more, not {self.cache_size}")
        if self.fallback_log == self.log:
            raise SettingInvalid("setting 'fallback_log' must be another log than 'log'")
        if not LEAST_EVERY <= self.status_every <= MOST_EVERY:
            raise SettingInvalid(
                f"setting 'status_every' must be {LEAST_EVERY:g} to {MOST_EVERY:g} s, not {self.status_every:g} s"
            )
        if self.agent_name is not None and not _NAME.fullmatch(self.agent_name):
            raise SettingInvalid("setting 'agent_name' must be 1 to 128 visible characters of ASCII")
        check_issuers(self.foreign_issuers)

    def __repr__(self) -> str:
        return settings_repr(self, "log", "fallback_log", "snapshot_url", "redis", "enrol_url")

    def policy(self) -> VerificationPolicy:
        """The verifier's part of them."""
        return VerificationPolicy(
            audience=self.audience,
            skew=self.skew,
            max_staleness=self.max_staleness,
            on_stale=self.on_stale,
            cache_size=self.cache_size,
        )


def without_secrets(url: str) -> str:
    """A URL fit to be shown: without user, password and the values of options."""
    return _SECRET_PARTS.sub("…", url)


def settings_repr(settings: msgspec.Struct, *urls: str) -> str:
    """The ``repr`` of settings whose fields ``urls`` may hold passwords."""
    values = {field.name: getattr(settings, field.name) for field in msgspec.structs.fields(settings)}
    values |= {name: without_secrets(values[name]) for name in urls if values[name] is not None}
    return f"{type(settings).__name__}({', '.join(f'{name}={value!r}' for name, value in values.items())})"
