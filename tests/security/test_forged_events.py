"""Events that the issuer did not say, or did not say there."""

import json
from itertools import permutations

import pytest

from events import (
    EventKey,
    EventSigner,
    IssuerTrust,
    KeySet,
    KeyState,
    Lift,
    RefusalCode,
    Revoke,
    Selector,
    SignedEvent,
    Stream,
    StreamHead,
    pack,
)
from events.records import Heartbeat
from events.streams import SEQUENCED
from tests.simulator import NOON, IssuerSimulator, Listener, b64, signing_key, unb64
from verifier_agent import Outcome, RejectionCode, Verifier

STRANGER = signing_key("ES256", "stranger")
EVERYTHING = Revoke(selector=Selector(), expires_at=NOON + 60)
NEXT = pack(1, 500)


def changed(event: SignedEvent, **claims: object) -> bytes:
    """The event with other claims under the old signature."""
    header, payload, signature = event.text.decode().split(".")
    return f"{header}.{b64(json.dumps(json.loads(unb64(payload)) | claims).encode())}.{signature}".encode()


def signed_by(key_kid: str, issuer: str, record: Revoke | Lift | KeySet | Heartbeat, stream: Stream) -> bytes:
    """An event by the stranger's key, under a name of the attacker's choice."""
    jwk = STRANGER.jwk(private=True) | {"kid": key_kid}
    return EventSigner(issuer, EventKey(jwk)).sign(stream, NEXT, record, time=NOON, txn="t").text


def assert_refused(listener: Listener, stream: Stream, raw: bytes, code: RefusalCode) -> None:
    """It is refused with this code, counted, changes nothing, and the stream goes on."""
    state, count = listener.verifier.snapshot(), listener.verifier.refused[code]

    assert listener.hear_raw(stream, raw) is code
    assert listener.verifier.refused[code] == count + 1
    assert listener.verifier.snapshot() == state
    following = listener.issuer.revoke(Selector.of(sub="nobody"))
    assert listener.hear(following, listener.issuer.beat()) == [Outcome.APPLIED, Outcome.APPLIED]
    assert listener.freshness == 0.0


# -- who signed


@pytest.mark.parametrize("alg", ["none", "HS256", "ES256"])
def test_unsigned_event(issuer: IssuerSimulator, listener: Listener, alg: str) -> None:
    event = issuer.sign(Stream.REVOCATIONS, NEXT, EVERYTHING)
    header = b64(json.dumps({"alg": alg, "kid": issuer.event_key.kid, "typ": "secevent+jwt"}).encode())
    payload = event.text.decode().split(".")[1]

    assert_refused(listener, Stream.REVOCATIONS, f"{header}.{payload}.".encode(), RefusalCode.BAD_SIGNATURE)


def test_event_without_an_envelope(issuer: IssuerSimulator, listener: Listener) -> None:
    payload = unb64(issuer.sign(Stream.REVOCATIONS, NEXT, EVERYTHING).text.decode().split(".")[1])

    assert_refused(listener, Stream.REVOCATIONS, payload, RefusalCode.MALFORMED)


@pytest.mark.parametrize(
    "claims", [{"events": {Revoke.type: {"selector": {}, "expires_at": 1e12}}}, {"iat": 0}, {"txn": "x"}, {"added": 1}]
)
def test_tampered_event(issuer: IssuerSimulator, listener: Listener, claims: dict[str, object]) -> None:
    event = issuer.sign(Stream.REVOCATIONS, NEXT, EVERYTHING)

    assert_refused(listener, Stream.REVOCATIONS, changed(event, **claims), RefusalCode.BAD_SIGNATURE)


def test_event_by_an_unpinned_key(issuer: IssuerSimulator, listener: Listener) -> None:
    raw = signed_by("stranger", issuer.issuer, EVERYTHING, Stream.REVOCATIONS)

    assert_refused(listener, Stream.REVOCATIONS, raw, RefusalCode.UNKNOWN_KEY)


