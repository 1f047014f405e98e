"""The life of a token key, as rules without I/O or clock: which transitions are due, and why.

``pending -> active -> retiring -> retired``, and ``revoked`` from any of them. Where configuration lists keys, it says
which of them signs, and a key that signed before may do so again while it is listed (docs/adr/0027). A standby becomes
active only when everybody who verifies knows it: each agent that counts has acknowledged a key set with it, and whoever
polls the JWKS has had the time to. A named time-out or an explicit force is the only way past an agent. Times are
seconds since the epoch by the store's clock.
"""

from collections.abc import Sequence

import msgspec

from events import KeyState, Stream
from issuer.fleet.member import Laggard, Member, Reason, named, receipt
from issuer.keys.schedule import Schedule


class KeyPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When keys are rotated, and what a rotation waits for.

    Attributes:
        rotate_every: seconds that a key signs; 0 for no limit.
        rotate_after_signatures: how often a key signs; 0 for no limit.
        rotate_at: moments of each day or week at which keys are rotated.
        activation_timeout: seconds after which a rotation that is due goes ahead though agents have not acknowledged
            the standby.
        jwks_lead_time: seconds for which a standby has been in the JWKS document before it signs.
    """

    rotate_every: float = 0.0
    rotate_after_signatures: int = 0
    rotate_at: tuple[Schedule, ...] = ()
    activation_timeout: float = 600.0
    jwks_lead_time: float = 0.0


class TokenKey(msgspec.Struct, frozen=True, kw_only=True):
    """A token key as the store has it.

    Attributes:
        kid: its name.
        alg: its algorithm.
        state: where it is in its life.
        changed_at: when it entered that state.
        published_seq: of the first key set that it was in.
        signatures: how often it has signed, as far as is known.
        due_since: since when it is to give way; ``None`` while it is not.
        due_reason: why.
        created_at: when it was made or taken in, and known to who polls the JWKS a moment later.
        rank: its place in the list of configuration, the first of which signs; ``None`` for a key of the vault's own.
    """

    kid: str
    alg: str
    state: KeyState
    changed_at: float
    published_seq: int = 0
    signatures: int = 0
    due_since: float | None = None
    due_reason: str = ""
    created_at: float = 0.0
    rank: int | None = None


def listed_first(keys: Sequence[TokenKey], alg: str) -> TokenKey | None:
    """The key of an algorithm that is to sign by the list of configuration; ``None`` where the vault decides."""
    listed = [(key.rank, key) for key in keys if key.alg == alg and key.rank is not None and _is_usable(key)]
    return min(listed, key=lambda each: each[0])[1] if listed else None


def heir(keys: Sequence[TokenKey], alg: str) -> TokenKey | None:
    """Who signs when the key of an algorithm that does gives way: the next of the list, or else the vault's standby.

    Args:
        keys: all token keys, oldest first.
        alg: which algorithm.
    """
    others = [key for key in keys if key.alg == alg and key.state in (KeyState.PENDING, KeyState.RETIRING)]
    standby = (key for key in others if key.state is KeyState.PENDING and key.rank is None)
    return listed_first(others, alg) or next(standby, None)


def _is_usable(key: TokenKey) -> bool:
    return key.state not in (KeyState.RETIRED, KeyState.REVOKED)


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What is decided upon, all of one moment.

    Attributes:
        keys: all token keys.
        published: highest ``seq`` of the key events that the log has acknowledged.
        members: all agents.
        now: the store's clock.
        dead_before: tokens of a key that ceased to sign before then have expired everywhere.
    """

    keys: Sequence[TokenKey]
    published: int
    members: Sequence[Member]
    now: float
    dead_before: float

    def heir(self, alg: str) -> TokenKey | None:
        """Who signs next for an algorithm."""
        return heir(self.keys, alg)

    def governed_by_list(self, alg: str) -> bool:
        """Whether configuration lists a key of an algorithm that can sign."""
        return listed_first(self.keys, alg) is not None


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What stands between a standby and signing.

    Attributes:
        unpublished: the log has not acknowledged a key set with it.
        lead_left: seconds until whoever polls the JWKS must know it.
        laggards: agents that count and have not acknowledged it.
    """

    unpublished: bool
    lead_left: float
    laggards: tuple[Laggard, ...]

    @property
    def is_open(self) -> bool:
        """Whether everybody knows it."""
        return not self.unpublished and self.lead_left <= 0 and not self.laggards

    @property
    def waits_for_agents_alone(self) -> bool:
        """Whether a time-out may open it."""
        return not self.unpublished and self.lead_left <= 0 and bool(self.laggards)

    @property
    def why_not(self) -> str:
        """What it waits for, in words."""
        words = []
        if self.unpublished:
            words.append("the standby key has not been published yet: verifiers would refuse what it signs")
        if self.lead_left > 0:
            words.append(f"it has to be in the JWKS for {self.lead_left:.0f} s more (jwks_lead_time)")
        if self.laggards:
            words.append(f"not acknowledged by {names_of(self.laggards)}")
        return "; ".join(words)


class Rotate(msgspec.Struct, frozen=True, kw_only=True):
    """The heir of an algorithm is to sign from now on.

    Attributes:
        alg: which algorithm.
        reason: why.
        listed: whether the heir is of the list: then no standby is used up.
    """

    alg: str
    reason: str
    listed: bool = False


class Postpone(msgspec.Struct, frozen=True, kw_only=True):
    """A key is to give way, and cannot yet: since when and why is to be noted, so that the time-out runs."""

    kid: str
    reason: str
    why_not: str


class Retire(msgspec.Struct, frozen=True, kw_only=True):
    """A key's last token has expired."""

    kid: str
    reason: str = "its tokens have expired"


