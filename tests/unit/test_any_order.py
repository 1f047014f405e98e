"""Events lost, repeated and in any order: the same events leave the same state, and a hole is never hidden."""

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from events import KeyState, Selector, SignedEvent
from tests.simulator import HOUR, IssuerSimulator, Listener, signing_key


def history() -> tuple[IssuerSimulator, list[SignedEvent]]:
    """Two incarnations with revocations, lifts, key changes and heartbeats; some of it past by the end."""
    issuer = IssuerSimulator()
    beats = []
    for name in ("alice", "bob", "carol"):
        issuer.revoke(Selector.of(sub=name), life=2 * HOUR)
        issuer.revoke(Selector.of(tenant=name), life=10)
        issuer.lift(issuer.revoke_tokens(issuer.token(), life=20))
        beats.append(issuer.beat())
        issuer.publish_key(signing_key("ES256", name), KeyState.PENDING)
        issuer.publish_key(signing_key("ES256", name), KeyState.REVOKED)
        issuer.clock.advance(5)
        beats.append(issuer.beat())
    issuer.open_incarnation()
    issuer.publish_keys()
    issuer.clock.advance(10)
    issuer.revoke(Selector(), issued_before=issuer.clock.now())
    issuer.revoke_tokens(issuer.token())
    return issuer, [*beats, issuer.beat()]


ISSUER, BEATS = history()
SAID: Final = [*ISSUER.said, *BEATS]
WHOLE: Final = Listener(ISSUER)
WHOLE.hear(*SAID)

orders = st.permutations(range(len(SAID)))
repetitions = st.lists(st.integers(0, len(SAID) - 1), max_size=20)


@given(orders, repetitions)
def test_every_order_of_the_same_events_leaves_the_same_state(order: list[int], again: list[int]) -> None:
    listener = Listener(ISSUER)
    for position, index in enumerate(order):
        listener.hear(SAID[index], *(SAID[order[seen]] for seen in again if seen < position))

    assert listener.verifier.snapshot() == WHOLE.verifier.snapshot()
    assert listener.freshness == 0.0
    assert listener.verifier.state.holes() == {}
    assert listener.verifier.state.forks() == []


@given(orders, st.data())
def test_what_was_heard_is_in_force_and_what_was_lost_is_missed(order: list[int], data: st.DataObject) -> None:
    lost = data.draw(st.sets(st.integers(0, len(SAID) - 2), min_size=1, max_size=5))  # the newest heartbeat is heard
    listener = Listener(ISSUER)
    for index in order:
        if index not in lost:
            listener.hear(SAID[index])

    state = listener.verifier.state
    floors = {stream: sequence.dump().floor for stream, sequence in state.sequences.items()}
    missed = {event.seq for event in (SAID[index] for index in lost) if event.seq >= floors.get(event.stream, 2**63)}
    holes = [hole for found in state.holes().values() for hole in found]
    assert all(any(low <= seq <= high for low, high in holes) for seq in missed)
    assert (listener.freshness == 0.0) is (not missed)
    assert _in_force(listener) >= _in_force(WHOLE) - missed


def _in_force(listener: Listener) -> set[int]:
    state = listener.verifier.state.revocations.dump()
    return {seq for seq, *_ in state.selectors} | {seq for seq, *_ in state.digests}