def test_event_by_an_unpinned_key_under_a_pinned_name(issuer: IssuerSimulator, listener: Listener) -> None:
    raw = signed_by("event-key", issuer.issuer, EVERYTHING, Stream.REVOCATIONS)

    assert_refused(listener, Stream.REVOCATIONS, raw, RefusalCode.BAD_SIGNATURE)


def test_event_by_a_token_key(issuer: IssuerSimulator, listener: Listener) -> None:
    signer = EventSigner(issuer.issuer, EventKey(issuer.key.jwk(private=True)))
    raw = signer.sign(Stream.REVOCATIONS, NEXT, EVERYTHING, time=NOON, txn="t").text

    assert_refused(listener, Stream.REVOCATIONS, raw, RefusalCode.UNKNOWN_KEY)


def test_key_set_of_a_stranger(issuer: IssuerSimulator, listener: Listener) -> None:
    raw = signed_by("event-key", issuer.issuer, KeySet(keys=(STRANGER.published(),)), Stream.KEYS)

    assert_refused(listener, Stream.KEYS, raw, RefusalCode.BAD_SIGNATURE)
    assert listener.rejection(issuer.token(key=STRANGER)) is RejectionCode.UNKNOWN_KEY


def test_forged_lift(issuer: IssuerSimulator, listener: Listener) -> None:
    token = issuer.token()
    revocation = issuer.revoke(Selector.of(sub="alice"))
    listener.hear(revocation)
    lift = Lift(target=revocation.seq, expires_at=NOON + 60)

    for kid, code in (("stranger", RefusalCode.UNKNOWN_KEY), ("event-key", RefusalCode.BAD_SIGNATURE)):
        assert_refused(listener, Stream.REVOCATIONS, signed_by(kid, issuer.issuer, lift, Stream.REVOCATIONS), code)
        assert listener.rejection(token) is RejectionCode.REVOKED


# -- where it belongs


def test_event_of_another_issuer_with_the_same_key(issuer: IssuerSimulator, listener: Listener) -> None:
    other = IssuerSimulator("https://other.example")
    assert other.event_key == issuer.event_key

    raw = other.sign(Stream.REVOCATIONS, NEXT, EVERYTHING).text
    assert_refused(listener, Stream.REVOCATIONS, raw, RefusalCode.WRONG_ISSUER)


@pytest.mark.parametrize(("said_on", "found_on"), list(permutations(Stream, 2)))
def test_event_moved_to_another_stream(
    issuer: IssuerSimulator, listener: Listener, said_on: Stream, found_on: Stream
) -> None:
    record = Heartbeat(time=NOON, heads={}) if said_on is Stream.HEARTBEATS else EVERYTHING
    raw = issuer.sign(said_on, NEXT, record).text

    assert_refused(listener, found_on, raw, RefusalCode.WRONG_STREAM)


def test_event_moved_to_another_sequence(issuer: IssuerSimulator, listener: Listener) -> None:
    event = issuer.sign(Stream.REVOCATIONS, NEXT, EVERYTHING)
    raw = changed(event, tocsin={"stream": "revocations", "seq": NEXT + 1, "critical": True})

    assert_refused(listener, Stream.REVOCATIONS, raw, RefusalCode.BAD_SIGNATURE)


# -- when it was said


def test_replayed_event(issuer: IssuerSimulator, listener: Listener) -> None:
    token = issuer.token()
    revocation = issuer.revoke(Selector.of(sub="alice"))
    lift = issuer.lift(revocation)
    listener.hear(revocation, lift)
    state = listener.verifier.snapshot()

    assert listener.hear(revocation, lift, revocation) == [Outcome.KNOWN] * 3
    assert listener.verifier.snapshot() == state
    assert listener.rejection(token) is None


def test_replayed_batch_outlives_its_lift(issuer: IssuerSimulator, listener: Listener) -> None:
    token = issuer.token()
    batch = issuer.revoke_tokens(token)
    listener.hear(batch, batch)
    listener.hear(issuer.lift(batch), batch)

    assert listener.rejection(token) is None


