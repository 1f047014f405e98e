"""What a worker has seen of its agents, as it tells the harness."""

import msgspec


class Victim(msgspec.Struct, kw_only=True):
    """A token that is revoked at some time, as one agent judges it. Times are seconds since the epoch.

    Attributes:
        known_to: up to when the agent claimed to know everything when it accepted the token last.
        accepted: when it accepted it last.
        refused: when it refused it first, as revoked.
        taken_back: whether it accepted it after having refused it.
    """

    known_to: float = 0.0
    accepted: float | None = None
    refused: float | None = None
    taken_back: bool = False


class AgentSeen(msgspec.Struct, kw_only=True):
    """How one agent has judged.

    Attributes:
        accepted: good tokens that it accepted.
        refused: good tokens that it refused, by code; there should be none.
        unable: times that it could not say, as its policy has it: it was staler than it may be.
        unable_beyond_policy: times that it could not say for another reason; there should be none.
        too_stale: tokens accepted though it was staler than it may be; there should be none.
        stalest: the most seconds since it knew everything, as it said itself; from when it first did.
        victims: what became of tokens that are revoked, by name.
    """

    accepted: int = 0
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    unable: int = 0
    unable_beyond_policy: int = 0
    too_stale: int = 0
    stalest: float = 0.0
    victims: dict[str, Victim] = msgspec.field(default_factory=dict)


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """About a second of verifying, all agents of a process together.

    Attributes:
        end: when it ended, seconds since the epoch.
        p99: of one verification, microseconds.
        bare: the same of a bare signature check, which was made beside each verification of a new token.
        stall: the latest that a turn came too late on the event loop, milliseconds.
    """

    end: float
    p99: float
    bare: float
    stall: float


class WorkerSeen(msgspec.Struct, kw_only=True):
    """All of one worker, since it was given its tokens.

    Attributes:
        agents: by name.
        slices: in order.
    """

    agents: dict[str, AgentSeen] = msgspec.field(default_factory=dict)
    slices: list[Slice] = msgspec.field(default_factory=list)
