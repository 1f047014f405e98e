"""Which selector revocations hit a token, found by one probe for each member of an indexed claim."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any, Final

import msgspec

from events import Revoke
from events.selectors import ClaimValue, members_of
from events.sequence import MAX_SEQ

_PROBED_FIRST: Final = ("jti", "sid", "sub", "client_id", "tenant")
"""Claims that single out the fewest tokens, best first. Others follow, ``aud`` and ``scope`` last."""
_PROBED_LAST: Final = ("aud", "scope")
FEW_PROBES: Final = 3


class SelectorRevocation(msgspec.Struct, frozen=True, gc=False):
    """A revocation in force. There are many, and the garbage collector visits none of them.

    Attributes:
        seq: of the event.
        time: signed time of the event, seconds since the epoch.
        record: what it said.
    """

    seq: int
    time: float
    record: Revoke

    @property
    def until(self) -> float:
        """Tokens issued up to and including then are hit; never later than the event's own time."""
        cutoff = self.record.issued_before
        return self.time if cutoff is None else min(cutoff, self.time)

    def reaches(self, iat: float | None) -> bool:
        """Whether a token was issued early enough; one that does not say when it was issued always was."""
        return iat is None or iat <= self.until


class SelectorIndex:
    """Selector revocations about the tokens of one issuer, each kept by itself.

    One thread may change it while others look tokens up.
    """

    def __init__(self, *, own: bool) -> None:
        """Start empty.

        Args:
            own: whether it is about the event stream's own issuer, the only one whose tokens' ``rsq`` counts.
        """
        self._own = own
        self._revocations: dict[int, tuple[SelectorRevocation, str | None]] = {}
        self._everything = _NOTHING
        self._by_claim: dict[str, dict[Hashable, _Bucket]] = {}
        self._probes: tuple[tuple[str, dict[Hashable, _Bucket]], ...] = ()

    def __len__(self) -> int:
        return len(self._revocations)

    def __iter__(self) -> Iterator[SelectorRevocation]:
        return (revocation for revocation, _ in self._revocations.values())

    def get(self, seq: int) -> SelectorRevocation | None:
        """The one in force of this ``seq``."""
        revocation, _ = self._revocations.get(seq, (None, None))
        return revocation

    def copy(self) -> dict[int, tuple[SelectorRevocation, str | None]]:
        """What is in force now, by ``seq``, and the claim by which each is found."""
        return self._revocations.copy()

    def add(self, revocation: SelectorRevocation) -> None:
        """Put a revocation in force."""
        claims = revocation.record.selector.claims
        name = self._probed(claims)
        self._revocations[revocation.seq] = revocation, name
        if name is None:
            self._everything = self._everything.plus(revocation)
            return
        key = _key(claims[name])
        if name not in self._by_claim:
            self._probe({**self._by_claim, name: {}})
        buckets = self._by_claim[name]
        buckets[key] = buckets.get(key, _NOTHING).plus(revocation)

    def remove(self, seq: int) -> bool:
        """Take one out of force; whether it was there."""
        revocation, name = self._revocations.pop(seq, (None, None))
        if revocation is None:
            return False
        if name is None:
            self._everything = self._everything.minus(revocation) or _NOTHING
            return True
        buckets, key = self._by_claim[name], _key(revocation.record.selector.claims[name])
        buckets[key] = buckets[key].minus(revocation)
        if not buckets[key]:
            del buckets[key]
        if not buckets:
            self._probe({other: held for other, held in self._by_claim.items() if other != name})
        return True

    def find(self, claims: Mapping[str, Any], iat: float | None) -> SelectorRevocation | None:
        """A revocation that hits the token, or ``None``.

        *As of this event*: the token's ``rsq`` is lower than the event's ``seq``. A token without a usable ``rsq``
        falls back to time. *Issued before t*: ``iat <= t``, where ``t`` beyond the event's own time counts as that
        time.
        """
        probes: Iterable[tuple[str, dict[Hashable, _Bucket]]] = self._probes
        if len(self._probes) > FEW_PROBES:
            probes = self._probes_for(claims)
        for name, buckets in probes:
            value = claims.get(name)
            if value.__class__ is str and name != "scope":  # as nearly all are
                bucket = buckets.get(value)
                if bucket is not None and (hit := self._hit(bucket, claims, iat)):
                    return hit
            elif value is not None:
                for bucket in map(buckets.get, map(_key, members_of(name, value))):
                    if bucket is not None and (hit := self._hit(bucket, claims, iat)):
                        return hit
        everything = self._everything
        return None if everything is _NOTHING else self._hit(everything, claims, iat)

    def _probes_for(self, claims: Mapping[str, Any]) -> Iterable[tuple[str, dict[Hashable, "_Bucket"]]]:
        """Those whose claim the token has; looking that up for each costs more than it saves while they are few."""
        by_claim = self._by_claim
        return [(name, by_claim[name]) for name in claims.keys() & by_claim.keys()]

    def _hit(self, bucket: "_Bucket", claims: Mapping[str, Any], iat: float | None) -> SelectorRevocation | None:
        return bucket.first_hit(claims, _usable(claims.get("rsq")) if self._own else None, iat)

    def _probe(self, by_claim: dict[str, dict[Hashable, "_Bucket"]]) -> None:
        self._by_claim, self._probes = by_claim, tuple(by_claim.items())

    def _probed(self, claims: Mapping[str, ClaimValue]) -> str | None:
        """The claim by which a selector will be found: the one that has the fewest others to be tried with it."""
        if len(claims) == 1:
            return next(iter(claims))
        others = sorted(set(claims) - set(_PROBED_FIRST) - set(_PROBED_LAST))
        names = [name for name in (*_PROBED_FIRST, *others, *_PROBED_LAST) if name in claims]
        return min(names, key=lambda name: self._crowd(name, claims[name]), default=None)

    def _crowd(self, name: str, value: ClaimValue) -> int:
        bucket = self._by_claim.get(name, {}).get(_key(value))
        return 0 if bucket is None else len(bucket)