def test_replayed_key_set(issuer: IssuerSimulator, listener: Listener) -> None:
    older = issuer.publish_key(signing_key("ES256", "second"))
    listener.hear(older, issuer.publish_key(signing_key("ES256", "second"), KeyState.RETIRED))

    assert listener.hear(older) == [Outcome.KNOWN]
    assert not listener.verifier.state.keys.verifies("second")


def test_replayed_heartbeat_hides_that_events_are_held_back(issuer: IssuerSimulator, listener: Listener) -> None:
    older = issuer.beat()
    listener.hear(older)
    issuer.clock.advance(1)
    listener.hear(issuer.beat())
    issuer.revoke(Selector())  # held back by the attacker
    for _ in range(10):
        issuer.clock.advance(60)
        assert listener.hear(older) == [RefusalCode.ROLLED_BACK]

    assert listener.freshness == 600.0
    assert listener.verifier.refused[RefusalCode.ROLLED_BACK] == 10


def test_newest_heartbeat_replayed_for_ever(issuer: IssuerSimulator, listener: Listener) -> None:
    newest = issuer.beat()
    for _ in range(10):
        listener.hear(newest)
        issuer.clock.advance(60)

    assert listener.freshness == 600.0


def test_event_held_back(issuer: IssuerSimulator, listener: Listener) -> None:
    issuer.clock.advance(1)
    held_back = issuer.revoke(Selector())
    listener.hear(issuer.beat())

    assert listener.freshness == 1.0
    assert listener.verifier.state.holes() == {Stream.REVOCATIONS: [(held_back.seq, held_back.seq)]}


def test_two_histories(issuer: IssuerSimulator, listener: Listener) -> None:
    event = issuer.revoke(Selector.of(sub="alice"))
    listener.hear(event, issuer.beat())
    other = issuer.sign(Stream.REVOCATIONS, event.seq, EVERYTHING)
    issuer.clock.advance(1)

    assert listener.hear(other) == [RefusalCode.FORKED]
    assert listener.hear(issuer.beat()) == [Outcome.APPLIED]
    assert listener.freshness == 1.0  # stale from here on
    assert "two different events" in listener.verifier.state.forks()[0]


def test_store_rolled_back_to_a_backup(issuer: IssuerSimulator, listener: Listener) -> None:
    before = issuer.beat().record
    assert isinstance(before, Heartbeat)
    listener.hear(issuer.revoke(Selector.of(sub="alice")), issuer.beat())
    issuer.clock.advance(60)
    after_restore = issuer.sign(Stream.HEARTBEATS, NEXT, Heartbeat(time=issuer.clock.now(), heads=before.heads))
    listener.hear(after_restore)

    assert listener.freshness == 60.0
    assert "lies below the applied" in listener.verifier.state.forks()[0]


def test_store_rolled_back_and_numbered_anew(issuer: IssuerSimulator, listener: Listener) -> None:
    event = issuer.revoke(Selector.of(sub="alice"))
    listener.hear(event)
    other = issuer.sign(Stream.REVOCATIONS, event.seq, EVERYTHING)
    heads = {str(stream): StreamHead(head=event.seq, digest=other.digest, floor=1) for stream in SEQUENCED}
    listener.hear(issuer.sign(Stream.HEARTBEATS, NEXT, Heartbeat(time=NOON, heads=heads)))

    assert "is another event than the one applied" in listener.verifier.state.forks()[0]


def test_baseline_that_skips_what_was_said(issuer: IssuerSimulator, listener: Listener) -> None:
    event = issuer.revoke(Selector.of(sub="alice"))
    listener.hear(event)
    head = issuer.open_incarnation()[1]
    lying = issuer.sign(Stream.REVOCATIONS, head.seq, type(head.record)(follows=event.seq, follows_digest="0" * 32))

    assert listener.hear(lying) == [RefusalCode.FORKED]
    assert listener.verifier.state.forks()


@pytest.mark.parametrize("follows", [NEXT, NEXT + 1, -1])
def test_baseline_that_follows_what_comes_after_it(issuer: IssuerSimulator, listener: Listener, follows: int) -> None:
    record = type(issuer.said[0].record)(follows=follows)

    raw = issuer.sign(Stream.REVOCATIONS, NEXT, record).text
    assert_refused(listener, Stream.REVOCATIONS, raw, RefusalCode.BAD_RECORD)


