"""Events as Security Event Tokens (RFC 8417)."""

import json
from typing import Any

import jwt
import msgspec
import pytest

from events import (
    AgentStatus,
    Baseline,
    EventKey,
    EventOpener,
    EventRefused,
    EventSigner,
    Heartbeat,
    IssuerTrust,
    KeySet,
    Lift,
    Record,
    RefusalCode,
    Revoke,
    RevokeDigests,
    Selector,
    Stream,
    StreamHead,
    TokenDigest,
    UnknownRecord,
    pack,
)
from events.digests import pack_digests
from events.sequence import MAX_SEQ
from events.signing import MAX_EVENT_BYTES
from events.subjects import CAEP_SESSION_REVOKED
from tests.simulator import ISSUER, NOON, IssuerSimulator, SigningKey, b64, signing_key, unb64

EVENT_KEY = signing_key("ES256", "event-key")
SEQ = pack(1, 7)
ALICE = Revoke(selector=Selector.of(sub="alice"), expires_at=NOON + 60, reason="lost laptop", actor="ops")
RECORDS: list[tuple[Stream, Record]] = [
    (Stream.KEYS, KeySet(keys=(signing_key("ES256", "ES256-key").published(),), reason="first", actor="ops")),
    (Stream.REVOCATIONS, ALICE),
    (Stream.REVOCATIONS, Revoke(selector=Selector(), expires_at=NOON, issued_before=NOON - 5.25)),
    (Stream.REVOCATIONS, RevokeDigests(digests=pack_digests([TokenDigest(2**64 - 1)]), expires_at=NOON)),
    (Stream.REVOCATIONS, Lift(target=pack(1, 3), expires_at=NOON)),
    (Stream.REVOCATIONS, Baseline(follows=pack(1, 6), follows_digest="0" * 32)),
    (Stream.HEARTBEATS, Heartbeat(time=NOON, heads={"keys": StreamHead(head=SEQ, digest="0" * 32, floor=1)})),
    (Stream.AGENTS, AgentStatus(agent="a", time=NOON, applied={"keys": SEQ}, understands=("urn:x",))),
]


def signed(stream: Stream, record: Record, seq: int = SEQ, key: SigningKey = EVENT_KEY) -> bytes:
    signer = EventSigner(ISSUER, EventKey(key.jwk(private=True)))
    return signer.sign(stream, seq, record, time=NOON + 0.12345, txn="txn-1").text


def opener(*keys: SigningKey) -> EventOpener:
    return EventOpener(IssuerTrust(issuer=ISSUER, event_keys=tuple(key.jwk() for key in keys or [EVENT_KEY])))


def claims_of(text: bytes) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(unb64(text.decode().split(".")[1]))
    return claims


def forged(claims: dict[str, Any], **header: Any) -> bytes:
    """An event with a good signature over claims that no issuer would sign."""
    members = {"alg": "ES256", "kid": EVENT_KEY.kid, "typ": "secevent+jwt"} | header
    return EVENT_KEY.jws(members, msgspec.json.encode(claims)).encode()