class _Bucket(msgspec.Struct, frozen=True, gc=False):
    """Revocations that are found together. Replaced, never changed: others may be reading it.

    Attributes:
        by_event: with a cutoff as of their event, newest first.
        by_time: with a cutoff by time.
    """

    by_event: tuple[SelectorRevocation, ...] = ()
    by_time: tuple[SelectorRevocation, ...] = ()

    def __len__(self) -> int:
        return len(self.by_event) + len(self.by_time)

    def plus(self, revocation: SelectorRevocation) -> "_Bucket":
        if revocation.record.issued_before is not None:
            return _Bucket(self.by_event, (revocation, *self.by_time))
        if not self.by_event or revocation.seq > self.by_event[0].seq:
            return _Bucket((revocation, *self.by_event), self.by_time)
        newest_first = sorted((revocation, *self.by_event), key=attrgetter("seq"), reverse=True)
        return _Bucket(tuple(newest_first), self.by_time)

    def minus(self, revocation: SelectorRevocation) -> "_Bucket":
        return _Bucket(
            tuple(other for other in self.by_event if other is not revocation),
            tuple(other for other in self.by_time if other is not revocation),
        )

    def first_hit(self, claims: Mapping[str, Any], rsq: int | None, iat: float | None) -> SelectorRevocation | None:
        for revocation in self.by_event:
            if rsq is not None and rsq >= revocation.seq:
                break  # as it is for all that follow, which are older
            if (rsq is not None or revocation.reaches(iat)) and revocation.record.selector.matches(claims):
                return revocation
        for revocation in self.by_time:
            if revocation.reaches(iat) and revocation.record.selector.matches(claims):
                return revocation
        return None


_NOTHING: Final = _Bucket()


def _usable(rsq: object) -> int | None:
    return rsq if isinstance(rsq, int) and not isinstance(rsq, bool) and 0 <= rsq <= MAX_SEQ else None


def _key(value: object) -> Hashable:
    """What equal values share, by JSON's equality: to Python ``1 == True``, to JSON it is not."""
    if isinstance(value, bool):
        return (value,)
    return value if isinstance(value, str | int | float) else None  # no selector names anything else
