"""Ways around a revocation, most of which worked somewhere once."""

from itertools import permutations
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from events import Selector, pack
from tests.security.forging import AgentsListener
from tests.simulator import HOUR, NOON, IssuerSimulator, Listener, b64, unb64
from verifier_agent import RejectionCode

ALICE = Selector.of(sub="alice")
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
BAD_RSQ = [True, "1099511627999", 1099511627999.0, -1, 2**53, 10**30, None, [5], {}]
ids = str


@pytest.fixture(params=[Listener, AgentsListener])
def listener(request: pytest.FixtureRequest, issuer: IssuerSimulator) -> Listener:
    """The verifier under attack, asked in either of the two ways."""
    kind: type[Listener] = request.param
    return kind.caught_up(issuer)


def twin_of(token: str) -> str:
    """The same token under the other valid ECDSA signature."""
    signing_input, _, signature = token.rpartition(".")
    r, s = unb64(signature)[:32], int.from_bytes(unb64(signature)[32:], "big")
    return f"{signing_input}.{b64(r + (P256_ORDER - s).to_bytes(32, 'big'))}"


def test_ecdsa_twin_of_a_revoked_token(issuer: IssuerSimulator, listener: Listener) -> None:
    token = issuer.token()
    twin = twin_of(token)
    assert listener.rejection(twin) is None  # its signature is good
    r, s = (int.from_bytes(unb64(twin.split(".")[2])[part], "big") for part in (slice(32), slice(32, 64)))
    issuer.key.private.public_key().verify(
        encode_dss_signature(r, s), twin.rpartition(".")[0].encode(), ECDSA(SHA256())
    )

    listener.hear(issuer.revoke_tokens(token))

    assert [listener.rejection(spelled) for spelled in (token, twin)] == [RejectionCode.REVOKED] * 2
    assert Listener.caught_up(issuer).rejection(twin) is RejectionCode.REVOKED


def test_token_verified_before_its_revocation(issuer: IssuerSimulator, listener: Listener) -> None:
    token, twin = (spelled := issuer.token()), twin_of(spelled)
    for text in (token, twin):
        listener.verify(text)
    listener.hear(issuer.revoke(ALICE))

    for text in (token, twin):
        assert listener.rejection(text) is RejectionCode.REVOKED
    assert len(listener.verifier.verified) == 0


# -- overlapping revocations


def decided(issuer: IssuerSimulator, cutoffs: tuple[float | None, ...]) -> list[Any]:
    events = []
    for cutoff in cutoffs:
        issuer.clock.advance(10)
        events.append(issuer.revoke(ALICE, issued_before=cutoff))
    return events


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=ids)
def test_overlapping_revocations_do_not_weaken_each_other(order: tuple[int, ...]) -> None:
    issuer = IssuerSimulator()
    token = issuer.token(exp=int(NOON) + 5000)
    narrow = issuer.revoke(Selector.of(sub="alice", client_id="mobile"))
    wide = issuer.revoke(ALICE)
    everything = issuer.revoke(Selector(), issued_before=NOON - 1)
    listener = Listener.caught_up(issuer)
    fresh = Listener(issuer)
    fresh.hear(*issuer.said[:3], *[(narrow, wide, everything)[index] for index in order], issuer.beat())

    assert listener.rejection(token) is fresh.rejection(token) is RejectionCode.REVOKED


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=ids)
def test_later_revocation_with_an_older_cutoff(order: tuple[int, ...]) -> None:
    issuer = IssuerSimulator()
    token = issuer.token(iat=int(NOON) - 5, rsq=None)
    events = decided(issuer, (NOON, NOON - 100, NOON - 1000))
    listener = Listener(issuer)
    listener.hear(*issuer.said[:3], *[events[index] for index in order], issuer.beat())

    assert listener.rejection(token) is RejectionCode.REVOKED


