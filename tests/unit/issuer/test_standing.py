"""The rule by which revocations reach what lives longer than any access token, over all interleavings."""

from hypothesis import given
from hypothesis import strategies as st

from events import Lift, Revoke, Selector, SignedEvent, Stream
from issuer.families import Standing
from tests.simulator import HOUR, NOON, IssuerSimulator

NAMES = st.sampled_from(["alice", "bob"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("log in"), NAMES),
        st.tuples(st.just("revoke"), st.one_of(NAMES, st.none())),
        st.tuples(st.just("lift"), st.integers(0, 5)),
    ),
    max_size=12,
)


def seen(events: list[SignedEvent], up_to: int) -> int:
    """The revocation ``seq`` that a replica knows which has heard so many events."""
    return events[up_to - 1].seq if up_to else 0


@given(STEPS, st.data())
def test_a_login_is_ended_by_exactly_the_revocations_in_force_that_its_replica_did_not_know(
    steps: list[tuple[str, object]], data: st.DataObject
) -> None:
    issuer, events = IssuerSimulator(), list[SignedEvent]()
    logins: list[tuple[str, int]] = []
    for step, what in steps:
        if step == "log in":
            known = data.draw(st.integers(0, len(events)), label="events known to the replica")
            logins.append((str(what), seen(events, known)))
        elif step == "revoke":
            events.append(issuer.revoke(Selector(claims={"sub": what} if isinstance(what, str) else {})))
        elif revocations := [event for event in events if isinstance(event.record, Revoke)]:
            assert isinstance(what, int)
            events.append(issuer.lift(revocations[what % len(revocations)]))
    standing = Standing(issuer.issuer)
    for event in data.draw(st.permutations(events)) + events[:2]:
        standing.hear(event.text)

    lifted = {event.record.target for event in events if isinstance(event.record, Lift)}
    for sub, gsq in logins:
        ending = [
            event.seq
            for event in events
            if isinstance(event.record, Revoke)
            and event.seq > gsq
            and event.seq not in lifted
            and event.record.selector.matches({"sub": sub})
        ]
        assert (standing.ended_by({"sub": sub}, gsq, NOON) is not None) == bool(ending)


def test_a_cutoff_by_time_ends_who_logged_in_before_it() -> None:
    issuer = IssuerSimulator()
    standing = Standing(issuer.issuer)
    standing.hear(issuer.revoke(Selector(), issued_before=NOON - HOUR).text)

    assert standing.ended_by({}, 0, NOON - HOUR) is not None
    assert standing.ended_by({}, 0, NOON - HOUR + 1) is None


def test_revocations_of_other_issuers_end_nothing_here() -> None:
    issuer = IssuerSimulator()
    standing = Standing(issuer.issuer)
    standing.hear(issuer.revoke(Selector(issuer="https://elsewhere.example")).text)
    standing.hear(issuer.revoke_tokens("x.y.z").text)

    assert len(standing) == 0


def test_what_can_end_nothing_any_more_is_forgotten() -> None:
    issuer = IssuerSimulator()
    standing = Standing(issuer.issuer)
    first, second = issuer.revoke(Selector.of(sub="alice")), issuer.revoke(Selector.of(sub="bob"))
    for event in (first, second):
        standing.hear(event.text)
    standing.forget(first.seq)

    assert len(standing) == 1
    assert standing.ended_by({"sub": "bob"}, first.seq, NOON) == second.seq
    assert second.stream is Stream.REVOCATIONS
