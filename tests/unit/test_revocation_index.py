"""What revokes a token, held against an implementation that is slow and obviously right."""

import gc
import sys
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import Lift, Revoke, RevokeDigests, Selector, TokenDigest
from events.digests import jti_digest, pack_digests
from events.sequence import MAX_SEQ
from tests.simulator import ISSUER
from verifier_agent.claims import Claims
from verifier_agent.keyring import VerifyingKey
from verifier_agent.revocations import RevocationIndex
from verifier_agent.verified_tokens import VerifiedToken

OTHER = "https://other.example"
DIGESTS = [TokenDigest(number) for number in range(9)]


@dataclass(frozen=True)
class Said:
    """One event, or what a test wants to have happened at a moment."""

    seq: int
    time: float
    record: Revoke | RevokeDigests | Lift


@dataclass
class Reference:
    """Looks at every event ever said, one after the other."""

    said: list[Said] = field(default_factory=list)
    now: float = 0.0

    def revokes(self, claims: dict[str, Any], digest: int) -> bool:
        lifted = {event.record.target for event in self.said if isinstance(event.record, Lift)}
        return any(
            event.seq not in lifted and event.record.expires_at > self.now and self._hits(event, claims, digest)
            for event in self.said
        )

    def _hits(self, event: Said, claims: dict[str, Any], digest: int) -> bool:
        record = event.record
        if isinstance(record, Lift):
            return False
        if isinstance(record, RevokeDigests):
            return digest.to_bytes(8, "big") in [record.digests[at : at + 8] for at in range(0, len(record.digests), 8)]
        if claims["iss"] != (record.selector.issuer or ISSUER):
            return False
        if not all(self._equal(value, claims, name) for name, value in record.selector.claims.items()):
            return False
        return self._older(event, record, claims)

    def _equal(self, value: object, claims: dict[str, Any], name: str) -> bool:
        found = claims.get(name)
        values = found if isinstance(found, list) else found.split() if name == "scope" and found else [found]
        return any(type(value) is type(member) and value == member for member in values)

    def _older(self, event: Said, record: Revoke, claims: dict[str, Any]) -> bool:
        rsq = claims.get("rsq")
        if record.issued_before is None and claims["iss"] == ISSUER and type(rsq) is int and 0 <= rsq <= MAX_SEQ:
            return rsq < event.seq
        cutoff = event.time if record.issued_before is None else min(record.issued_before, event.time)
        return "iat" not in claims or bool(claims["iat"] <= cutoff)


times = st.integers(0, 12).map(float)
values = st.sampled_from(["a", "b", 1, True])
selected = st.sampled_from(
    [{}, {"sub": "a"}, {"aud": "a"}, {"scope": "a"}, {"level": 1}, {"level": True}, {"sub": "a", "level": True}]
) | st.builds(
    lambda text, other: text | other,
    st.dictionaries(st.sampled_from(["sub", "aud"]), st.sampled_from("ab"), max_size=2),
    st.dictionaries(st.just("level"), values, max_size=1),
)
selectors = st.builds(
    lambda claims, issuer: Selector(claims=claims, issuer=issuer), selected, st.sampled_from([None, ISSUER, OTHER])
)
revocations = st.builds(
    lambda selector, cutoff, end: Revoke(selector=selector, issued_before=cutoff, expires_at=end),
    selectors,
    st.none() | times,
    times.map(lambda time: time + 4),
)
batches = st.builds(
    lambda digests, end: RevokeDigests(digests=pack_digests(digests), expires_at=end),
    st.sets(st.sampled_from(DIGESTS[:6]), min_size=1, max_size=2),
    times.map(lambda time: time + 4),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Said]:
    """Events in the order in which they arrive: any; each lift lives as long as what it takes back."""
    records = draw(st.lists(revocations | batches, max_size=8))
    said = [Said(seq, draw(times), record) for seq, record in enumerate(records, 1)]
    for target in [event for event in said if draw(st.integers(0, 3)) == 0]:
        lift = Lift(target=target.seq, expires_at=target.record.expires_at)
        said.append(Said(len(said) + 1, draw(times), lift))
    return draw(st.permutations(said))


members = values | st.lists(values, max_size=3)
rsqs = st.integers(-1, 9) | st.sampled_from([True, "3", 3.0, None, MAX_SEQ + 1, [3]])


