"""What a recovery found and did, for people and programs."""

from collections.abc import Iterable, Mapping
from typing import Self

import msgspec

from events import format_seq
from issuer.recovery.key_states import KeyChanges
from issuer.recovery.plan import StreamPlan


class StreamFindings(msgspec.Struct, frozen=True, kw_only=True):
    """One stream. Numbers are written ``incarnation.number``.

    Attributes:
        stream: its name.
        store: where the store ended.
        log: where the log ends; ``None`` when it holds nothing of this issuer's.
        imported: how many events the store lacked and takes over as they are.
        forked: numbers with two different events.
        stray: numbers in the log that continue nothing in the store.
        lost: a number of which a heartbeat told, above all that either has.
        unpublished: how many live events the log lacks.
        follows: what the baseline of the new incarnation follows; ``None``: nothing, as all that is live is said again.
        again: numbers of revocations that are said again.
        void: lifts that do not hold; by number, and what they had lifted.
    """

    stream: str
    store: str
    log: str | None
    imported: int
    forked: tuple[str, ...]
    stray: tuple[str, ...]
    lost: str | None
    unpublished: int
    follows: str | None
    again: tuple[str, ...]
    void: dict[str, str]


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """All of it.

    Attributes:
        needed: whether the store has gone back.
        incarnation: that the streams go on in.
        streams: each of them.
        keys: ``kid`` to what becomes of it.
        recovered: whether the store has been changed.
        said_again: number of a revocation to that of the one that says it again.
        published: whether the log has all of it.
    """

    needed: bool
    incarnation: int
    streams: tuple[StreamFindings, ...]
    keys: dict[str, str]
    recovered: bool = False
    said_again: dict[str, str] = {}
    published: bool = False

    def done(self, said_again: Mapping[str, str]) -> Self:
        """The same, done in the store."""
        return msgspec.structs.replace(self, recovered=True, said_again=dict(said_again))

    def all_published(self) -> Self:
        """The same, with the log level."""
        return msgspec.structs.replace(self, published=True)


def found_in(plans: Iterable[StreamPlan], keys: KeyChanges, incarnation: int) -> Findings:
    """What these plans say."""
    plans = list(plans)
    becomes = {kid: str(state) for kid, state in keys.moved.items()}
    becomes |= {key.kid: f"{key.state}, its private half is lost" for key in keys.adopted}
    becomes |= dict.fromkeys(keys.promoted, "active")
    return Findings(
        needed=any(plan.needed for plan in plans),
        incarnation=incarnation,
        streams=tuple(_of_stream(plan) for plan in plans),
        keys=becomes,
    )


def _of_stream(plan: StreamPlan) -> StreamFindings:
    return StreamFindings(
        stream=str(plan.stream),
        store=format_seq(plan.store_head),
        log=format_seq(plan.log_head) if plan.log_head else None,
        imported=len(plan.imports),
        forked=tuple(map(format_seq, plan.forked)),
        stray=tuple(map(format_seq, plan.stray)),
        lost=format_seq(plan.lost) if plan.lost else None,
        unpublished=plan.unpublished,
        follows=format_seq(plan.baseline.follows) if plan.baseline.follows else None,
        again=tuple(format_seq(event.seq) for event in plan.again),
        void={format_seq(lift): format_seq(target) for lift, target in plan.void},
    )
