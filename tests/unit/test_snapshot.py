"""Keeping what is known, and taking it over again."""

import json
from typing import Any

import msgspec
import pytest

from events import KeyState, Revoke, Selector, Stream
from tests.simulator import HOUR, IssuerSimulator, Listener, signing_key
from verifier_agent import RejectionCode, SnapshotInvalid


def eventful(issuer: IssuerSimulator) -> list[str]:
    """A history with something of every kind; the revoked tokens."""
    tokens = [issuer.token(sub=name) for name in ("alice", "bob", "carol", "dave")]
    issuer.revoke(Selector.of(sub="alice"))
    issuer.revoke(Selector(claims={"aud": "x"}, issuer="https://other.example"), issued_before=issuer.clock.now())
    issuer.revoke_tokens(tokens[1], issuer.token())
    issuer.lift(issuer.revoke(Selector.of(sub="carol")))
    issuer.lift(issuer.revoke_tokens(tokens[2]))
    issuer.publish_key(signing_key("ES256", "second"), KeyState.PENDING)
    issuer.publish_key(signing_key("ES256", "third"), KeyState.REVOKED)
    issuer.open_incarnation()
    issuer.revoke(Selector.of(sub="dave", client_id="web"))
    return [tokens[0], tokens[1], tokens[3]]


def restored(issuer: IssuerSimulator, *snapshots: bytes) -> Listener:
    listener = Listener(issuer)
    for snapshot in snapshots:
        listener.verifier.restore(snapshot)
    return listener


def test_what_was_kept_is_restored_to_the_same_bytes(issuer: IssuerSimulator) -> None:
    eventful(issuer)
    snapshot = Listener.caught_up(issuer).verifier.snapshot()

    assert restored(issuer, snapshot).verifier.snapshot() == snapshot
    assert restored(issuer, snapshot, snapshot).verifier.snapshot() == snapshot


def test_an_empty_state_can_be_kept_too(issuer: IssuerSimulator) -> None:
    snapshot = Listener(issuer).verifier.snapshot()

    assert restored(issuer, snapshot).verifier.snapshot() == snapshot


def test_what_was_revoked_is_revoked_after_a_restart(issuer: IssuerSimulator) -> None:
    revoked = eventful(issuer)
    good = issuer.token(sub="carol")
    listener = restored(issuer, Listener.caught_up(issuer).verifier.snapshot())
    issuer.clock.advance(1)
    listener.hear(issuer.beat())

    assert [listener.rejection(token) for token in revoked] == [RejectionCode.REVOKED] * 3
    assert listener.rejection(good) is None
    assert listener.freshness == 0.0


def test_a_snapshot_that_knows_less_takes_nothing_away(issuer: IssuerSimulator) -> None:
    older = Listener.caught_up(issuer).verifier.snapshot()
    revoked = eventful(issuer)
    listener = Listener.caught_up(issuer)
    before = listener.verifier.snapshot()
    listener.verifier.restore(older)

    assert listener.verifier.snapshot() == before
    assert [listener.rejection(token) for token in revoked] == [RejectionCode.REVOKED] * 3


def test_two_halves_make_a_whole(issuer: IssuerSimulator) -> None:
    eventful(issuer)
    one, other = Listener(issuer), Listener(issuer)
    one.hear(*issuer.said[::2])
    other.hear(*issuer.said[1::2])
    whole = Listener(issuer)
    whole.hear(*issuer.said)

    merged = restored(issuer, one.verifier.snapshot(), other.verifier.snapshot())

    assert merged.verifier.snapshot() == whole.verifier.snapshot()


def test_a_lift_in_a_snapshot_counts(issuer: IssuerSimulator) -> None:
    token = issuer.token()
    revocation = issuer.revoke(Selector.of(sub="alice"))
    listener = Listener.caught_up(issuer)
    assert listener.rejection(token) is RejectionCode.REVOKED
    issuer.lift(revocation)
    listener.verifier.restore(Listener.caught_up(issuer).verifier.snapshot())

    assert listener.rejection(token) is None


@pytest.mark.parametrize("kind", ["selector", "digests"])
def test_a_lift_known_here_outlives_an_older_snapshot(issuer: IssuerSimulator, kind: str) -> None:
    token = issuer.token()
    revocation = issuer.revoke(Selector.of(sub="alice")) if kind == "selector" else issuer.revoke_tokens(token)
    older = Listener.caught_up(issuer).verifier.snapshot()
    issuer.lift(revocation)
    listener = Listener.caught_up(issuer)
    listener.verifier.restore(older)

    assert listener.rejection(token) is None