@st.composite
def tokens(draw: st.DrawFn) -> dict[str, Any]:
    claims = draw(st.dictionaries(st.sampled_from(["aud", "level"]), members, max_size=2))
    strategies = {"sub": st.sampled_from("ab"), "scope": st.sampled_from(["a", "b a", "ab"]), "rsq": rsqs, "iat": times}
    for name, strategy in strategies.items():
        if draw(st.booleans()):
            claims[name] = draw(strategy)
    return claims | {"iss": draw(st.sampled_from([ISSUER, ISSUER, OTHER]))}


def as_claims(raw: dict[str, Any]) -> Claims:
    return Claims(
        iss=raw["iss"],
        sub=None,
        aud=(),
        exp=1e12,
        iat=raw.get("iat"),
        nbf=None,
        jti=raw.get("jti"),
        client_id=None,
        scope=frozenset(),
        raw=raw,
    )


def revoking(index: RevocationIndex, claims: Claims, digest: TokenDigest) -> str | None:
    """What revokes a token of which only the claims and the digest matter."""
    nobody = cast("VerifyingKey", None)
    return index.find("not looked at", VerifiedToken(claims, nobody, digest, (), 0.0, claims.exp))


def tell(index: RevocationIndex, event: Said) -> None:
    match event.record:
        case Revoke():
            index.revoke(event.seq, event.time, event.record)
        case RevokeDigests():
            index.revoke_digests(event.seq, event.record)
        case Lift():
            index.lift(event.record)


@given(histories(), st.lists(tokens(), min_size=1, max_size=8), st.lists(times, max_size=3))
def test_the_index_finds_what_looking_at_every_event_finds(
    said: list[Said], claims: list[dict[str, Any]], forgotten_at: list[float]
) -> None:
    index, reference = RevocationIndex(ISSUER), Reference()
    moments = iter(forgotten_at)
    for position, event in enumerate(said):
        tell(index, event)
        reference.said.append(event)
        if position % 3 == 2:
            reference.now = max(reference.now, next(moments, 0.0))
        index.forget(reference.now)
        for digest, token in zip(DIGESTS, claims, strict=False):
            found = revoking(index, as_claims(token), digest)
            assert (found is not None) == reference.revokes(token, digest), token


@given(histories())
def test_everything_is_forgotten_in_the_end(said: list[Said]) -> None:
    index = RevocationIndex(ISSUER)
    for event in said:
        tell(index, event)
    index.forget(1e12)

    assert index.dump() == RevocationIndex(ISSUER).dump()
    assert (index.selectors, index.digests) == (0, 0)


@given(histories(), st.randoms())
def test_the_order_of_arrival_leaves_no_trace(said: list[Said], random: Any) -> None:
    one, other = RevocationIndex(ISSUER), RevocationIndex(ISSUER)
    for event in said:
        tell(one, event)
    shuffled = list(said)
    random.shuffle(shuffled)
    for event in shuffled:
        tell(other, event)

    assert one.dump() == other.dump()


@given(histories(), st.integers(0, 8))
def test_a_restored_index_is_the_same(said: list[Said], cut: int) -> None:
    index, restored = RevocationIndex(ISSUER), RevocationIndex(ISSUER)
    for event in said[:cut]:
        tell(index, event)
    restored.restore(index.dump())
    assert restored.dump() == index.dump()

    restored.restore(index.dump())
    for event in said[cut:]:
        tell(index, event)
        tell(restored, event)
    index.forget(8.0)
    restored.forget(8.0)
    assert restored.dump() == index.dump()


@pytest.mark.parametrize(("issuer", "revoked"), [(ISSUER, False), (OTHER, True)])
def test_rsq_counts_in_tokens_of_our_own_issuer_alone(issuer: str, revoked: bool) -> None:
    index = RevocationIndex(ISSUER)
    index.revoke(5, 10.0, Revoke(selector=Selector(issuer=issuer), expires_at=50.0))
    token = as_claims({"iss": issuer, "rsq": 9, "iat": 3.0})

    assert (revoking(index, token, DIGESTS[0]) is not None) is revoked


