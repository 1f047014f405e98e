"""An agent's knowledge while the event keys that it rests on succeed each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import EventKey, EventSigner, KeyState, RefusalCode, Selector, Stream, unpack
from events.sequence import format_seq
from tests.sealed import sealed_snapshot
from tests.simulator import AUDIENCE, HOUR, NOON, IssuerSimulator, Listener
from verifier_agent import Outcome, RejectionCode, VerificationPolicy, VerificationUnavailable, Verifier
from verifier_agent.errors import SnapshotInvalid
from verifier_agent.saved import SealedSnapshot


def with_chain(issuer: IssuerSimulator, snapshot: SealedSnapshot) -> SealedSnapshot:
    """A snapshot as an issuer gives it: with every succession before it."""
    return SealedSnapshot(b" ".join([*(event.text for event in issuer.successions), snapshot.seal]), snapshot.data)


def test_a_succession_refuses_no_token_and_makes_nothing_stale(issuer: IssuerSimulator, listener: Listener) -> None:
    revoked, good = issuer.token(sub="alice"), issuer.token(sub="bob")
    issuer.revoke(Selector.of(sub="alice"))
    listener.catch_up()
    assert listener.freshness == 0.0

    for _ in range(3):
        event = issuer.succeed()
        assert listener.hear(event) == [Outcome.APPLIED]
        assert listener.freshness == 0.0
        assert listener.rejection(good) is None
        assert listener.rejection(revoked) is RejectionCode.REVOKED
        later = issuer.token(sub="carol")
        assert (
            listener.hear(*issuer.said[-1:], issuer.revoke(Selector.of(sub="carol")), issuer.beat())
            == [Outcome.APPLIED] * 3
        )
        assert listener.rejection(later) is RejectionCode.REVOKED
    assert listener.verifier.state.begun_anew == 0
    assert not listener.verifier.state.forks()


def test_an_agent_that_slept_through_three_reads_what_follows(issuer: IssuerSimulator) -> None:
    listener = Listener.caught_up(issuer)
    token = issuer.token(sub="alice")
    for _ in range(3):
        issuer.succeed()
    issuer.revoke(Selector.of(sub="alice"))
    issuer.clock.advance(HOUR / 2)

    listener.catch_up()

    assert listener.freshness == 0.0
    assert listener.verifier.event_keys.newest.kid == issuer.event_key.kid
    assert listener.verifier.state.begun_anew == 0
    assert listener.rejection(token) is RejectionCode.EXPIRED
    assert listener.rejection(issuer.token(sub="alice", rsq=1)) is RejectionCode.REVOKED


def test_an_agent_that_begins_from_a_snapshot_learns_the_chain_from_it(issuer: IssuerSimulator) -> None:
    token = issuer.token(sub="alice")
    issuer.revoke(Selector.of(sub="alice"))
    for _ in range(3):
        issuer.succeed()
    snapshot = with_chain(issuer, sealed_snapshot(issuer))
    listener = Listener(issuer)

    listener.verifier.restore_sealed(snapshot, now=NOON, boot=5000.0, max_age=60.0)

    assert listener.rejection(token) is RejectionCode.REVOKED
    assert listener.freshness == 0.0
    assert listener.verifier.event_keys.generation == 3
    assert listener.hear(issuer.succeed(), issuer.said[-1], issuer.beat()) == [Outcome.APPLIED] * 3


def test_a_snapshot_sealed_by_a_key_that_has_ended_is_refused(issuer: IssuerSimulator) -> None:
    snapshot = sealed_snapshot(issuer)
    issuer.succeed()
    listener = Listener.caught_up(issuer)

    with pytest.raises(SnapshotInvalid, match="key_ended"):
        listener.verifier.restore_sealed(snapshot, now=NOON, boot=5000.0, max_age=60.0)


def test_a_snapshot_without_the_chain_cannot_be_opened_by_who_has_not_heard_of_it(issuer: IssuerSimulator) -> None:
    issuer.succeed()
    snapshot = sealed_snapshot(issuer)

    with pytest.raises(SnapshotInvalid, match="unknown_key"):
        Listener(issuer).verifier.restore_sealed(snapshot, now=NOON, boot=5000.0, max_age=60.0)


def test_nonsense_before_a_seal_is_passed_over(issuer: IssuerSimulator) -> None:
    snapshot = sealed_snapshot(issuer)
    noisy = SealedSnapshot(b"nonsense a.b.c " + snapshot.seal, snapshot.data)

    Listener(issuer).verifier.restore_sealed(noisy, now=NOON, boot=5000.0, max_age=60.0)


# -- a key that was in other hands


def thief(issuer: IssuerSimulator) -> EventSigner:
    return EventSigner(issuer.issuer, EventKey(issuer.event_key.jwk(private=True)))


def test_after_a_theft_all_is_heard_again_and_nothing_ceases_to_be_revoked(issuer: IssuerSimulator) -> None:
    revoked, good = issuer.token(sub="alice"), issuer.token(sub="bob")
    listed = issuer.token(sub="carol")
    issuer.revoke(Selector.of(sub="alice"))
    issuer.revoke_tokens(listed)
    listener = Listener.caught_up(issuer)
    assert listener.rejection(good) is None

    event = issuer.succeed(stolen=True)
    listener.hear(event)

    assert listener.verifier.state.begun_anew == 1
    assert listener.freshness is None
    with pytest.raises(VerificationUnavailable):
        listener.verify(good)
    listener.hear(issuer.said[-1])  # the new key's key set
    assert listener.verifier.judge(good, NOON, 0.0, AUDIENCE, None, None)
    for bad in (revoked, listed):
        with pytest.raises(Exception, match=r"selector|digest"):
            listener.verifier.judge(bad, NOON, 0.0, AUDIENCE, None, None)

    listener.catch_up()
    assert listener.freshness == 0.0
    assert [listener.rejection(each) for each in (good, revoked, listed)] == [
        None,
        RejectionCode.REVOKED,
        RejectionCode.REVOKED,
    ]
    assert listener.verifier.state.revocations.selectors == 1


@given(st.data())
def test_after_a_theft_the_order_in_which_all_is_heard_again_does_not_matter(data: st.DataObject) -> None:
    issuer = IssuerSimulator()
    tokens = [issuer.token(sub=f"user-{number}") for number in range(4)]
    events = [issuer.revoke(Selector.of(sub=f"user-{number}")) for number in range(3)]
    issuer.lift(events[1])
    listener = Listener.caught_up(issuer)
    issuer.succeed(stolen=True)
    listener.hear(issuer.successions[0])

    listener.hear(*data.draw(st.permutations(issuer.said)), issuer.beat())

    assert [listener.rejection(token) for token in tokens] == [
        RejectionCode.REVOKED,
        None,
        RejectionCode.REVOKED,
        None,
    ]
    assert listener.freshness == 0.0


def test_the_store_that_decided_it_all_does_not_doubt_itself(issuer: IssuerSimulator) -> None:
    listener = Listener.caught_up(issuer)
    listener.verifier.state.is_source = True

    listener.hear(issuer.succeed(stolen=True))

    assert listener.verifier.state.begun_anew == 0
    assert listener.freshness == 0.0


def test_a_fork_of_the_keys_makes_stale_and_is_named(issuer: IssuerSimulator) -> None:
    listener = Listener.caught_up(issuer)
    head = unpack(issuer.said[-1].seq)[1]
    other = issuer.succession(ends={"keys": (1 << 40) + head + 5, "revocations": 1 << 41, "heartbeats": 1 << 41})
    forked = issuer.sign(Stream.KEYS, (1 << 40) + head + 5, other)
    listener.hear(issuer.succeed(), issuer.said[-1])

    assert listener.hear(forked) == [RefusalCode.FORKED]
    issuer.clock.advance(20)
    listener.hear(issuer.beat())
    assert listener.freshness == 20.0
    assert listener.verifier.state.forks() == ["event keys: event key event-key was succeeded twice"]
    assert format_seq(forked.seq).startswith("1.")


def test_an_overtaken_key_set_of_an_ended_key_names_nothing_as_revoked(issuer: IssuerSimulator) -> None:
    old = thief(issuer)
    issuer.succeed()
    listener = Listener.caught_up(issuer)
    forged = old.sign(
        Stream.KEYS,
        issuer.said[2].seq,
        issuer.said[2].record.__class__(keys=(issuer.key.published(KeyState.REVOKED),)),
        time=NOON,
        txn="t",
    )
    listener.hear(forged)

    assert listener.rejection(issuer.token()) is None


def test_verifiers_that_share_an_opener_each_follow_the_keys(issuer: IssuerSimulator) -> None:
    from events.opened_once import OpenedOnce  # noqa: PLC0415

    opener = OpenedOnce(issuer.trust)
    both = [Verifier(issuer.trust, VerificationPolicy(audience=AUDIENCE), opener=opener) for _ in range(2)]
    for verifier in both:
        for event in issuer.said:
            verifier.apply(event.stream, event.text)
    event = issuer.succeed(stolen=True)
    both[0].apply(Stream.KEYS, event.text)
    assert [verifier.state.begun_anew for verifier in both] == [1, 0]

    for verifier in both:
        verifier.apply(Stream.HEARTBEATS, issuer.beat().text)

    assert [verifier.state.begun_anew for verifier in both] == [1, 1]
    assert [verifier.state.generation for verifier in both] == [1, 1]