def test_a_restored_revocation_meets_tokens_verified_before(issuer: IssuerSimulator) -> None:
    listener = Listener.caught_up(issuer)
    token = issuer.token()
    listener.verify(token)
    issuer.revoke_tokens(token)
    listener.verifier.restore(Listener.caught_up(issuer).verifier.snapshot())

    assert listener.rejection(token) is RejectionCode.REVOKED


def test_a_restored_key_set_meets_tokens_verified_before(issuer: IssuerSimulator) -> None:
    listener = Listener.caught_up(issuer)
    token = issuer.token()
    listener.verify(token)
    other = signing_key("ES256", "second").published()
    issuer.keys[issuer.key.kid] = msgspec.structs.replace(other, kid=issuer.key.kid)
    issuer.publish_keys()
    listener.verifier.restore(Listener.caught_up(issuer).verifier.snapshot())

    assert listener.rejection(token) is RejectionCode.BAD_SIGNATURE


def test_a_revocation_past_its_time_is_not_brought_back(issuer: IssuerSimulator) -> None:
    issuer.revoke(Selector.of(sub="alice"), life=10)
    older = Listener.caught_up(issuer).verifier.snapshot()
    issuer.clock.advance(HOUR)
    listener = Listener.caught_up(issuer)
    listener.verifier.restore(older)

    assert listener.verifier.state.revocations.selectors == 0


def test_a_restored_state_still_refuses_an_older_heartbeat(issuer: IssuerSimulator) -> None:
    beats = [issuer.beat(), issuer.beat()]
    listener = Listener(issuer)
    listener.hear(*issuer.said, beats[1])

    assert restored(issuer, listener.verifier.snapshot()).hear(beats[0]) == ["rolled_back"]


def test_two_events_with_one_seq_are_noticed_across_a_restart(issuer: IssuerSimulator) -> None:
    event = issuer.revoke(Selector.of(sub="alice"))
    listener = restored(issuer, Listener.caught_up(issuer).verifier.snapshot())
    other = issuer.sign(Stream.REVOCATIONS, event.seq, Revoke(selector=Selector(), expires_at=0))

    assert listener.hear(other) == ["forked"]


def altered(snapshot: bytes, **changes: Any) -> bytes:
    return json.dumps(json.loads(snapshot) | changes).encode()


GARBAGE = [
    b"",
    b"{}",
    b"null",
    b"\xff\xfe",
    b'"\xff"',
    b"[" * 100_000,
    b'{"unknown":' + b"[" * 100_000,
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_what_is_no_snapshot_is_refused(issuer: IssuerSimulator, garbage: bytes) -> None:
    with pytest.raises(SnapshotInvalid):
        restored(issuer, garbage)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 99}, "it has version 99; this program reads 1"),
        ({"issuer": "https://other.example"}, "it is of issuer 'https://other.example', not of"),
        ({"revocations": {"selectors": [], "digests": [[5, 1.0, "AAAA"]], "lifted": []}}, "this is no snapshot"),
        ({"keys": {"keys": [{"kid": "k"}]}}, "this is no snapshot"),
    ],
)
def test_a_snapshot_of_another_kind_or_issuer_is_refused(
    issuer: IssuerSimulator, changes: dict[str, Any], message: str
) -> None:
    snapshot = Listener.caught_up(issuer).verifier.snapshot()

    with pytest.raises(SnapshotInvalid, match=message):
        restored(issuer, altered(snapshot, **changes))


@pytest.mark.parametrize("stream", ["keys", "revocations"])
def test_of_a_refused_snapshot_nothing_is_taken_over(issuer: IssuerSimulator, stream: str) -> None:
    listener = Listener.caught_up(issuer)
    token = issuer.token()
    assert listener.rejection(token) is None
    known = listener.verifier.snapshot()
    event = issuer.revoke(Selector.of(sub="alice"))
    content = json.loads(Listener.caught_up(issuer).verifier.snapshot())
    content["sequences"][stream]["applied"].append([9, 3])

    with pytest.raises(SnapshotInvalid, match="no interval goes from 9 to 3"):
        listener.verifier.restore(json.dumps(content).encode())
    assert listener.verifier.snapshot() == known
    assert listener.hear(event) == ["applied"]
    assert listener.rejection(token) is RejectionCode.REVOKED