def test_a_lift_counts_for_as_long_as_the_longest_said_of_it() -> None:
    index = RevocationIndex(ISSUER)
    for expires_at in (50.0, 20.0):
        index.lift(Lift(target=1, expires_at=expires_at))
    index.forget(30.0)
    index.revoke(1, 1.0, Revoke(selector=Selector(), expires_at=50.0))

    assert index.selectors == 0


def test_however_much_is_in_force_the_garbage_collector_has_no_more_to_do() -> None:
    index = RevocationIndex(ISSUER)
    for_each_selector = 1 if sys.version_info >= (3, 14) else 0  # the dictionary of its claims
    try:
        for seq in range(1, 2003):
            if seq == 3:  # both shapes have been there
                gc.freeze()
            record: Revoke | RevokeDigests = Revoke(selector=Selector.of(sub=f"user-{seq}"), expires_at=50.0)
            if seq % 2:
                record = RevokeDigests(digests=pack_digests([jti_digest(f"jti-{seq}")]), expires_at=50.0)
            tell(index, Said(seq, 1.0, msgspec.json.decode(msgspec.json.encode(record), type=type(record))))
        gc.collect()

        assert len(gc.get_objects()) < 100 + 1000 * for_each_selector
    finally:
        gc.unfreeze()


def test_a_digest_stays_revoked_while_one_batch_holds_it() -> None:
    index = RevocationIndex(ISSUER)
    digest, claims = DIGESTS[0], as_claims({"iss": ISSUER})
    for seq in (1, 2):
        index.revoke_digests(seq, RevokeDigests(digests=pack_digests([digest]), expires_at=50.0))

    index.lift(Lift(target=1, expires_at=50.0))
    assert revoking(index, claims, digest)
    index.lift(Lift(target=2, expires_at=50.0))
    assert not revoking(index, claims, digest)


def test_a_token_is_found_by_the_digest_of_its_jti() -> None:
    index = RevocationIndex(ISSUER)
    index.revoke_digests(1, RevokeDigests(digests=pack_digests([jti_digest("this")]), expires_at=50.0))

    assert revoking(index, as_claims({"iss": ISSUER, "jti": "this"}), DIGESTS[0])
    assert not revoking(index, as_claims({"iss": ISSUER, "jti": "that"}), DIGESTS[0])
    assert not revoking(index, as_claims({"iss": ISSUER}), DIGESTS[0])


def test_what_revokes_is_told_by_the_names_of_claims_alone() -> None:
    index = RevocationIndex(ISSUER)
    index.revoke(5, 1.0, Revoke(selector=Selector.of(sub="alice", tenant="acme"), expires_at=50.0))
    claims = as_claims({"iss": ISSUER, "sub": "alice", "tenant": "acme"})

    assert revoking(index, claims, DIGESTS[0]) == "by a selector on ['sub', 'tenant']"


def test_a_value_that_many_selectors_share_is_not_what_they_are_found_by() -> None:
    index = RevocationIndex(ISSUER)
    for seq in range(1, 100):
        index.revoke(seq, 1.0, Revoke(selector=Selector.of(tenant="acme", role=f"role-{seq}"), expires_at=50.0))

    assert max(map(len, index._selectors[ISSUER]._by_claim["tenant"].values())) == 1
    for role, hit in [("role-1", True), ("role-99", True), ("role-100", False)]:
        assert bool(revoking(index, as_claims({"iss": ISSUER, "tenant": "acme", "role": role}), DIGESTS[0])) is hit


def test_nothing_is_left_behind_by_what_was_lifted() -> None:
    index = RevocationIndex(ISSUER)
    for seq in range(1, 20):
        index.revoke(seq, 1.0, Revoke(selector=Selector.of(sub=f"user-{seq}"), expires_at=50.0))
        index.lift(Lift(target=seq, expires_at=50.0))

    assert index.selectors == 0
    assert not index._selectors[ISSUER]._by_claim


def test_revocations_that_arrive_out_of_order_hide_none_behind_an_older_one() -> None:
    index = RevocationIndex(ISSUER)
    for seq in (10, 5, 20, 7):
        index.revoke(seq, 1.0, Revoke(selector=Selector.of(sub="alice"), expires_at=50.0))

    for rsq, revoked in [(0, True), (5, True), (7, True), (10, True), (19, True), (20, False)]:
        assert bool(revoking(index, as_claims({"iss": ISSUER, "sub": "alice", "rsq": rsq}), DIGESTS[0])) is revoked