def test_revocation_with_a_shorter_life_ends_the_longer_one(issuer: IssuerSimulator) -> None:
    token = issuer.token(exp=int(NOON) + 5000)
    issuer.revoke(ALICE, life=5000)
    issuer.revoke(ALICE, life=10)
    issuer.clock.advance(60)

    assert Listener.caught_up(issuer).rejection(token) is RejectionCode.REVOKED


def test_cutoff_forgotten_before_the_longest_token(issuer: IssuerSimulator) -> None:
    token = issuer.token(exp=int(NOON) + 5000)
    issuer.revoke(ALICE, life=5000)
    issuer.clock.advance(4999)
    listener = Listener.caught_up(issuer)
    assert listener.rejection(token) is RejectionCode.REVOKED

    issuer.clock.advance(1)
    listener.hear(issuer.beat())
    assert listener.verifier.state.revocations.selectors == 0


def test_clock_of_an_agent_makes_it_forget(issuer: IssuerSimulator) -> None:
    token = issuer.token(exp=int(NOON) + 50_000)
    issuer.revoke(ALICE)
    listener = Listener.caught_up(issuer)
    issuer.clock.wall += 10 * HOUR  # by the agent's clock alone
    issuer_time = listener.verifier.state.issuer_time

    assert issuer_time == NOON
    assert listener.verifier.state.revocations.selectors == 1
    with pytest.raises(Exception, match="stale"):
        listener.verify(token)


# -- cutoffs


def test_future_cutoff_locks_nobody_out(issuer: IssuerSimulator, listener: Listener) -> None:
    before = issuer.token(rsq=None)
    listener.hear(issuer.revoke(Selector(), issued_before=NOON + 10 * HOUR, life=20 * HOUR))
    issuer.clock.advance(2)
    after = issuer.token(rsq=None)

    assert listener.rejection(before) is RejectionCode.REVOKED
    assert listener.rejection(after) is None


@pytest.mark.parametrize(
    ("iat", "revoked"), [(-1, True), (0, True), (0.4, True), (0.5, True), (0.6, False), (1, False)]
)
def test_same_second_tie(issuer: IssuerSimulator, listener: Listener, iat: float, revoked: bool) -> None:
    issuer.clock.wall += 0.5
    listener.hear(issuer.revoke(ALICE), issuer.beat())
    token = issuer.token(iat=NOON + iat, rsq=None)

    assert (listener.rejection(token) is RejectionCode.REVOKED) is revoked


def test_same_second_login_after_the_revocation_is_told_apart_by_rsq(
    issuer: IssuerSimulator, listener: Listener
) -> None:
    before = issuer.token()
    listener.hear(issuer.revoke(ALICE))
    after = issuer.token()

    assert listener.rejection(before) is RejectionCode.REVOKED
    assert listener.rejection(after) is None


@pytest.mark.parametrize("cutoff", [None, NOON - HOUR])
def test_token_without_iat(issuer: IssuerSimulator, listener: Listener, cutoff: float | None) -> None:
    issuer.clock.advance(1)
    listener.hear(issuer.revoke(ALICE, issued_before=cutoff), issuer.beat())

    assert listener.rejection(issuer.token(iat=None, rsq=None)) is RejectionCode.REVOKED


@pytest.mark.parametrize("rsq", BAD_RSQ, ids=ids)
def test_malformed_rsq_counts_as_none(issuer: IssuerSimulator, listener: Listener, rsq: object) -> None:
    before = issuer.token(rsq=rsq)
    issuer.clock.advance(1)
    listener.hear(issuer.revoke(ALICE), issuer.beat())
    issuer.clock.advance(1)
    after = issuer.token(rsq=rsq)

    assert listener.rejection(before) is RejectionCode.REVOKED
    assert listener.rejection(after) is None


def test_rsq_against_a_cutoff_in_time(issuer: IssuerSimulator, listener: Listener) -> None:
    listener.hear(issuer.revoke(ALICE, issued_before=NOON))

    assert listener.rejection(issuer.token(rsq=2**53 - 1)) is RejectionCode.REVOKED