# -- what cannot be understood


def unknown(issuer: IssuerSimulator, *, critical: bool) -> bytes:
    claims = {
        "iss": issuer.issuer,
        "iat": issuer.clock.now(),
        "txn": "t",
        "events": {"urn:tocsin:event:from-the-future": {}},
        "tocsin": {"stream": "revocations", "seq": issuer.said[-1].seq, "critical": critical},
    }
    header = {"alg": "ES256", "kid": issuer.event_key.kid, "typ": "secevent+jwt"}
    return issuer.event_key.jws(header, json.dumps(claims).encode()).encode()


def test_critical_event_of_an_unknown_type_leaves_us_stale_by_name(issuer: IssuerSimulator, listener: Listener) -> None:
    issuer.revoke(Selector())  # takes the place of the event that we do not know
    issuer.clock.advance(1)

    assert listener.hear_raw(Stream.REVOCATIONS, unknown(issuer, critical=True)) is RefusalCode.UNKNOWN_CRITICAL
    listener.hear(issuer.revoke(Selector.of(sub="later")), issuer.beat())

    assert listener.freshness == 1.0
    assert listener.verifier.state.revocations.selectors == 1
    assert any("urn:tocsin:event:from-the-future" in name for name in listener.verifier.misunderstood)


def test_other_event_of_an_unknown_type_counts_as_applied(issuer: IssuerSimulator, listener: Listener) -> None:
    listener.hear(issuer.revoke(Selector.of(sub="someone")))
    raw = unknown(issuer, critical=False)
    fresh = Listener(issuer)
    fresh.hear(*issuer.said[:-1])

    assert fresh.hear_raw(Stream.REVOCATIONS, raw) is Outcome.APPLIED
    assert fresh.verifier.state.sequences[Stream.REVOCATIONS].contiguous() == issuer.said[-1].seq
    assert fresh.verifier.misunderstood == set()


# -- whom to trust


def test_only_pinned_keys_count_even_beside_others(issuer: IssuerSimulator) -> None:
    second = signing_key("ES256", "second-event-key")
    trust = IssuerTrust(issuer=issuer.issuer, event_keys=(issuer.event_key.jwk(), second.jwk()))
    verifier = Verifier(trust)
    signers = [EventSigner(issuer.issuer, EventKey(key.jwk(private=True))) for key in (second, STRANGER)]
    told = [
        verifier.apply(Stream.REVOCATIONS, signer.sign(Stream.REVOCATIONS, NEXT, EVERYTHING, time=NOON, txn="t").text)
        for signer in signers
    ]

    assert told == [Outcome.APPLIED, RefusalCode.UNKNOWN_KEY]


@pytest.mark.parametrize(
    ("stream", "record"),
    [
        (Stream.KEYS, EVERYTHING),
        (Stream.REVOCATIONS, KeySet(keys=())),
        (Stream.REVOCATIONS, Heartbeat(time=NOON, heads={})),
    ],
    ids=["a revocation among the keys", "a key set among the revocations", "a heartbeat among the revocations"],
)
def test_a_record_signed_for_a_stream_where_it_does_not_belong(
    stream: Stream, record: Revoke | KeySet | Heartbeat
) -> None:
    issuer = IssuerSimulator()
    listener = Listener.caught_up(issuer)

    assert listener.hear(issuer.sign(stream, NEXT, record)) == [RefusalCode.BAD_RECORD]


@pytest.mark.parametrize("claims", [b'{"iss":"\xff"}', b'{"tocsin":{"stream":"\xc0\xaf"}}'])
def test_event_whose_claims_are_no_utf_8(issuer: IssuerSimulator, listener: Listener, claims: bytes) -> None:
    header = {"alg": issuer.event_key.alg, "kid": issuer.event_key.kid, "typ": "secevent+jwt"}

    assert_refused(listener, Stream.KEYS, issuer.event_key.jws(header, claims).encode(), RefusalCode.MALFORMED)