Step = Rotate | Postpone | Retire


def gate(standby: TokenKey, situation: Situation, policy: KeyPolicy) -> Gate:
    """What a standby still waits for."""
    seq, published_at = standby.published_seq, standby.changed_at
    acknowledged = receipt(situation.members, Stream.KEYS, seq, published_at, situation.now, kid=standby.kid)
    # One that signs once more has been in the JWKS since it was made, if it was not put aside at once.
    since = standby.created_at if standby.state is KeyState.RETIRING else published_at
    return Gate(
        unpublished=not 0 < seq <= situation.published,
        lead_left=since + policy.jwks_lead_time - situation.now,
        laggards=acknowledged.laggards,
    )


def due_reason(key: TokenKey, policy: KeyPolicy, now: float, first: TokenKey | None = None) -> str | None:
    """Why an active key is to give way now; ``None`` while it need not.

    Args:
        key: the one that signs.
        policy: holds where no list does.
        now: at this moment.
        first: the one that is to sign by the list, where there is one.
    """
    if first is not None and first.kid == key.kid:
        return None  # whatever was noted when another was first
    if key.due_since is not None:
        return key.due_reason
    if first is not None:
        return f"signing_keys has {first.kid} first"
    if policy.rotate_every and now - key.changed_at >= policy.rotate_every:
        return f"it has signed for {policy.rotate_every:g} s (rotate_every)"
    if policy.rotate_after_signatures and key.signatures >= policy.rotate_after_signatures:
        return f"it has signed {policy.rotate_after_signatures} tokens (rotate_after_signatures)"
    for schedule in policy.rotate_at:
        if schedule.newest(now) > key.changed_at:
            return f"it is past {schedule} UTC (rotate_at)"
    return None


def steps(situation: Situation, policy: KeyPolicy) -> list[Step]:
    """What is to be done now. Doing it and asking again gives nothing more to do."""
    found: list[Step] = []
    for key in situation.keys:
        if key.state is KeyState.RETIRING and key.changed_at < situation.dead_before and key.rank is None:
            found.append(Retire(kid=key.kid))
        elif key.state is KeyState.ACTIVE and (reason := _due_reason(key, situation, policy)) is not None:
            step = _rotation(key, reason, situation, policy)
            if step is not None:
                found.append(step)
    return found


def _due_reason(key: TokenKey, situation: Situation, policy: KeyPolicy) -> str | None:
    return due_reason(key, policy, situation.now, listed_first(situation.keys, key.alg))


def _rotation(active: TokenKey, reason: str, situation: Situation, policy: KeyPolicy) -> Step | None:
    """What becomes of a key that is to give way; ``None`` while it waits and that has been noted."""
    standby = situation.heir(active.alg)
    if standby is None:
        return None
    found, listed = gate(standby, situation, policy), standby.rank is not None
    if found.is_open:
        return Rotate(alg=active.alg, reason=reason, listed=listed)
    waited = 0.0 if active.due_since is None else situation.now - active.due_since
    if found.waits_for_agents_alone and waited >= policy.activation_timeout:
        names = names_of(found.laggards)
        return Rotate(
            alg=active.alg,
            reason=f"{reason}; after {policy.activation_timeout:g} s not acknowledged by {names}",
            listed=listed,
        )
    if active.due_since is None:
        return Postpone(kid=active.kid, reason=reason, why_not=found.why_not)
    return None


def names_of(laggards: Sequence[Laggard]) -> str:
    """Who lags, in words."""
    cannot = " (cannot use it)"
    return named([each.name + (cannot if each.reason is Reason.CANNOT_USE else "") for each in laggards])