@pytest.mark.parametrize(("stream", "record"), RECORDS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256"])
def test_an_event_opens_to_the_record_that_was_signed(stream: Stream, record: Record, alg: str) -> None:
    key = signing_key(alg, "event-key")
    event = EventSigner(ISSUER, EventKey(key.jwk(private=True))).sign(stream, SEQ, record, time=NOON, txn="txn-1")

    opened = opener(key).open(event.text, stream)

    assert opened.record == record
    assert (opened.issuer, opened.stream, opened.seq, opened.txn) == (ISSUER, stream, SEQ, "txn-1")
    assert (opened.time, opened.digest) == (event.time, event.digest)


@pytest.mark.parametrize(("stream", "record"), RECORDS, ids=lambda value: type(value).__name__)
def test_an_event_has_the_shape_of_a_security_event_token(stream: Stream, record: Record) -> None:
    text = signed(stream, record)
    claims = claims_of(text)

    assert jwt.get_unverified_header(text) == {"alg": "ES256", "kid": "event-key", "typ": "secevent+jwt"}
    assert (claims["iss"], claims["txn"], claims["jti"]) == (ISSUER, "txn-1", f"{stream}.1.7")
    assert claims["iat"] == NOON + 0.123
    assert type(record).type in claims["events"]
    assert claims["tocsin"] == {"stream": str(stream), "seq": SEQ} | ({"critical": True} if record.critical else {})
    assert not {"exp", "sub"} & set(claims)


def revoking(issuer: str | None = None, **claims: str | int) -> Record:
    return Revoke(selector=Selector(claims=dict(claims), issuer=issuer), expires_at=NOON)


@pytest.mark.parametrize(
    ("record", "subject"),
    [
        (revoking(sub="alice"), {"format": "iss_sub", "iss": ISSUER, "sub": "alice"}),
        (
            revoking(issuer="https://other.example", sub="alice"),
            {"format": "iss_sub", "iss": "https://other.example", "sub": "alice"},
        ),
        (revoking(jti="t-1"), {"format": "jwt_id", "iss": ISSUER, "jti": "t-1"}),
        (revoking(sid="s-1"), {"format": "complex", "session": {"format": "opaque", "id": "s-1"}}),
        (
            revoking(sub="alice", client_id="web", tenant="acme"),
            {
                "format": "complex",
                "user": {"format": "iss_sub", "iss": ISSUER, "sub": "alice"},
                "application": {"format": "opaque", "id": "web"},
                "tenant": {"format": "opaque", "id": "acme"},
            },
        ),
        (revoking(), None),
        (revoking(aud="orders"), None),
        (revoking(sub="alice", aud="orders"), None),
        (Lift(target=SEQ, expires_at=NOON), None),
    ],
)
def test_sub_id_says_whom_an_event_hits_where_a_format_can(record: Record, subject: dict[str, Any] | None) -> None:
    assert claims_of(signed(Stream.REVOCATIONS, record)).get("sub_id") == subject


def test_a_subject_identifier_holds_text_alone() -> None:
    subject = claims_of(signed(Stream.REVOCATIONS, revoking(tenant=7)))["sub_id"]

    assert subject == {"format": "complex", "tenant": {"format": "opaque", "id": "7"}}


@pytest.mark.parametrize("claims", [{"sub": "alice"}, {"sid": "s-1"}, {"sub": "alice", "sid": "s-1"}])
def test_revoking_a_user_or_session_names_the_caep_type_too(claims: dict[str, str]) -> None:
    record = Revoke(selector=Selector(claims=dict(claims)), expires_at=NOON, reason="lost laptop")

    assert claims_of(signed(Stream.REVOCATIONS, record))["events"][CAEP_SESSION_REVOKED] == {
        "event_timestamp": int(NOON),
        "initiating_entity": "admin",
        "reason_admin": {"en": "lost laptop"},
    }


@pytest.mark.parametrize("claims", [{}, {"client_id": "web"}, {"sub": "alice", "client_id": "web"}])
def test_revoking_anything_else_names_our_type_alone(claims: dict[str, str]) -> None:
    record = Revoke(selector=Selector(claims=dict(claims)), expires_at=NOON)

    assert set(claims_of(signed(Stream.REVOCATIONS, record))["events"]) == {Revoke.type}


# -- what does not open

GOOD = claims_of(signed(Stream.REVOCATIONS, ALICE))


def without(name: str) -> dict[str, Any]:
    return {member: value for member, value in GOOD.items() if member != name}


def placed(**place: Any) -> dict[str, Any]:
    return GOOD | {"tocsin": GOOD["tocsin"] | place}


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        *((without(name), RefusalCode.MALFORMED) for name in ("iss", "iat", "txn", "events", "tocsin")),
        (GOOD | {"exp": NOON + 60}, RefusalCode.MALFORMED),
        (GOOD | {"exp": None}, RefusalCode.MALFORMED),
        (GOOD | {"sub": "alice"}, RefusalCode.MALFORMED),
        (GOOD | {"iat": "now"}, RefusalCode.MALFORMED),
        (GOOD | {"iat": True}, RefusalCode.MALFORMED),
        (GOOD | {"iss": "https://other.example"}, RefusalCode.WRONG_ISSUER),
        (placed(stream="keys"), RefusalCode.WRONG_STREAM),
        (placed(stream="elsewhere"), RefusalCode.MALFORMED),
        *((placed(seq=seq), RefusalCode.BAD_SEQUENCE) for seq in (0, -1, 7, pack(1, 0), MAX_SEQ + 1, 2**63, 10**40)),
        *((placed(seq=seq), RefusalCode.MALFORMED) for seq in (True, "1", 1.5, None)),
        (GOOD | {"events": {Revoke.type: {}}}, RefusalCode.BAD_RECORD),
        (GOOD | {"events": {Revoke.type: []}}, RefusalCode.BAD_RECORD),
        (
            GOOD | {"events": {Revoke.type: {"selector": {"claims": {"iss": "x"}}, "expires_at": 1}}},
            RefusalCode.BAD_RECORD,
        ),
        (GOOD | {"events": {RevokeDigests.type: {"digests": "?", "expires_at": 1}}}, RefusalCode.BAD_RECORD),
        (GOOD | {"events": {Heartbeat.type: {"time": 1, "heads": {}}}}, RefusalCode.BAD_RECORD),
        (GOOD | {"events": {"urn:example:new": {}}}, RefusalCode.UNKNOWN_CRITICAL),
    ],
)
def test_signed_claims_that_are_no_event_are_refused(claims: dict[str, Any], code: RefusalCode) -> None:
    with pytest.raises(EventRefused) as refused:
        opener().open(forged(claims), Stream.REVOCATIONS)

    assert refused.value.code is code


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({"typ": "at+jwt"}, RefusalCode.WRONG_TYPE),
        ({"typ": None}, RefusalCode.WRONG_TYPE),
        ({"crit": ["exp"]}, RefusalCode.MALFORMED),
        ({"b64": False}, RefusalCode.MALFORMED),
        ({"jku": "https://evil.example/jwks"}, RefusalCode.MALFORMED),
        ({"kid": "another"}, RefusalCode.UNKNOWN_KEY),
        ({"kid": ["event-key"]}, RefusalCode.UNKNOWN_KEY),
        ({"alg": "RS256"}, RefusalCode.BAD_SIGNATURE),
        ({"alg": "none"}, RefusalCode.BAD_SIGNATURE),
        ({"alg": {}}, RefusalCode.BAD_SIGNATURE),
    ],
)
def test_a_header_that_is_not_an_events_is_refused(header: dict[str, Any], code: RefusalCode) -> None:
    with pytest.raises(EventRefused) as refused:
        opener().open(forged(GOOD, **header), Stream.REVOCATIONS)

    assert refused.value.code is code


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b".",
        b"..",
        b"...",
        b"{}",
        b"\xff\xfe.\xff.\xff",
        b"a" * 5,
        b64(b"[]").encode() + b".e30.AA",
        b64(b"{" * 5000).encode() + b".e30.AA",
        b64(b'{"alg":"ES256","kid":"event-key","typ":"secevent+jwt"}').encode(),
        b64(b'{"alg":"ES256","kid":"event-key","typ":"secevent+jwt"}').encode() + b".e30",
        b64(b'{"alg":"ES256","kid":"\xff","typ":"secevent+jwt"}').encode() + b".e30.AA",
    ],
)
def test_bytes_that_are_no_signed_event_are_refused_as_malformed(raw: bytes) -> None:
    with pytest.raises(EventRefused) as refused:
        opener().open(raw, Stream.REVOCATIONS)

    assert refused.value.code is RefusalCode.MALFORMED


