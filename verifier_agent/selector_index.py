"""Which selector revocations hit a token, found by one probe for each member of an indexed claim."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from events import Revoke
from events.selectors import members
from events.sequence import MAX_SEQ

_PROBED_FIRST: Final = ("jti", "sid", "sub", "client_id", "tenant")
"""Claims that single out the fewest tokens, best first. Others follow, ``aud`` and ``scope`` last."""
_PROBED_LAST: Final = ("aud", "scope")

IndexKey = tuple[bool, object]
"""Whether the value is a boolean, and the value: to Python ``1 == True``, to JSON it is not."""


@dataclass(frozen=True, slots=True)
class SelectorRevocation:
    """A revocation in force.

    Attributes:
        seq: of the event.
        time: signed time of the event, seconds since the epoch.
        record: what it said.
        own: whether it is about tokens of the event stream's own issuer, whose ``rsq`` counts.
    """

    seq: int
    time: float
    record: Revoke
    own: bool

    def reaches(self, rsq: object, iat: float | None) -> bool:
        """Whether a token that the selector matches is older than the cutoff.

        *As of this event*: the token's ``rsq`` is lower than the event's ``seq``. A token without a usable ``rsq``
        falls back to time. *Issued before t*: ``iat <= t``, where ``t`` beyond the event's own time counts as that
        time. A token that does not say when it was issued is always older.
        """
        cutoff = self.record.issued_before
        if cutoff is None:
            if self.own and isinstance(rsq, int) and not isinstance(rsq, bool) and 0 <= rsq <= MAX_SEQ:
                return rsq < self.seq
            cutoff = self.time
        return iat is None or iat <= min(cutoff, self.time)


class SelectorIndex:
    """Selector revocations about the tokens of one issuer, each kept by itself."""

    def __init__(self) -> None:
        self._by_seq: dict[int, SelectorRevocation] = {}
        self._everything: dict[int, SelectorRevocation] = {}
        self._by_claim: dict[str, dict[IndexKey, dict[int, SelectorRevocation]]] = {}

    def __len__(self) -> int:
        return len(self._by_seq)

    def __iter__(self) -> Iterator[SelectorRevocation]:
        return iter(self._by_seq.values())

    def add(self, revocation: SelectorRevocation) -> None:
        """Put a revocation in force."""
        self._by_seq[revocation.seq] = revocation
        self._bucket(revocation)[revocation.seq] = revocation

    def remove(self, seq: int) -> bool:
        """Take one out of force; whether it was there."""
        revocation = self._by_seq.pop(seq, None)
        if revocation is None:
            return False
        bucket = self._bucket(revocation)
        del bucket[seq]
        if not bucket and not revocation.record.selector.everything:
            name, key = _place(revocation.record)
            del self._by_claim[name][key]
            if not self._by_claim[name]:
                del self._by_claim[name]
        return True

    def find(self, claims: Mapping[str, Any], iat: float | None) -> SelectorRevocation | None:
        """A revocation that hits the token, or ``None``."""
        rsq = claims.get("rsq")
        for revocation in self._candidates(claims):
            if revocation.reaches(rsq, iat) and revocation.record.selector.matches(claims):
                return revocation
        return None

    def _candidates(self, claims: Mapping[str, Any]) -> Iterator[SelectorRevocation]:
        yield from self._everything.values()
        for name, by_value in self._by_claim.items():
            for member in members(claims, name):
                if isinstance(member, str | int | float):
                    yield from by_value.get((isinstance(member, bool), member), {}).values()

    def _bucket(self, revocation: SelectorRevocation) -> dict[int, SelectorRevocation]:
        if revocation.record.selector.everything:
            return self._everything
        name, key = _place(revocation.record)
        return self._by_claim.setdefault(name, {}).setdefault(key, {})


def _place(record: Revoke) -> tuple[str, IndexKey]:
    """The claim that the record is found by, and the key of its value."""
    claims = record.selector.claims
    others = sorted(set(claims) - set(_PROBED_LAST))
    name = next(name for name in (*_PROBED_FIRST, *others, *_PROBED_LAST) if name in claims)
    value = claims[name]
    return name, (isinstance(value, bool), value)
