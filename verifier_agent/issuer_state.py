"""Everything known of one issuer, as its signed events have told it. No I/O and no clock."""

from collections.abc import Iterator
from enum import StrEnum

from events import (
    Baseline,
    EventRefused,
    Heartbeat,
    KeySet,
    Lift,
    RefusalCode,
    Revoke,
    RevokeDigests,
    Stream,
    StreamSequence,
    Succession,
    VerifiedEvent,
)
from events.records import MAX_SKEW
from events.sequence import Arrival
from events.streams import SEQUENCED
from verifier_agent import snapshot
from verifier_agent.errors import SnapshotCode, SnapshotInvalid
from verifier_agent.freshness import Freshness
from verifier_agent.keyring import Keyring
from verifier_agent.revocations import RevocationIndex
from verifier_agent.snapshot import SNAPSHOT_VERSION, SnapshotHead


class Outcome(StrEnum):
    """What became of an event."""

    APPLIED = "applied"
    KNOWN = "known"


class IssuerState:
    """Keys, revocations, sequences and freshness of one issuer.

    Attributes:
        epoch: grows with every change that can alter a verdict; verdicts kept from an earlier epoch are looked at
            again.
        issuer_time: time of the newest heartbeat, seconds since the epoch; forgetting goes by it. The times of other
            events do not count: the issuer sends no heartbeat while its clock leaps, but goes on revoking.
        generation: of the event key that signs, see ``events.event_keys.Link``.
        key_fork: which event key was succeeded twice, in words; nothing is complete then.
        begun_anew: how often all had to be heard again, as the event key may have been in other hands.
        is_source: whether it is fed by the store that decided all of it, so that nothing in it can be doubted.
    """

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.keys = Keyring()
        self.revocations = RevocationIndex(issuer)
        self.freshness = Freshness()
        self.sequences: dict[Stream, StreamSequence] = {stream: StreamSequence() for stream in SEQUENCED}
        self.epoch = 0
        self.issuer_time = 0.0
        self.generation = 0
        self.key_fork: str | None = None
        self.begun_anew = 0
        self.is_source = False
        self._newest_beat = 0

    def apply(self, event: VerifiedEvent, received: float) -> Outcome:
        """Let an event take effect, at once and whatever the order; it takes effect once.

        Args:
            event: opened with this issuer's pinned keys.
            received: boot-time clock in seconds; only freshness is told it.

        Raises:
            EventRefused: ``forked``, ``rolled_back`` or ``bad_record``.
        """
        if isinstance(event.record, Heartbeat):
            return self._beat(event.seq, event.record, received)
        sequence = self.sequences.get(event.stream)
        if sequence is None:
            raise EventRefused(RefusalCode.WRONG_STREAM, f"agents do not apply events of {event.stream}")
        if event.has_ended and event.stream is Stream.KEYS and not isinstance(event.record, Succession):
            return Outcome.KNOWN  # its successor has said the whole set with its first event, and the floor is there
        arrival = sequence.judge(event.seq, event.digest)
        if arrival is Arrival.FORKED:
            raise EventRefused(RefusalCode.FORKED, sequence.fork or "")
        if event.has_ended and arrival is Arrival.KNOWN:
            return Outcome.KNOWN  # nothing more is learnt from a key that may be in anybody's hands by now
        follows, follows_digest = _followed(event, sequence)
        if arrival is Arrival.NEW or isinstance(event.record, KeySet):
            self._take(event)  # a key set that has been overtaken may still name a revoked key
        # Recorded also when it is known by the floor alone, so that the state does not depend on the order.
        sequence.record(event.seq, event.digest, event.time, follows, follows_digest)
        self._forget()
        if arrival is Arrival.KNOWN:
            return Outcome.KNOWN
        self.freshness.settle(self.complete)
        return Outcome.APPLIED

    def succeed(self, succession: Succession) -> bool:
        """Go on with the next event key; whether what the one before has said is to be heard again.

        That is so when it was in other hands, by the word of who ended it, or when we have heard something of it that
        lies beyond its end. Nothing that it said up to there ceases to be revoked meanwhile; but no token is good
        before the new key has said which token keys there are.
        """
        self.generation += 1
        if self.is_source or not (succession.stolen or self._has_heard_beyond(succession)):
            return False
        self.revocations.doubt(succession.ends[Stream.REVOCATIONS])
        self.keys, self.freshness = Keyring(), Freshness()
        self.sequences = {stream: StreamSequence() for stream in SEQUENCED}
        self.issuer_time, self._newest_beat = 0.0, 0
        self.begun_anew += 1
        self.epoch += 1
        return True

    def _has_heard_beyond(self, succession: Succession) -> bool:
        ends = succession.ends
        beyond = any(sequence.highest > ends[stream] for stream, sequence in self.sequences.items())
        return (
            beyond
            or self._newest_beat > ends[Stream.HEARTBEATS]
            or self.issuer_time > succession.time + MAX_SKEW  # revocations have been forgotten by it
        )

    def observe(self, heartbeat: Heartbeat, received: float) -> None:
        """Take note of heads that we have read ourselves, as the issuer does from its own store."""
        for stream, head in heartbeat.heads.items():
            sequence = next((known for name, known in self.sequences.items() if name == stream), None)
            if sequence is not None:
                sequence.advance_floor(head.floor)
                sequence.check_head(head, heartbeat.time)
        self._pass_time(heartbeat.time)
        self.freshness.heard(heartbeat, received)
        self.freshness.settle(self.complete)

    def complete(self, heartbeat: Heartbeat) -> bool:
        """Whether everything that the heartbeat speaks of has been applied, and nothing contradicts it."""
        if self.key_fork is not None:
            return False
        for stream in SEQUENCED:
            head, sequence = heartbeat.heads.get(stream), self.sequences[stream]
            if head is None or sequence.fork is not None or sequence.holes(head):
                return False
        return True

    def holes(self) -> dict[Stream, list[tuple[int, int]]]:
        """What is missing by the newest heartbeat, for each stream that misses something."""
        newest = self.freshness.newest
        if newest is None:
            return {}
        found = {
            stream: self.sequences[stream].holes(newest.heads[stream]) for stream in SEQUENCED if stream in newest.heads
        }
        return {stream: holes for stream, holes in found.items() if holes}

    def forks(self) -> list[str]:
        """What contradicts what, in words, for each stream that forked, and for the event keys."""
        forked = [f"{stream}: {sequence.fork}" for stream, sequence in self.sequences.items() if sequence.fork]
        return [*forked, f"event keys: {self.key_fork}"] if self.key_fork else forked

    def dump(self) -> bytes:
        """The state as bytes: keys, revocations and sequences, without freshness. The same state, the same bytes."""
        return b"".join(self.dump_slowly())

    def dump_slowly(self) -> Iterator[bytes]:
        """The bytes of ``dump`` piece by piece, all of the moment of this call, whatever is applied since."""
        head = SnapshotHead(
            version=SNAPSHOT_VERSION,
            issuer=self.issuer,
            issuer_time=self.issuer_time,
            newest_beat=self._newest_beat,
            key_seq=self.keys.seq,
            keys=KeySet(keys=self.keys.published),
            revoked_keys=sorted(self.keys.revoked),
            sequences={str(stream): sequence.dump() for stream, sequence in self.sequences.items()},
        )
        return snapshot.pieces(head, self.revocations.freeze())

    def restore(self, dumped: bytes | memoryview) -> None:
        """Take over what ``dump`` wrote. Into a state that knows something already, it is merged by adding alone.

        Raises:
            SnapshotInvalid: it is not one of this version, or another issuer's; nothing of it is taken over then.
        """
        state = snapshot.read(dumped, self.issuer)
        try:
            for kept in state.sequences.values():  # what is wrong with one is told before anything is taken over
                StreamSequence().merge(kept)
            self.revocations.restore(state.revocations)
        except ValueError as error:
            raise SnapshotInvalid(SnapshotCode.MALFORMED, f"this is no snapshot: {error}") from error
        for stream, sequence in self.sequences.items():  # last: what counts as applied must be in force
            if stream in state.sequences:
                sequence.merge(state.sequences[stream])
        self.keys.restore(state.key_seq, state.keys, frozenset(state.revoked_keys))
        self._newest_beat = max(self._newest_beat, state.newest_beat)
        self._pass_time(state.issuer_time)
        self.epoch += 1

    def recall(self, seq: int, heartbeat: Heartbeat, received: float) -> None:
        """Take what a seal says as the heartbeat that it is, unless a newer one has been heard."""
        if seq > self._newest_beat:
            self._newest_beat = seq
            self.observe(heartbeat, received)

    def _take(self, event: VerifiedEvent) -> None:
        """The effect of a record."""
        record = event.record
        if isinstance(record, KeySet):
            self.keys.apply(event.seq, record)
        elif isinstance(record, Revoke):
            self.revocations.revoke(event.seq, event.time, record)
        elif isinstance(record, RevokeDigests):
            try:
                self.revocations.revoke_digests(event.seq, record)
            except ValueError as error:
                raise EventRefused(RefusalCode.BAD_RECORD, str(error)) from error
        elif isinstance(record, Lift):
            self.revocations.lift(record)
        else:
            return  # a baseline, or a type that need not be understood
        if isinstance(record, Revoke | RevokeDigests) and record.replaces:
            self.revocations.replace(record)  # after it is in force itself
        self.epoch += 1

    def _beat(self, seq: int, heartbeat: Heartbeat, received: float) -> Outcome:
        if seq < self._newest_beat:
            raise EventRefused(RefusalCode.ROLLED_BACK, "a newer heartbeat has been heard already")
        if seq == self._newest_beat:  # a log that was opened anew begins with it
            return Outcome.KNOWN
        self._newest_beat = seq
        self.observe(heartbeat, received)
        return Outcome.APPLIED

    def _pass_time(self, time: float) -> None:
        self.issuer_time = max(self.issuer_time, time)
        self._forget()

    def _forget(self) -> None:
        if self.revocations.forget(self.issuer_time):  # also when what has just come is past already
            self.epoch += 1


def _followed(event: VerifiedEvent, sequence: StreamSequence) -> tuple[int | None, str]:
    """For a baseline what it follows, and the digest of that; it must come before, and be what was applied.

    What was applied above it is abandoned: it stays in force, and contradicts nothing any more.
    """
    record = event.record
    if not isinstance(record, Baseline) or sequence.is_abandoned(event.seq):
        return None, ""
    if not 0 <= record.follows < event.seq:
        raise EventRefused(RefusalCode.BAD_RECORD, "a baseline follows what comes before it")
    if record.follows_digest and sequence.judge(record.follows, record.follows_digest) is Arrival.FORKED:
        raise EventRefused(RefusalCode.FORKED, sequence.fork or "")
    return record.follows, record.follows_digest