@pytest.mark.parametrize(("behind", "revoked"), [(1, True), (0, False), (-1, False)])
def test_rsq_one_below_the_revocation(issuer: IssuerSimulator, listener: Listener, behind: int, revoked: bool) -> None:
    event = issuer.revoke(ALICE)
    listener.hear(event)
    token = issuer.token(rsq=event.seq - behind)

    assert (listener.rejection(token) is RejectionCode.REVOKED) is revoked


def test_rsq_of_an_older_incarnation(issuer: IssuerSimulator) -> None:
    token = issuer.token(rsq=pack(1, 2**40 - 1))
    issuer.open_incarnation()
    issuer.publish_keys()
    issuer.revoke(ALICE)

    assert Listener.caught_up(issuer).rejection(token) is RejectionCode.REVOKED


# -- claims


@pytest.mark.parametrize(
    ("selector", "claims"),
    [
        ({"aud": "orders"}, {"aud": ["billing", "orders"]}),
        ({"scope": "admin"}, {"scope": "orders:read admin"}),
        ({"scope": "admin"}, {"scope": "orders:read\tadmin"}),
        ({"groups": "staff"}, {"groups": ["guests", "staff"]}),
        ({"level": 3}, {"level": 3.0}),
        ({"admin": True}, {"admin": True}),
        ({"admin": False}, {"admin": [True, False]}),
        ({"sub": "al\u00edce"}, {"sub": "al\u00edce"}),
        ({"jti": "t-1"}, {"jti": "t-1"}),
        ({}, {}),
    ],
)
def test_claim_spelled_in_another_allowed_way(
    issuer: IssuerSimulator, listener: Listener, selector: dict[str, Any], claims: dict[str, Any]
) -> None:
    token = issuer.token(**claims)
    listener.hear(issuer.revoke(Selector(claims=selector)))

    assert listener.rejection(token, audience=None) is RejectionCode.REVOKED


def test_list_longer_than_the_index_looks(issuer: IssuerSimulator, listener: Listener) -> None:
    token = issuer.token(groups=[f"group-{number}" for number in range(300)] + ["staff"])
    listener.hear(issuer.revoke(Selector.of(groups="staff")))

    assert listener.rejection(token) is RejectionCode.MALFORMED


def test_revocation_about_another_issuer_spares_ours(issuer: IssuerSimulator, listener: Listener) -> None:
    listener.hear(issuer.revoke(Selector(claims={"sub": "alice"}, issuer="https://other.example")))

    assert listener.rejection(issuer.token(rsq=0)) is None


# -- lifts


def test_lift_removes_exactly_one(issuer: IssuerSimulator, listener: Listener) -> None:
    token = issuer.token()
    first, second = issuer.revoke(ALICE), issuer.revoke(ALICE)
    batch = issuer.revoke_tokens(token)
    listener.hear(first, second, batch)

    for event in (first, batch):
        listener.hear(issuer.lift(event))
        assert listener.rejection(token) is RejectionCode.REVOKED
    listener.hear(issuer.lift(second))
    assert listener.rejection(token) is None


@pytest.mark.parametrize("kind", ["selector", "digests"])
def test_lift_before_its_revocation(issuer: IssuerSimulator, listener: Listener, kind: str) -> None:
    token = issuer.token()
    event = issuer.revoke(ALICE) if kind == "selector" else issuer.revoke_tokens(token)
    lift = issuer.lift(event)
    listener.hear(lift, event, issuer.beat())

    assert listener.rejection(token) is None
    assert listener.freshness == 0.0


def test_lift_of_one_revocation_before_a_later_one(issuer: IssuerSimulator, listener: Listener) -> None:
    token = issuer.token()
    first = issuer.revoke(ALICE)
    listener.hear(issuer.lift(first), issuer.revoke(ALICE), first)

    assert listener.rejection(token) is RejectionCode.REVOKED
