"""What is revoked at one issuer: selectors and digests in force, lifts, and when each may be forgotten.

Every revocation is kept by itself, so overlapping ones never weaken each other, in whatever order they arrive; a lift
removes exactly one, also when it arrives first.
"""

import heapq
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter

import msgspec

from events import Lift, Revoke, RevokeDigests
from events.digests import token_digest, unpack_digests
from verifier_agent.digest_index import DigestIndex, KeptBatch, packed
from verifier_agent.selector_index import SelectorIndex, SelectorRevocation
from verifier_agent.verified_tokens import VerifiedToken


class RevocationIndex:
    """Revocations known from the event stream of ``issuer``."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._selectors: dict[str, SelectorIndex] = {}
        self._digests = DigestIndex()
        self._lifted: dict[int, float] = {}
        self._expiries: list[tuple[float, int]] = []
        self._digest_expiry: dict[int, float] = {}

    def revoke(self, seq: int, time: float, record: Revoke) -> None:
        """Put a selector revocation in force, unless it has been lifted already."""
        if seq in self._lifted or self._holds_same(seq, record):
            return
        self._remove(seq)
        about = record.selector.issuer or self._issuer
        if about not in self._selectors:
            self._selectors[about] = SelectorIndex(own=about == self._issuer)
        self._selectors[about].add(SelectorRevocation(seq, time, record))
        heapq.heappush(self._expiries, (record.expires_at, seq))

    def revoke_digests(self, seq: int, record: RevokeDigests) -> None:
        """Put a batch of digests in force, unless it has been lifted already.

        Raises:
            ValueError: the batch is not a sorted packed one.
        """
        digests = record.unpacked[:]  # others have it too, and one of a batch is told from that of another as an object
        if seq in self._lifted or (
            self._digests.packed(seq) == record.digests and self._digest_expiry[seq] == record.expires_at
        ):
            return
        self._remove(seq)
        self._hold(seq, record.expires_at, digests)

    def lift(self, record: Lift) -> None:
        """Take exactly one revocation out of force, now or when it arrives."""
        self._lifted[record.target] = max(record.expires_at, self._lifted.get(record.target, record.expires_at))
        self._remove(record.target)
        heapq.heappush(self._expiries, (record.expires_at, record.target))

    def replace(self, record: Revoke | RevokeDigests) -> None:
        """Take out of force what the record has said again, unless something else has that ``seq`` here."""
        if self._says_otherwise(record):
            return
        self.lift(Lift(target=record.replaces, expires_at=record.expires_at))

    def _says_otherwise(self, record: Revoke | RevokeDigests) -> bool:
        batch = self._digests.packed(record.replaces)
        if batch is not None:
            return not isinstance(record, RevokeDigests) or batch != record.digests
        held = self._selector(record.replaces)
        if held is None:
            return False
        same = isinstance(record, Revoke) and held.record.selector == record.selector
        return not same or held.record.issued_before != getattr(record, "issued_before", None)

    def forget(self, issuer_time: float) -> bool:
        """Drop what no token can be hit by any more; whether there was any.

        Args:
            issuer_time: seconds since the epoch by the issuer's events, never by the agent's clock.
        """
        forgotten = False
        while self._expiries and self._expiries[0][0] <= issuer_time:
            expires_at, seq = heapq.heappop(self._expiries)
            if self._ends(seq) <= issuer_time:  # else another has taken the place of the one whose end this was
                forgotten |= self._remove(seq)
            if self._lifted.get(seq, issuer_time + 1) <= expires_at:
                del self._lifted[seq]
        return forgotten

    def doubt(self, above: int) -> None:
        """Let go of all that was said above a ``seq``, and of every lift; what else is in force stays in force.

        Whoever hears the same events again ends up with what they say, and nothing is out of force meanwhile that they
        put in force.
        """
        held = self.dump()
        fresh = RevocationIndex(self._issuer)
        fresh.restore(
            RevocationState(
                selectors=[row for row in held.selectors if row[0] <= above],
                digests=[row for row in held.digests if row[0] <= above],
                lifted=[],
            )
        )
        self._selectors, self._digests = fresh._selectors, fresh._digests  # others may be looking
        self._lifted, self._expiries, self._digest_expiry = fresh._lifted, fresh._expiries, fresh._digest_expiry

    @property
    def is_settled(self) -> bool:
        """Whether ``settle`` would find nothing to do."""
        return self._digests.is_settled

    @property
    def is_crowded(self) -> bool:
        """Whether so much waits for ``settle`` that it should be done before anything else is applied."""
        return self._digests.is_crowded

    def settle(self) -> bool:
        """Do about a millisecond of what a mass revocation has left to do; whether there may be more."""
        return self._digests.settle()

    def find(self, token: str, known: VerifiedToken) -> str | None:
        """What revokes a token, in words for the operator's log, or ``None``.

        Args:
            token: its text.
            known: what has been found out about it; takes the digest up if that is missing and needed.
        """
        claims = known.claims
        if self._digest_expiry:
            digest = known.digest
            if digest is None:
                digest = known.digest = token_digest(token)
            if self._digests.holds_token(digest, claims.jti):
                return "by the digest of the token or of its jti"
        index = self._selectors.get(claims.iss)
        hit = None if index is None else index.find(claims.raw, claims.iat)
        return None if hit is None else f"by a selector on {sorted(hit.record.selector.claims) or 'everything'}"

    @property
    def selectors(self) -> int:
        """Selector revocations in force."""
        return sum(map(len, self._selectors.values()))

    @property
    def digests(self) -> int:
        """Digests in force."""
        return len(self._digests)

    def freeze(self) -> "FrozenRevocations":
        """What is in force now, in a millisecond or two however much it is."""
        selectors = tuple(index.copy() for index in self._selectors.values())
        return FrozenRevocations(selectors, dict(self._digests), self._digest_expiry.copy(), self._lifted.copy())

    def dump(self) -> "RevocationState":
        """A copy to keep."""
        frozen = self.freeze()
        return RevocationState(
            selectors=list(frozen.selector_rows()),
            digests=list(frozen.digest_rows()),
            lifted=list(frozen.lifted_rows()),
        )

    def restore(self, state: "RevocationState") -> None:
        """Merge what ``dump`` described; what is in force here stays in force, but for lifts in it.

        Raises:
            ValueError: it holds a batch that is not a sorted packed one; nothing of it is in force then.
        """
        batches = [(seq, expires_at, unpack_digests(packed)) for seq, expires_at, packed in state.digests]
        for target, expires_at in state.lifted:
            self.lift(Lift(target=target, expires_at=expires_at))
        known = {entry.seq for entry in self._all_selectors()} | set(self._digest_expiry)
        for seq, time, record in state.selectors:
            if seq not in known:
                self.revoke(seq, time, record)
        for seq, expires_at, digests in batches:
            if seq not in known and seq not in self._lifted:
                self._hold(seq, expires_at, digests)

    def _holds_same(self, seq: int, record: Revoke) -> bool:
        held = self._selector(seq)
        return held is not None and held.record == record

    def _selector(self, seq: int) -> SelectorRevocation | None:
        return next(filter(None, (index.get(seq) for index in self._selectors.values())), None)

    def _ends(self, seq: int) -> float:
        """When what is held under a ``seq`` ends; long ago if there is nothing."""
        held = self._selector(seq)
        return self._digest_expiry.get(seq, 0.0) if held is None else held.record.expires_at

    def _all_selectors(self) -> Iterator[SelectorRevocation]:
        for index in self._selectors.values():
            yield from index

    def _hold(self, seq: int, expires_at: float, digests: "array[int]") -> None:
        self._digests.add(seq, digests)
        self._digest_expiry[seq] = expires_at
        heapq.heappush(self._expiries, (expires_at, seq))

    def _remove(self, seq: int) -> bool:
        if self._digests.remove(seq):
            del self._digest_expiry[seq]
            return True
        return any(index.remove(seq) for index in self._selectors.values())


SelectorRow = tuple[int, float, Revoke]
DigestRow = tuple[int, float, bytes]
LiftedRow = tuple[int, float]


@dataclass(frozen=True, slots=True)
class FrozenRevocations:
    """A ``RevocationIndex`` as it was at one moment; what is written of it may be written slowly.

    Attributes:
        selectors: by ``seq``, of each issuer.
        digests: batches, by ``seq``.
        digest_expiry: of each batch.
        lifted: ``seq`` of what was lifted, and when that may be forgotten.
    """

    selectors: tuple[dict[int, tuple[SelectorRevocation, str | None]], ...]
    digests: dict[int, KeptBatch]
    digest_expiry: dict[int, float]
    lifted: dict[int, float]

    def selector_rows(self) -> Iterator[SelectorRow]:
        """In the order of their numbers, as the others are."""
        for revocation in heapq.merge(*map(_ordered, self.selectors), key=attrgetter("seq")):
            yield revocation.seq, revocation.time, revocation.record

    def digest_rows(self) -> Iterator[DigestRow]:
        """Packed again."""
        return ((seq, self.digest_expiry[seq], packed(self.digests[seq])) for seq in sorted(self.digests))

    def lifted_rows(self) -> Iterator[LiftedRow]:
        """Targets of lifts."""
        return ((seq, self.lifted[seq]) for seq in sorted(self.lifted))


def _ordered(selectors: Mapping[int, tuple[SelectorRevocation, str | None]]) -> Iterator[SelectorRevocation]:
    return (selectors[seq][0] for seq in sorted(selectors))


class RevocationState(msgspec.Struct, frozen=True, kw_only=True):
    """``RevocationIndex`` as plain values."""

    selectors: list[SelectorRow]
    digests: list[DigestRow]
    lifted: list[LiftedRow]
