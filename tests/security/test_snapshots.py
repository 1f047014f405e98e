"""Attacks on saved snapshots: by who can write to where agents start from, or stands in between."""

from collections.abc import Callable

import pytest

from events import Heartbeat, KeyState, RefusalCode, Selector, Snapshot, Stream
from events.records import MAX_SKEW
from tests.sealed import seal, sealed_snapshot
from tests.simulator import HOUR, ISSUER, IssuerSimulator, Listener, signing_key
from verifier_agent import Outcome, RejectionCode, SnapshotInvalid, UnavailableCode, VerificationUnavailable
from verifier_agent.errors import SnapshotCode
from verifier_agent.saved import SealedSnapshot

DAY = 86_400.0


def restore(listener: Listener, snapshot: SealedSnapshot, max_age: float = DAY) -> None:
    listener.verifier.restore_sealed(snapshot, now=listener.clock.now(), boot=listener.clock.boot(), max_age=max_age)


def refusal(issuer: IssuerSimulator, snapshot: SealedSnapshot, max_age: float = DAY) -> SnapshotCode:
    """Why it is refused, which must leave nothing behind."""
    listener = Listener(issuer)
    empty = listener.verifier.snapshot()
    with pytest.raises(SnapshotInvalid) as refused:
        restore(listener, snapshot, max_age)
    assert listener.verifier.snapshot() == empty
    assert listener.freshness is None
    return refused.value.code


def test_a_sealed_snapshot_is_known_at_once_at_its_true_age(issuer: IssuerSimulator) -> None:
    token = issuer.token()
    issuer.revoke(Selector.of(sub="alice"))
    snapshot = sealed_snapshot(issuer)
    issuer.clock.wall += 60  # and the machine has been started anew: its boot-time clock says nothing about that
    listener = Listener(issuer)
    restore(listener, snapshot)

    assert listener.freshness == 60.0
    assert listener.rejection(token) is RejectionCode.REVOKED
    issuer.clock.advance(10)
    issuer.clock.wall -= 3000
    assert listener.freshness == 70.0  # a wall clock that is set back makes it no younger


@pytest.mark.parametrize("part", ["seal", "data"])
def test_no_byte_can_be_altered(issuer: IssuerSimulator, part: str) -> None:
    issuer.revoke(Selector.of(sub="alice"))
    issuer.revoke_tokens(issuer.token())
    snapshot = sealed_snapshot(issuer)
    whole: bytes = getattr(snapshot, part)
    last = len(whole) - 1
    for at in [*range(0, last, 7), last]:
        # The last letter of a signature in base64url has spare bits, which are refused as well.
        for changed in {whole[at] ^ 1, whole[at] ^ 0x20, 0}:
            parts = {"seal": snapshot.seal, "data": snapshot.data}
            parts[part] = whole[:at] + bytes([changed]) + whole[at + 1 :]
            expected = SnapshotCode.BAD_SEAL if part == "seal" else SnapshotCode.ALTERED
            assert refusal(issuer, SealedSnapshot(**parts)) is expected


CUTS: list[Callable[[bytes], bytes]] = [
    lambda whole: whole[:0],
    lambda whole: whole[:-1],
    lambda whole: whole[: len(whole) // 2],
    lambda whole: whole + b"\n",
    lambda whole: whole + whole,
]


@pytest.mark.parametrize("cut", CUTS)
def test_it_can_neither_be_cut_nor_grow(issuer: IssuerSimulator, cut: Callable[[bytes], bytes]) -> None:
    snapshot = sealed_snapshot(issuer)

    assert refusal(issuer, SealedSnapshot(seal=snapshot.seal, data=cut(snapshot.data))) is SnapshotCode.ALTERED
    assert refusal(issuer, SealedSnapshot(seal=cut(snapshot.seal), data=snapshot.data)) is SnapshotCode.BAD_SEAL


def test_the_seal_of_another_snapshot_does_not_fit(issuer: IssuerSimulator) -> None:
    one = sealed_snapshot(issuer)
    issuer.revoke(Selector.of(sub="alice"))
    other = sealed_snapshot(issuer)

    assert refusal(issuer, SealedSnapshot(seal=other.seal, data=one.data)) is SnapshotCode.ALTERED


def test_a_heartbeat_is_no_seal_and_a_seal_no_heartbeat(issuer: IssuerSimulator) -> None:
    snapshot = sealed_snapshot(issuer)
    beat = issuer.beat()
    listener = Listener(issuer)

    assert refusal(issuer, SealedSnapshot(seal=beat.text, data=snapshot.data)) is SnapshotCode.BAD_SEAL
    assert listener.hear_raw(Stream.HEARTBEATS, snapshot.seal) == "wrong_stream"
    assert listener.freshness is None


def test_neither_another_issuer_nor_who_knows_the_name_of_its_key_can_seal(issuer: IssuerSimulator) -> None:
    stranger = IssuerSimulator("https://other.example", clock=issuer.clock)
    impostor = IssuerSimulator(ISSUER, clock=issuer.clock)
    impostor.event_key = signing_key("ES256", "stolen")
    impostor.signer = type(impostor.signer)(
        ISSUER, type(impostor.signer._key)(impostor.event_key.jwk(private=True) | {"kid": "event-key"})
    )

    assert refusal(issuer, sealed_snapshot(stranger)) is SnapshotCode.BAD_SEAL
    snapshot = sealed_snapshot(issuer)
    record = Snapshot(sha256="0" * 64, size=len(snapshot.data), time=0, heads={})
    forged = impostor.sign(Stream.HEARTBEATS, 1 << 41 | 1, record).text
    assert refusal(issuer, SealedSnapshot(seal=forged, data=snapshot.data)) is SnapshotCode.BAD_SEAL


def test_the_state_of_another_issuer_is_refused_even_when_ours_has_sealed_it(issuer: IssuerSimulator) -> None:
    other = IssuerSimulator("https://other.example", clock=issuer.clock)

    snapshot = seal(issuer, Listener.caught_up(other).verifier.snapshot())
    assert refusal(issuer, snapshot) is SnapshotCode.WRONG_ISSUER


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b'"version":1', b'"version":2', SnapshotCode.WRONG_VERSION),
        (b'"version":1', b'"version":"1"', SnapshotCode.WRONG_VERSION),
        (b'{"version"', b'[{"version"', SnapshotCode.WRONG_VERSION),
        (b'"issuer":', b'"issuer":7,"is":', SnapshotCode.MALFORMED),
    ],
)
def test_a_snapshot_of_another_version_is_refused(
    issuer: IssuerSimulator, old: bytes, new: bytes, code: SnapshotCode
) -> None:
    data = Listener.caught_up(issuer).verifier.snapshot()

    assert refusal(issuer, seal(issuer, data.replace(old, new, 1))) is code


