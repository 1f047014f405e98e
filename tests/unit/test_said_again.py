"""A recovery says revocations again: nobody forgets any, and one lift is enough for both."""

import pytest

from events import Lift, Revoke, RevokeDigests, Selector, SignedEvent, Stream
from tests.simulator import HOUR, IssuerSimulator, Listener
from verifier_agent import Outcome


def say_again(issuer: IssuerSimulator, event: SignedEvent) -> SignedEvent:
    record = event.record
    assert isinstance(record, Revoke | RevokeDigests)
    again = type(record)(**{name: getattr(record, name) for name in record.__struct_fields__} | {"replaces": event.seq})
    return issuer.say(Stream.REVOCATIONS, again)


def lift(issuer: IssuerSimulator, event: SignedEvent) -> SignedEvent:
    return issuer.say(Stream.REVOCATIONS, Lift(target=event.seq, expires_at=issuer.clock.now() + HOUR))


def baseline(issuer: IssuerSimulator) -> SignedEvent:
    """The first event about revocations."""
    return next(event for event in issuer.said if event.stream is Stream.REVOCATIONS)


@pytest.fixture
def token(issuer: IssuerSimulator) -> str:
    return issuer.token(sub="alice")


@pytest.mark.parametrize("kind", ["selector", "time", "digest"])
def test_what_is_said_again_is_in_force_once_and_a_lift_ends_it(
    issuer: IssuerSimulator, listener: Listener, token: str, kind: str
) -> None:
    if kind == "digest":
        first = issuer.revoke_tokens(token)
    else:
        cutoff = issuer.clock.now() if kind == "time" else None
        first = issuer.revoke(Selector.of(sub="alice"), issued_before=cutoff)
    again = say_again(issuer, first)
    listener.hear(first, again)
    assert listener.rejection(token) == "revoked"
    state = listener.verifier.state.revocations
    assert state.selectors + state.digests == 1

    listener.hear(lift(issuer, again))

    assert listener.rejection(token) is None


def test_order_does_not_matter(issuer: IssuerSimulator, listener: Listener, token: str) -> None:
    first = issuer.revoke(Selector.of(sub="alice"))
    again = say_again(issuer, first)
    ended = lift(issuer, again)
    listener.hear(again, first)
    assert listener.rejection(token) == "revoked"
    listener.hear(ended)
    assert listener.rejection(token) is None

    other, backwards, beat = Listener(issuer), Listener(issuer), issuer.beat()
    other.hear(*issuer.said, beat)
    assert other.rejection(token) is None
    backwards.hear(*reversed(issuer.said), beat)
    assert backwards.verifier.snapshot() == other.verifier.snapshot()


@pytest.mark.parametrize("by_digest", [False, True])
def test_another_revocation_of_the_same_number_is_not_replaced(
    issuer: IssuerSimulator, listener: Listener, token: str, by_digest: bool
) -> None:
    mine = issuer.revoke_tokens(token) if by_digest else issuer.revoke(Selector.of(sub="alice"))
    listener.hear(mine)

    for record in (
        Revoke(selector=Selector.of(sub="bob"), expires_at=issuer.clock.now() + HOUR, replaces=mine.seq),
        Revoke(selector=Selector.of(sub="alice"), issued_before=1.0, expires_at=2e9, replaces=mine.seq),
        RevokeDigests(digests=b"12345678", expires_at=issuer.clock.now() + HOUR, replaces=mine.seq),
    ):
        listener.hear(issuer.say(Stream.REVOCATIONS, record))

    assert listener.rejection(token) == "revoked"


def test_what_was_applied_of_an_abandoned_history_stays_in_force(
    issuer: IssuerSimulator, listener: Listener, token: str
) -> None:
    agreed = baseline(issuer)
    lost = issuer.revoke(Selector.of(sub="alice"))
    listener.hear(lost)
    issuer.open_incarnation(follows={Stream.REVOCATIONS: agreed})

    listener.catch_up()

    assert listener.rejection(token) == "revoked"
    assert listener.verifier.state.forks() == []
    assert listener.freshness == 0.0


def test_an_agent_that_saw_two_histories_is_fresh_again_after_the_baseline(
    issuer: IssuerSimulator, listener: Listener
) -> None:
    agreed = baseline(issuer)
    one = issuer.revoke(Selector.of(sub="alice"))
    listener.hear(one)
    listener.hear(issuer.sign(Stream.REVOCATIONS, one.seq, Revoke(selector=Selector.of(sub="bob"), expires_at=4e9)))
    assert listener.verifier.state.forks()

    issuer.open_incarnation(follows={Stream.REVOCATIONS: agreed})
    assert listener.hear(*issuer.said[-2:]) == [Outcome.APPLIED, Outcome.APPLIED]
    listener.catch_up()

    assert listener.verifier.state.forks() == []
    assert listener.freshness == 0.0
