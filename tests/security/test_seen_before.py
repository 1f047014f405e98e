"""Tokens that were good before: what every later call must still ask, in each of the ways in which they are remembered.

A token is remembered as judged, or, after anything has changed, as put aside; it is asked for step by step, or in the
way of ``Agent.verify``, which looks at the clocks once a second.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from events import KeyState, Selector
from tests.security.forging import AgentsListener
from tests.simulator import AUDIENCE, NOON, IssuerSimulator, Listener, signing_key
from verifier_agent import RejectionCode, VerificationPolicy, VerificationUnavailable

SECOND = signing_key("ES256", "second")
POLICY = VerificationPolicy(audience=AUDIENCE, skew=0, max_staleness=100)
Change = Callable[[Listener], None]


def nothing_changes(_: Listener) -> None:
    """The token stays as it was judged."""


def something_changes(listener: Listener) -> None:
    """The token is put aside."""
    listener.hear(listener.issuer.revoke(Selector.of(sub="somebody else")))


both = pytest.mark.parametrize("change", [nothing_changes, something_changes])


@pytest.fixture(params=[Listener, AgentsListener])
def listener(request: pytest.FixtureRequest, issuer: IssuerSimulator) -> Listener:
    kind: type[Listener] = request.param
    return kind.caught_up(issuer, POLICY)


def at(listener: Listener, seconds: float) -> Listener:
    """The same listener, so many seconds after noon by both clocks."""
    listener.clock.advance(NOON + seconds - listener.clock.wall)
    return listener


@both
@pytest.mark.parametrize(("seconds", "code"), [(59.999, None), (60.0, RejectionCode.EXPIRED)])
def test_its_end(
    issuer: IssuerSimulator, listener: Listener, change: Change, seconds: float, code: RejectionCode | None
) -> None:
    token = issuer.token(exp=int(NOON) + 60)
    at(listener, 59.5).verify(token)
    change(listener)

    assert at(listener, seconds).rejection(token) is code


@both
@pytest.mark.parametrize(("seconds", "code"), [(0.4, RejectionCode.NOT_YET_VALID), (0.5, None)])
def test_its_beginning_when_the_wall_clock_is_set_back(
    issuer: IssuerSimulator, listener: Listener, change: Change, seconds: float, code: RejectionCode | None
) -> None:
    other, token = issuer.token(), issuer.token(nbf=NOON + 0.5)
    listener.verify(other)
    at(listener, 0.6).verify(token)
    change(listener)

    assert at(listener, seconds).rejection(token) is code


@both
def test_its_audience(issuer: IssuerSimulator, listener: Listener, change: Change) -> None:
    both_audiences, other = issuer.token(aud=["orders", "stock"]), issuer.token(aud="stock")
    for token in (both_audiences, other):
        listener.verify(token, audience="stock")
    change(listener)

    assert listener.rejection(other) is RejectionCode.WRONG_AUDIENCE
    assert listener.rejection(other, audience="orders") is RejectionCode.WRONG_AUDIENCE
    assert listener.rejection(both_audiences) is listener.rejection(both_audiences, audience="orders") is None
    assert listener.rejection(other, audience=None) is listener.rejection(other, audience="stock") is None


@both
def test_its_scope(issuer: IssuerSimulator, listener: Listener, change: Change) -> None:
    tokens = [issuer.token(scope=scope) for scope in ("a b c", "a b", "a", "c", None)]
    for token in tokens:
        listener.verify(token)
    listener.verify(tokens[0], scope="b a")  # the text of a required scope is remembered too
    change(listener)

    rejected = RejectionCode.INSUFFICIENT_SCOPE
    found = [listener.rejection(token, scope="b a") for token in tokens]
    assert found == [None, None, rejected, rejected, rejected]


@both
@pytest.mark.parametrize("since", [99.3, 99.6, 99.99])
def test_how_old_what_is_known_may_be(
    issuer: IssuerSimulator, listener: Listener, change: Change, since: float
) -> None:
    token = issuer.token()
    at(listener, since).verify(token)
    change(listener)

    assert at(listener, 100.0).rejection(token) is None
    with pytest.raises(VerificationUnavailable):
        at(listener, 100.1).verify(token)


@both
@pytest.mark.parametrize("back", [0.5, 50.0])
def test_how_old_what_is_known_may_be_when_the_wall_clock_is_set_back(
    issuer: IssuerSimulator, listener: Listener, change: Change, back: float
) -> None:
    token = issuer.token(iat=int(NOON) - 100)
    at(listener, 60).verify(token)
    change(listener)
    listener.clock.uptime += 60
    listener.clock.wall -= back

    with pytest.raises(VerificationUnavailable):
        listener.verify(token)


@both
@pytest.mark.parametrize("state", [KeyState.REVOKED, KeyState.RETIRED])
def test_its_key(issuer: IssuerSimulator, listener: Listener, change: Change, state: KeyState) -> None:
    listener.hear(issuer.publish_key(SECOND))
    token, other = issuer.token(key=SECOND), issuer.token()
    assert [listener.rejection(one) for one in (token, other)] == [None, None]
    change(listener)
    listener.hear(issuer.publish_key(SECOND, state))

    assert listener.rejection(token) in (RejectionCode.KEY_REVOKED, RejectionCode.UNKNOWN_KEY)
    assert listener.rejection(other) is None


@both
@pytest.mark.parametrize("by", ["token", "selector", "key"])
def test_what_a_restored_snapshot_revokes(issuer: IssuerSimulator, listener: Listener, change: Change, by: str) -> None:
    token = issuer.token()
    listener.verify(token)
    change(listener)
    if by == "key":
        issuer.publish_key(issuer.key, KeyState.REVOKED)
    elif by == "token":
        issuer.revoke_tokens(token)
    else:
        issuer.revoke(Selector.of(sub="alice"))
    listener.verifier.restore(Listener.caught_up(issuer).verifier.snapshot())

    assert listener.rejection(token) is (RejectionCode.KEY_REVOKED if by == "key" else RejectionCode.REVOKED)


@pytest.mark.parametrize("by", ["token", "selector"])
def test_what_is_restored_twice_is_lifted_by_one_lift(issuer: IssuerSimulator, listener: Listener, by: str) -> None:
    token = issuer.token()
    event = issuer.revoke_tokens(token) if by == "token" else issuer.revoke(Selector.of(sub="alice"))
    listener.hear(event)
    for _ in range(2):
        listener.verifier.restore(listener.verifier.snapshot())
    assert listener.rejection(token) is RejectionCode.REVOKED
    listener.hear(issuer.lift(event))

    assert listener.rejection(token) is None


def test_another_algorithm_for_the_same_key(issuer: IssuerSimulator, listener: Listener) -> None:
    """A key event that says so is at odds with itself; no token may come through in between."""
    token, named = issuer.token(), issuer.token(header={"alg": "RS256"})
    listener.verify(token)
    published = issuer.keys[issuer.key.kid]
    issuer.keys[issuer.key.kid] = msgspec.structs.replace(published, alg="RS256")
    listener.hear(issuer.publish_keys())

    for text in (token, named):
        assert listener.rejection(text) is RejectionCode.UNKNOWN_KEY


@pytest.mark.parametrize("size", range(1, 6))
def test_more_tokens_than_there_is_room_for(issuer: IssuerSimulator, size: int) -> None:
    """Whoever has many good tokens can neither fill the memory with them nor keep others from being judged."""
    policy = msgspec.structs.replace(POLICY, cache_size=size)
    listeners: list[Any] = [kind.caught_up(issuer, policy) for kind in (Listener, AgentsListener)]
    for listener in listeners:
        for token in [issuer.token() for _ in range(3 * size)] * 2:
            assert listener.rejection(token) is None
            assert len(listener.verifier.verified) <= size