def test_what_is_restored_twice_is_lifted_once() -> None:
    index = RevocationIndex(ISSUER)
    index.revoke(1, 1.0, Revoke(selector=Selector.of(sub="alice"), expires_at=50.0))
    index.revoke_digests(2, RevokeDigests(digests=pack_digests([DIGESTS[0]]), expires_at=50.0))
    for _ in range(2):
        index.restore(index.dump())
    assert (index.selectors, index.digests) == (1, 1)

    for target in (1, 2):
        index.lift(Lift(target=target, expires_at=50.0))
    assert (index.selectors, index.digests) == (0, 0)
    assert not revoking(index, as_claims({"iss": ISSUER, "sub": "alice"}), DIGESTS[0])
    assert not index.freeze().digest_expiry


@pytest.mark.parametrize(
    "record",
    [
        Revoke(selector=Selector.of(sub="alice"), expires_at=50.0),
        Revoke(selector=Selector(), expires_at=50.0),
        RevokeDigests(digests=pack_digests([DIGESTS[0]]), expires_at=50.0),
    ],
)
def test_what_takes_the_place_of_another_is_kept_to_its_own_end(record: Revoke | RevokeDigests) -> None:
    """As after a theft, where the thief's word of a number was heard before the issuer's."""
    for earlier, later in ((10.0, 50.0), (50.0, 10.0)):
        index = RevocationIndex(ISSUER)
        tell(index, Said(1, 1.0, msgspec.structs.replace(record, expires_at=earlier)))
        tell(index, Said(1, 1.0, msgspec.structs.replace(record, expires_at=later)))

        assert [index.forget(time) for time in (later - 1.0, later, 99.0)] == [False, True, False]


@pytest.mark.parametrize(
    "record",
    [
        Revoke(selector=Selector.of(sub="alice"), expires_at=50.0),
        Revoke(selector=Selector(), expires_at=50.0),
        RevokeDigests(digests=pack_digests([DIGESTS[0]]), expires_at=50.0),
    ],
)
def test_whether_anything_was_forgotten_is_told(record: Revoke | RevokeDigests) -> None:
    index = RevocationIndex(ISSUER)
    tell(index, Said(1, 1.0, record))

    assert [index.forget(time) for time in (49.0, 50.0, 51.0)] == [False, True, False]


@pytest.mark.parametrize(
    ("rsq", "revoked"), [(0, True), (4, True), (5, False), (MAX_SEQ, False), (MAX_SEQ + 1, False), (True, False)]
)
def test_a_usable_rsq_decides_whatever_the_clocks_said(rsq: int, revoked: bool) -> None:
    index = RevocationIndex(ISSUER)
    index.revoke(5, 10.0, Revoke(selector=Selector.of(sub="alice"), expires_at=50.0))

    late = as_claims({"iss": ISSUER, "sub": "alice", "rsq": rsq, "iat": 11.0})
    assert bool(revoking(index, late, DIGESTS[0])) is revoked


@pytest.mark.parametrize(("rsq", "revoked"), [(4, True), (5, False), (MAX_SEQ, False), (MAX_SEQ + 1, True)])
def test_an_rsq_that_cannot_be_leaves_it_to_the_clocks(rsq: int, revoked: bool) -> None:
    index = RevocationIndex(ISSUER)
    index.revoke(5, 10.0, Revoke(selector=Selector.of(sub="alice"), expires_at=50.0))

    early = as_claims({"iss": ISSUER, "sub": "alice", "rsq": rsq, "iat": 3.0})
    assert bool(revoking(index, early, DIGESTS[0])) is revoked


def test_a_cutoff_by_time_asks_for_every_claim_of_its_selector() -> None:
    index = RevocationIndex(ISSUER)
    selector = Selector.of(sub="alice", tenant="acme")
    index.revoke(5, 10.0, Revoke(selector=selector, expires_at=50.0, issued_before=9.0))

    for tenant, revoked in [("acme", True), ("other", False)]:
        claims = as_claims({"iss": ISSUER, "sub": "alice", "tenant": tenant, "iat": 9.0})
        assert bool(revoking(index, claims, DIGESTS[0])) is revoked
