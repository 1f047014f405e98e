"""What a recovery does about one stream. Rules without I/O; each with its reason in docs/adr/0013-recovery.md.

1 find what both agree on · 2 import what continues it · 3 choose what the next baseline follows · 4 say again every
revocation that is live and that not everybody can be relied upon to know by its number.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from events import Baseline, Lift, Revoke, RevokeDigests, SignedEvent, Stream, StreamHead
from issuer.recovery.histories import LoggedHistory, StoreHistory


@dataclass(frozen=True, kw_only=True)
class StreamPlan:
    """What was found in one stream, and what is to be done.

    Attributes:
        stream: which.
        store_head: where the store ends.
        log_head: where the log ends; 0 when it holds nothing of ours.
        imports: events that the log has and the store lacks, which go into the store as they are.
        forked: numbers under which there are two different events.
        stray: numbers that the log has, and that continue nothing that the store has.
        lost: a number that a heartbeat told of, above all that either has; 0 for none.
        unpublished: how many live events of the store the log lacks.
        baseline: of the next incarnation.
        again: revocations to be said again.
        void: lifts of a history that does not hold, with what they had lifted.
    """

    stream: Stream
    store_head: int
    log_head: int
    imports: tuple[SignedEvent, ...]
    forked: tuple[int, ...]
    stray: tuple[int, ...]
    lost: int
    unpublished: int
    baseline: Baseline
    again: tuple[SignedEvent, ...]
    void: tuple[tuple[int, int], ...]

    @property
    def needed(self) -> bool:
        """Whether the store has gone back."""
        return bool(self.imports or self.forked or self.stray or self.lost)


def plan_stream(
    stream: Stream,
    store: StoreHistory,
    logged: LoggedHistory,
    told: StreamHead | None,
    *,
    now: float,
    everything: bool = False,
) -> StreamPlan:
    """What to do about one stream.

    Args:
        stream: which.
        store: what the store holds.
        logged: what the log holds.
        told: what the newest heartbeat in the log says of it.
        now: the store's clock, seconds since the epoch.
        everything: say again all that is live, whatever was found.
    """
    return _Comparison(stream, store, logged, told, now).plan(everything=everything)


class _Comparison:
    def __init__(
        self, stream: Stream, store: StoreHistory, logged: LoggedHistory, told: StreamHead | None, now: float
    ) -> None:
        self._stream = stream
        self._store = store
        self._now = now
        ours, theirs = store.abandoned, logged.abandoned
        self._kept = {seq: digest for seq, digest in store.digests.items() if seq not in ours and seq not in theirs}
        self._heard = {
            seq: variants for seq, variants in logged.events.items() if seq not in ours and seq not in theirs
        }
        # A baseline that the store lost has abandoned these; whether that recovery saw them nobody knows any more.
        self._unseen = [seq for seq in store.digests if seq in theirs and seq not in ours]
        self._follows = {**store.follows, **logged.follows}
        self._log_head = max(logged.events, default=0)
        self._forked = self._find_forks()
        self._lacking = sorted(set(self._heard) - set(self._kept))
        self._lost = self._find_lost(told)

    def plan(self, *, everything: bool) -> StreamPlan:
        agreed = self._agreed()  # 1
        imports = self._imports(agreed)  # 2
        end = imports[-1].seq if imports else agreed
        end = self._before_baselines(end)
        imports = [event for event in imports if event.seq <= end]
        follows = 0 if everything or self._lost or not self._confirmed(agreed) else end  # 3
        lifted = self._lifted(imports, end)
        again = {event.digest: event for event in self._again(imports, end, follows, lifted) if self._lives(event)}  # 4
        imported = {event.seq for event in imports}
        return StreamPlan(
            stream=self._stream,
            store_head=self._store.head,
            log_head=self._log_head,
            imports=tuple(imports),
            forked=tuple(self._forked),
            stray=tuple(seq for seq in self._lacking if seq not in imported),
            lost=self._lost,
            unpublished=sum(seq >= self._store.floor and seq not in self._heard for seq in self._kept),
            baseline=Baseline(follows=follows, follows_digest=self._digest(follows, imports)),
            again=tuple(sorted(again.values(), key=lambda event: event.seq)),
            void=tuple(sorted(self._void(end))),
        )

    # -- 1

    def _find_forks(self) -> list[int]:
        """Numbers with two contents, within the log or between it and the store."""
        return sorted(
            seq
            for seq, variants in self._heard.items()
            if len(variants) > 1 or (seq in self._kept and self._kept[seq] not in variants)
        )

    def _find_lost(self, told: StreamHead | None) -> int:
        """A number that a heartbeat told of, and that neither has as it was."""
        if told is None or told.head in self._store.abandoned or self._is_abandoned_in_log(told.head):
            return 0
        has = told.head in self._heard or self._kept.get(told.head) == told.digest
        return 0 if has or told.head < min(self._kept, default=0) else told.head

    def _is_abandoned_in_log(self, seq: int) -> bool:
        return any(after < seq < baseline for baseline, after in self._follows.items())

    def _agreed(self) -> int:
        """The last event below everything that differs; 0 when there is none."""
        differs = min([*self._forked, *self._lacking], default=None)
        return max((seq for seq in self._kept if differs is None or seq < differs), default=0)

    def _confirmed(self, agreed: int) -> bool:
        """Whether the log has it too: where they differ above, the histories may have parted before otherwise."""
        differ = bool(self._forked or self._lacking)
        return not differ or agreed == 0 or self._kept[agreed] in self._heard.get(agreed, {})

    # -- 2

    def _imports(self, end: int) -> list[SignedEvent]:
        """What the log has directly after ``end``, without a hole and without a doubt."""
        imports: list[SignedEvent] = []
        if self._forked:
            return imports
        for seq in self._lacking:
            (event,) = self._heard[seq].values()
            before = event.record.follows if isinstance(event.record, Baseline) else seq - 1
            if before != end:
                break
            imports.append(event)
            end = seq
        return imports

    def _before_baselines(self, end: int) -> int:
        """Below ``end`` nothing may have been abandoned by a baseline that is to be abandoned itself."""
        for baseline in sorted(self._follows, reverse=True):
            if baseline > end and self._follows[baseline] < end:
                end = self._follows[baseline]
        return end

    # -- 3

    def _digest(self, seq: int, imports: Iterable[SignedEvent]) -> str:
        return {event.seq: event.digest for event in imports}.get(seq) or self._kept.get(seq, "")

    # -- 4

    def _lifted(self, imports: Iterable[SignedEvent], end: int) -> set[int]:
        """Revocations that were ended in the history that holds."""
        lifted = {
            target for target, by in self._store.ended.items() if any(seq <= end and seq in self._kept for seq in by)
        }
        for event in imports:
            record = event.record
            if isinstance(record, Lift):
                lifted.add(record.target)
            elif isinstance(record, Revoke | RevokeDigests) and record.replaces:
                lifted.add(record.replaces)
        return lifted

    def _again(self, imports: Iterable[SignedEvent], end: int, follows: int, lifted: set[int]) -> Iterator[SignedEvent]:
        """What must be said again, expired or not."""
        if follows == 0:
            yield from (
                event for event in self._said(seq for seq in self._kept if seq <= end) if event.seq not in lifted
            )
        for event in imports:
            if event.seq not in lifted and (follows == 0 or _is_as_of_itself(event)):
                # Tokens made by the store that did not know it would outlive it.
                yield event
        above = list(self._above(end))
        yield from above
        targets = {event.record.target for event in above if isinstance(event.record, Lift)}
        yield from (event for event in imports if event.seq in targets - lifted)
        yield from self._said(seq for seq in targets - lifted if seq <= end and seq in self._kept)

    def _above(self, end: int) -> Iterator[SignedEvent]:
        """What either history says of numbers that do not hold."""
        yield from self._said([*(seq for seq in self._kept if seq > end), *self._unseen])
        for seq, variants in self._heard.items():
            if seq > end:
                yield from (event for event in variants.values() if event.digest != self._kept.get(seq))

    def _void(self, end: int) -> Iterator[tuple[int, int]]:
        for event in self._above(end):
            if isinstance(event.record, Lift) and event.record.expires_at > self._now:
                yield event.seq, event.record.target

    def _said(self, seqs: Iterable[int]) -> Iterator[SignedEvent]:
        return map(self._store.said, seqs)

    def _lives(self, event: SignedEvent) -> bool:
        return isinstance(event.record, Revoke | RevokeDigests) and event.record.expires_at > self._now


def _is_as_of_itself(event: SignedEvent) -> bool:
    return isinstance(event.record, Revoke) and event.record.issued_before is None


def said_again(event: SignedEvent, past_every_token: float) -> Revoke | RevokeDigests:
    """The record that says a revocation again.

    One *as of its event* reaches further by its higher number, so it is kept as long as tokens of today live.
    """
    record = event.record
    if not isinstance(record, Revoke | RevokeDigests):
        raise TypeError(f"{record.type} is no revocation")
    end = max(record.expires_at, past_every_token) if _is_as_of_itself(event) else record.expires_at
    return msgspec.structs.replace(record, replaces=event.seq, expires_at=end)
