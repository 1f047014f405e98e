"""Whatever stands in a log is applied, known or refused with a code, and what follows it is heard."""

import json
from typing import Any, Final

from hypothesis import example, given
from hypothesis import strategies as st

from events import RefusalCode, Selector, SignedEvent, Stream, pack
from events.records import KNOWN
from tests.simulator import IssuerSimulator, Listener, b64, unb64
from verifier_agent import Outcome

ISSUER: Final = IssuerSimulator()
GOOD: Final[SignedEvent] = ISSUER.revoke(Selector.of(sub="alice"))
CLAIMS: Final[dict[str, Any]] = json.loads(unb64(GOOD.text.decode().split(".")[1]))
HEADER: Final = {"alg": ISSUER.event_key.alg, "kid": ISSUER.event_key.kid, "typ": "secevent+jwt"}

streams = st.sampled_from(Stream)
numbers = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, 1, -1, 2**53, 2**63, pack(1, 3), pack(2, 1), 1e308])
)
scalars = st.none() | st.booleans() | numbers | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
members = {
    "selector": st.fixed_dictionaries(
        {}, optional={"claims": st.dictionaries(st.text(max_size=8), scalars), "issuer": values}
    ),
    "digests": st.binary(max_size=24).map(b64) | values,
    "keys": st.lists(
        st.fixed_dictionaries(
            {"kid": st.sampled_from(["a", "b"]) | values},
            optional={
                "alg": st.sampled_from(["ES256", "RS256", "EdDSA", "none", ""]) | values,
                "state": st.sampled_from(["active", "revoked", "retired", "lost"]) | values,
                "jwk": st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "n", "e", "d"]), st.text(max_size=8))
                | values,
            },
        ),
        max_size=3,
    )
    | values,
    "heads": st.dictionaries(
        st.sampled_from(["keys", "revocations", "x"]),
        st.fixed_dictionaries({"head": numbers, "digest": st.text(max_size=4), "floor": numbers}) | values,
    )
    | values,
}
payloads = st.fixed_dictionaries(
    {},
    optional=members
    | dict.fromkeys(("expires_at", "issued_before", "target", "follows", "time"), numbers)
    | dict.fromkeys(("follows_digest", "reason", "agent"), values),
)
claims = st.fixed_dictionaries(
    {},
    optional={
        "iss": values,
        "iat": values,
        "txn": values,
        "sub": values,
        "events": st.dictionaries(st.sampled_from(list(KNOWN)), payloads, max_size=2) | values,
        "tocsin": st.fixed_dictionaries(
            {},
            optional={"stream": streams.map(str) | values, "seq": numbers, "critical": st.booleans() | values},
        )
        | values,
    },
)


def assert_survived(stream: Stream, raw: bytes) -> None:
    """It is told what became of it, and the next event takes effect."""
    listener = Listener.caught_up(ISSUER)
    assert isinstance(listener.hear_raw(stream, raw), Outcome | RefusalCode)
    listener.verifier.snapshot()
    listener.rejection(ISSUER.token())
    assert listener.hear(ISSUER.sign(Stream.REVOCATIONS, pack(8191, 7), GOOD.record)) == [Outcome.APPLIED]


@given(streams, st.binary(max_size=200))
@example(Stream.KEYS, b"." * 1_000_001)
def test_arbitrary_bytes(stream: Stream, raw: bytes) -> None:
    assert_survived(stream, raw)


@given(streams, st.integers(0, len(GOOD.text) - 1), st.binary(max_size=3))
def test_an_altered_event(stream: Stream, at: int, put: bytes) -> None:
    assert_survived(stream, GOOD.text[:at] + put + GOOD.text[at + 1 :])


@given(streams, st.dictionaries(st.sampled_from(["alg", "kid", "typ"]) | st.text(max_size=4), values))
def test_an_arbitrary_header_over_a_good_payload(stream: Stream, header: dict[str, Any]) -> None:
    raw = ISSUER.event_key.jws(HEADER | header, unb64(GOOD.text.decode().split(".")[1]))

    assert_survived(stream, raw.encode())


@given(streams, claims)
def test_arbitrary_claims_under_a_good_signature(stream: Stream, changes: dict[str, Any]) -> None:
    raw = ISSUER.event_key.jws(HEADER, json.dumps(CLAIMS | changes).encode())

    assert_survived(stream, raw.encode())


@given(st.sampled_from([Stream.KEYS, Stream.REVOCATIONS, Stream.HEARTBEATS]), st.sampled_from(list(KNOWN)), payloads)
def test_an_arbitrary_record_in_a_good_place(stream: Stream, name: str, payload: dict[str, Any]) -> None:
    placed = {"tocsin": {"stream": stream, "seq": pack(1, 400)}, "events": {name: payload}}
    raw = ISSUER.event_key.jws(HEADER, json.dumps(CLAIMS | placed).encode())

    assert_survived(stream, raw.encode())