def test_a_snapshot_that_is_older_than_the_policy_allows_is_refused(issuer: IssuerSimulator) -> None:
    snapshot = sealed_snapshot(issuer)
    issuer.clock.advance(HOUR)
    listener = Listener(issuer)

    assert refusal(issuer, snapshot, HOUR - 1) is SnapshotCode.TOO_OLD
    restore(listener, snapshot, HOUR)
    assert listener.freshness == HOUR


def test_nothing_is_fresh_while_the_clock_lies_before_the_snapshot(issuer: IssuerSimulator) -> None:
    token = issuer.token()
    snapshot = sealed_snapshot(issuer)
    issuer.clock.wall -= MAX_SKEW + 1
    listener = Listener(issuer)
    restore(listener, snapshot)

    with pytest.raises(VerificationUnavailable) as unavailable:
        listener.verify(token)
    assert unavailable.value.code is UnavailableCode.STALE


def test_an_older_snapshot_never_makes_an_agent_forget_what_it_knows(issuer: IssuerSimulator) -> None:
    token, stolen = issuer.token(), signing_key("ES256", "stolen-token-key")
    issuer.publish_key(stolen)
    older = sealed_snapshot(issuer)
    issuer.revoke(Selector.of(sub="alice"))
    issuer.publish_key(stolen, KeyState.REVOKED)
    listener = Listener.caught_up(issuer)
    before, beat = listener.verifier.snapshot(), listener.verifier.state.freshness.covered
    restore(listener, older)

    assert listener.verifier.snapshot() == before
    assert listener.verifier.state.freshness.covered is beat
    assert listener.rejection(token) is RejectionCode.REVOKED
    assert listener.rejection(issuer.token(key=stolen, sub="bob")) is RejectionCode.KEY_REVOKED


def test_after_a_rollback_to_an_older_snapshot_the_newer_events_still_count_and_the_gap_shows(
    issuer: IssuerSimulator,
) -> None:
    tokens = {name: issuer.token(sub=name) for name in ("alice", "bob")}
    older = sealed_snapshot(issuer)
    lost = issuer.revoke(Selector.of(sub="alice"))
    kept = issuer.revoke(Selector.of(sub="bob"))
    issuer.clock.advance(5)
    beat = issuer.beat()
    issuer.clock.advance(5)
    listener = Listener(issuer)
    restore(listener, older)
    for event in (kept, beat):
        listener.verifier.apply_saved(event.stream, event.text, now=listener.clock.now(), boot=listener.clock.boot())

    assert listener.rejection(tokens["bob"]) is RejectionCode.REVOKED
    assert listener.freshness == 10.0  # the snapshot's age, not the heartbeat's
    assert listener.verifier.state.holes() == {Stream.REVOCATIONS: [(lost.seq, lost.seq)]}
    listener.hear(lost)
    assert listener.rejection(tokens["alice"]) is RejectionCode.REVOKED
    assert listener.freshness == 5.0


def test_a_seal_whose_heads_the_bytes_do_not_reach_makes_nothing_fresh(issuer: IssuerSimulator) -> None:
    data = Listener.caught_up(issuer).verifier.snapshot()
    issuer.revoke(Selector.of(sub="alice"))
    beat = issuer.beat().record
    assert isinstance(beat, Heartbeat)
    listener = Listener(issuer)
    restore(listener, seal(issuer, data, beat))

    assert listener.freshness is None
    assert listener.verifier.state.holes()


def test_a_heartbeat_older_than_the_seal_is_rolled_back(issuer: IssuerSimulator) -> None:
    old = issuer.beat()
    snapshot = sealed_snapshot(issuer)
    listener = Listener(issuer)
    restore(listener, snapshot)

    assert listener.hear(old) == [RefusalCode.ROLLED_BACK]
    assert listener.hear(issuer.beat()) == [Outcome.APPLIED]


def test_what_a_snapshot_brings_moves_the_epoch(issuer: IssuerSimulator) -> None:
    listener = Listener.caught_up(issuer)
    issuer.revoke(Selector.of(sub="alice"))
    snapshot, before = sealed_snapshot(issuer), listener.verifier.state.epoch
    restore(listener, snapshot)

    assert listener.verifier.state.epoch > before