@pytest.mark.parametrize("depth", range(900, 1001, 4))
@pytest.mark.parametrize("member", ["alg", "kid", "typ"])
def test_a_header_nested_to_the_limit_of_the_interpreter_is_refused(depth: int, member: str) -> None:
    header = {"alg": '"ES256"', "kid": '"event-key"', "typ": '"secevent+jwt"'} | {member: "[" * depth + "]" * depth}
    raw = b64(("{" + ",".join(f'"{name}":{value}' for name, value in header.items()) + "}").encode())

    with pytest.raises(EventRefused):
        opener().open(f"{raw}.e30.AA".encode(), Stream.REVOCATIONS)


def test_an_oversized_event_is_refused_before_anything_is_decoded() -> None:
    with pytest.raises(EventRefused) as refused:
        opener().open(b"x" * (MAX_EVENT_BYTES + 1), Stream.REVOCATIONS)

    assert refused.value.code is RefusalCode.OVERSIZED


def test_an_unknown_event_that_need_not_be_understood_opens_to_its_name() -> None:
    claims = placed(critical=False) | {"events": {"urn:example:new": {"anything": 1}}}

    assert opener().open(forged(claims), Stream.REVOCATIONS).record == UnknownRecord(name="urn:example:new")


def test_the_known_type_is_found_among_other_names_for_the_same_fact() -> None:
    claims = GOOD | {"events": {"urn:example:other": {}} | GOOD["events"]}

    assert opener().open(forged(claims), Stream.REVOCATIONS).record == ALICE


def test_members_that_a_later_version_adds_are_passed_over() -> None:
    payload = GOOD["events"][Revoke.type] | {"added": 1}

    assert opener().open(forged(GOOD | {"events": {Revoke.type: payload}}), Stream.REVOCATIONS).record == ALICE


def test_a_full_batch_of_digests_fits_into_an_event() -> None:
    batch = pack_digests(TokenDigest(number << 40) for number in range(50_000))
    text = signed(Stream.REVOCATIONS, RevokeDigests(digests=batch, expires_at=NOON))

    assert len(text) < MAX_EVENT_BYTES
    record = opener().open(text, Stream.REVOCATIONS).record
    assert isinstance(record, RevokeDigests)
    assert record.digests == batch


def test_a_private_event_key_shows_its_name_alone() -> None:
    jwk = EVENT_KEY.jwk(private=True)

    assert repr(EventKey(jwk)) == "EventKey(kid='event-key')"
    assert jwk["d"] not in str(vars(EventKey(jwk)))


def test_an_events_digest_does_not_depend_on_how_its_signature_is_spelled(issuer: IssuerSimulator) -> None:
    one, other = signed(Stream.REVOCATIONS, ALICE), signed(Stream.REVOCATIONS, ALICE)

    assert one != other  # ECDSA signatures are random
    assert opener().open(one, Stream.REVOCATIONS).digest == opener().open(other, Stream.REVOCATIONS).digest
