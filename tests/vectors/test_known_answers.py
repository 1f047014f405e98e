"""Known answers: what is written today must be read for ever."""

import json

import pytest

from events import (
    EventKey,
    EventOpener,
    EventSigner,
    IssuerTrust,
    Revoke,
    Selector,
    Stream,
    TokenDigest,
    UnverifiedEvent,
    jti_digest,
    pack,
    token_digest,
)
from events.digests import pack_digests, unpack_digests
from tests.simulator import unb64

RFC8037_KEY = {
    "kty": "OKP",
    "crv": "Ed25519",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "kid": "rfc8037",
    "alg": "EdDSA",
}
RECORD = Revoke(selector=Selector.of(sub="alice"), expires_at=1_800_003_600.0, reason="lost laptop", actor="ops")
EVENT = (
    "eyJhbGciOiJFZERTQSIsImtpZCI6InJmYzgwMzciLCJ0eXAiOiJzZWNldmVudCtqd3QifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlc"
    "i5leGFtcGxlIiwiaWF0IjoxODAwMDAwMDAwLjEyMywianRpIjoicmV2b2NhdGlvbnMuMi41IiwidHhuIjoiODY3NTMwOSIsImV2Z"
    "W50cyI6eyJ1cm46dG9jc2luOmV2ZW50OnJldm9rZSI6eyJzZWxlY3RvciI6eyJjbGFpbXMiOnsic3ViIjoiYWxpY2UifX0sImV4c"
    "GlyZXNfYXQiOjE4MDAwMDM2MDAuMCwicmVhc29uIjoibG9zdCBsYXB0b3AiLCJhY3RvciI6Im9wcyJ9LCJodHRwczovL3NjaGVtY"
    "XMub3BlbmlkLm5ldC9zZWNldmVudC9jYWVwL2V2ZW50LXR5cGUvc2Vzc2lvbi1yZXZva2VkIjp7ImV2ZW50X3RpbWVzdGFtcCI6M"
    "TgwMDAwMDAwMCwiaW5pdGlhdGluZ19lbnRpdHkiOiJhZG1pbiIsInJlYXNvbl9hZG1pbiI6eyJlbiI6Imxvc3QgbGFwdG9wIn19f"
    "SwidG9jc2luIjp7InN0cmVhbSI6InJldm9jYXRpb25zIiwic2VxIjoyMTk5MDIzMjU1NTU3LCJjcml0aWNhbCI6dHJ1ZX0sInN1Y"
    "l9pZCI6eyJmb3JtYXQiOiJpc3Nfc3ViIiwiaXNzIjoiaHR0cHM6Ly9pc3N1ZXIuZXhhbXBsZSIsInN1YiI6ImFsaWNlIn19.7qYW"
    "DzoqRmEVfpQoGtD-RIH9cgGc_R8o-puLB6hXKYHQkfO35P1NeJZMvYu9yGxWxI43CWv7STysMuSW3of_DQ"
)


def test_a_known_event_opens_to_its_record() -> None:
    public = {name: value for name, value in RFC8037_KEY.items() if name != "d"}
    opener = EventOpener(IssuerTrust(issuer="https://issuer.example", event_keys=(public,)))

    event = opener.open(UnverifiedEvent(EVENT.encode()), Stream.REVOCATIONS)

    assert event.record == RECORD
    assert (event.issuer, event.stream) == ("https://issuer.example", Stream.REVOCATIONS)
    assert (event.seq, event.txn, event.time) == (pack(2, 5), "8675309", 1_800_000_000.123)
    assert event.digest == "cf44a17838f7857b5a342895ffdb34e7"


def test_the_record_is_signed_to_the_known_event() -> None:
    signer = EventSigner("https://issuer.example", EventKey(RFC8037_KEY))

    event = signer.sign(Stream.REVOCATIONS, pack(2, 5), RECORD, time=1_800_000_000.123, txn="8675309")

    assert event.text.decode() == EVENT  # Ed25519 signatures are not random


def test_the_known_event_reads_as_a_security_event_token() -> None:
    header, claims = (json.loads(unb64(part)) for part in EVENT.split(".")[:2])

    assert header == {"alg": "EdDSA", "kid": "rfc8037", "typ": "secevent+jwt"}
    assert claims == {
        "iss": "https://issuer.example",
        "iat": 1800000000.123,
        "jti": "revocations.2.5",
        "txn": "8675309",
        "sub_id": {"format": "iss_sub", "iss": "https://issuer.example", "sub": "alice"},
        "events": {
            "urn:tocsin:event:revoke": {
                "selector": {"claims": {"sub": "alice"}},
                "expires_at": 1800003600.0,
                "reason": "lost laptop",
                "actor": "ops",
            },
            "https://schemas.openid.net/secevent/caep/event-type/session-revoked": {
                "event_timestamp": 1800000000,
                "initiating_entity": "admin",
                "reason_admin": {"en": "lost laptop"},
            },
        },
        "tocsin": {"stream": "revocations", "seq": 2199023255557, "critical": True},
    }


def test_a_token_has_the_known_digest() -> None:
    token = (
        "eyJhbGciOiJFUzI1NiJ9"
        ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    )

    assert token_digest(token) == 0x21C67368F436577F


@pytest.mark.parametrize(
    ("jti", "digest"),
    [
        ("", 0xE3B0C44298FC1C14),
        ("abc", 0xBA7816BF8F01CFEA),
        ("token-1", 0x3F08AACE122EE236),
        ("zo\u00eb", 0x2752B88686847FA5),
    ],
)
def test_a_jti_has_the_known_digest(jti: str, digest: int) -> None:
    assert jti_digest(jti) == digest


def test_digests_are_packed_big_endian_in_ascending_order() -> None:
    packed = bytes.fromhex("00000000000000010102030405060708ffffffffffffffff")

    assert pack_digests(map(TokenDigest, [0x0102030405060708, 2**64 - 1, 1])) == packed
    assert list(unpack_digests(packed)) == [1, 0x0102030405060708, 2**64 - 1]


@pytest.mark.parametrize(
    ("incarnation", "number", "seq"),
    [
        (1, 0, 1_099_511_627_776),
        (1, 1, 1_099_511_627_777),
        (2, 5, 2_199_023_255_557),
        (8191, 2**40 - 1, 9_007_199_254_740_991),
    ],
)
def test_incarnation_and_number_pack_to_the_known_seq(incarnation: int, number: int, seq: int) -> None:
    assert pack(incarnation, number) == seq
