"""Verdicts on tokens."""

import math
from typing import Any

import msgspec
import pytest

from events import AgentStatus, KeyState, RefusalCode, Selector, Stream
from tests.simulator import AUDIENCE, IssuerSimulator, Listener, b64, signing_key
from verifier_agent import (
    OnStale,
    Outcome,
    RejectionCode,
    TokenRejected,
    UnavailableCode,
    VerificationPolicy,
    VerificationUnavailable,
)
from verifier_agent.jws import MAX_TOKEN_CHARS

POLICY = VerificationPolicy(audience=AUDIENCE)
SECOND = signing_key("ES256", "second")


def listening(issuer: IssuerSimulator, **policy: Any) -> Listener:
    return Listener.caught_up(issuer, msgspec.structs.replace(POLICY, **policy))


# -- good tokens


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_a_good_token_gives_its_claims(alg: str, typ: str) -> None:
    issuer = IssuerSimulator(alg=alg)
    token = issuer.token(header={"typ": typ}, tenant="acme", nbf=int(issuer.clock.now()))
    claims = Listener.caught_up(issuer).verify(token, scope="orders:read")

    assert (claims.iss, claims.sub, claims.client_id) == (issuer.issuer, "alice", "web")
    assert claims.aud == (AUDIENCE,)
    assert (claims.exp, claims.iat, claims.nbf) == (1_800_000_600, 1_800_000_000, 1_800_000_000)
    assert claims.scope == {"orders:read", "orders:write"}
    assert claims.raw["tenant"] == "acme"


def test_only_iss_and_exp_are_needed(issuer: IssuerSimulator, listener: Listener) -> None:
    token = issuer.token(sub=None, aud=None, client_id=None, iat=None, jti=None, scope=None, rsq=None)
    claims = listener.verify(token, audience=None)

    assert (claims.sub, claims.aud, claims.iat, claims.jti, claims.client_id) == (None, (), None, None, None)
    assert claims.scope == frozenset()


def test_claims_cannot_be_altered(issuer: IssuerSimulator, listener: Listener) -> None:
    claims = listener.verify(issuer.token())

    with pytest.raises(AttributeError):
        claims.sub = "bob"  # type: ignore[misc]
    with pytest.raises(TypeError):
        claims.raw["sub"] = "bob"  # type: ignore[index]


# -- rejections, each by its code

NESTED = "[" * 3000 + "]" * 3000
HUGE = b'{"iss":"https://issuer.example","aud":"orders","exp":1800000600,"number":' + b"9" * 5000 + b"}"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"iss": "https://other.example"}, RejectionCode.WRONG_ISSUER),
        ({"iss": "https://issuer.example/"}, RejectionCode.WRONG_ISSUER),
        ({"aud": "billing"}, RejectionCode.WRONG_AUDIENCE),
        ({"aud": ["billing", "ORDERS"]}, RejectionCode.WRONG_AUDIENCE),
        ({"aud": []}, RejectionCode.WRONG_AUDIENCE),
        ({"aud": None}, RejectionCode.WRONG_AUDIENCE),
        ({"exp": 1_799_999_995}, RejectionCode.EXPIRED),
        ({"exp": 0}, RejectionCode.EXPIRED),
        ({"exp": -1}, RejectionCode.EXPIRED),
        ({"nbf": 1_800_000_006}, RejectionCode.NOT_YET_VALID),
        ({"iat": 1_800_000_006}, RejectionCode.NOT_YET_VALID),
        ({"iss": None}, RejectionCode.MALFORMED),
        ({"exp": None}, RejectionCode.MALFORMED),
        ({"exp": "1800000600"}, RejectionCode.MALFORMED),
        ({"exp": True}, RejectionCode.MALFORMED),
        ({"exp": 10**400}, RejectionCode.MALFORMED),
        ({"iat": "now"}, RejectionCode.MALFORMED),
        ({"iss": 7}, RejectionCode.MALFORMED),
        ({"sub": 7}, RejectionCode.MALFORMED),
        ({"aud": 7}, RejectionCode.MALFORMED),
        ({"aud": ["orders", 7]}, RejectionCode.MALFORMED),
        ({"jti": 7}, RejectionCode.MALFORMED),
        ({"client_id": 7}, RejectionCode.MALFORMED),
        ({"scope": ["orders:read"]}, RejectionCode.MALFORMED),
        ({"groups": ["x"] * 257}, RejectionCode.MALFORMED),
        ({"aud": ["orders"] * 257}, RejectionCode.MALFORMED),
        ({"scope": " ".join(map(str, range(257)))}, RejectionCode.MALFORMED),
        ({"sub": "a" * MAX_TOKEN_CHARS}, RejectionCode.OVERSIZED),
    ],
)
def test_a_token_with_wrong_claims_is_rejected(
    issuer: IssuerSimulator, listener: Listener, claims: dict[str, Any], code: RejectionCode
) -> None:
    assert listener.rejection(issuer.token(**claims)) is code


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({"alg": "RS256"}, RejectionCode.WRONG_ALGORITHM),
        ({"alg": "es256"}, RejectionCode.WRONG_ALGORITHM),
        ({"typ": "JWT"}, RejectionCode.WRONG_TYPE),
        ({"typ": ""}, RejectionCode.WRONG_TYPE),
        ({"kid": "nobody"}, RejectionCode.UNKNOWN_KEY),
        ({"kid": ""}, RejectionCode.UNKNOWN_KEY),
        ({"alg": None}, RejectionCode.MALFORMED),
        ({"typ": None}, RejectionCode.MALFORMED),
        ({"kid": None}, RejectionCode.MALFORMED),
        ({"alg": ["ES256"]}, RejectionCode.MALFORMED),
        ({"kid": 7}, RejectionCode.MALFORMED),
        ({"zip": "DEF"}, RejectionCode.MALFORMED),
    ],
)
def test_a_token_with_a_wrong_header_is_rejected(
    issuer: IssuerSimulator, listener: Listener, header: dict[str, Any], code: RejectionCode
) -> None:
    assert listener.rejection(issuer.token(header=header)) is code


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        ".e30.AA",
        "e30..AA",
        "e30.e30.",
        "e30.e30.AA.AA",
        "\u00e9.e30.AA",
        "\ud800.e30.AA",
        " e30.e30.AA",
        "e30.e30.AA\n",
        f"{b64(b'[]')}.e30.AA",
        f"{b64(b'null')}.e30.AA",
        f"{b64(b'{')}.e30.AA",
        f"{b64(NESTED.encode())}.e30.AA",
    ],
)
def test_text_that_is_no_compact_jws_is_malformed(listener: Listener, token: str) -> None:
    assert listener.rejection(token) is RejectionCode.MALFORMED


@pytest.mark.parametrize("token", [None, b"e30.e30.AA", 7, ["e30.e30.AA"], {}])
def test_what_is_no_text_is_malformed(listener: Listener, token: Any) -> None:
    assert listener.rejection(token) is RejectionCode.MALFORMED


@pytest.mark.parametrize("payload", [b"[]", b"null", b"", b"{", b"\xff", b'{"iss":"\xff"}', NESTED.encode(), HUGE])
def test_a_good_signature_over_something_else_than_claims_is_malformed(
    issuer: IssuerSimulator, listener: Listener, payload: bytes
) -> None:
    token = issuer.key.jws({"alg": issuer.key.alg, "kid": issuer.key.kid, "typ": "at+jwt"}, payload)

    assert listener.rejection(token) is RejectionCode.MALFORMED


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
def test_a_signature_by_another_key_of_the_same_kind_is_bad(alg: str) -> None:
    issuer = IssuerSimulator(alg=alg)
    token = issuer.token(key=signing_key(alg, "stranger"), header={"kid": issuer.key.kid})

    assert Listener.caught_up(issuer).rejection(token) is RejectionCode.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (KeyState.PENDING, None),
        (KeyState.RETIRING, None),
        (KeyState.RETIRED, RejectionCode.UNKNOWN_KEY),
        (KeyState.REVOKED, RejectionCode.KEY_REVOKED),
    ],
)
def test_the_state_of_its_key_decides_about_a_token(
    issuer: IssuerSimulator, state: KeyState, code: RejectionCode | None
) -> None:
    issuer.publish_key(SECOND, state)

    assert Listener.caught_up(issuer).rejection(issuer.token(key=SECOND)) is code


def test_a_retired_key_that_is_still_published_is_not_in_use(issuer: IssuerSimulator) -> None:
    issuer.keys["second"] = SECOND.published(KeyState.RETIRED)
    issuer.publish_keys()

    assert Listener.caught_up(issuer).rejection(issuer.token(key=SECOND)) is RejectionCode.KEY_NOT_IN_USE


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        (None, None),
        ("", None),
        ("orders:read", None),
        ("orders:write orders:read", None),
        ("orders", RejectionCode.INSUFFICIENT_SCOPE),
        ("orders:read admin", RejectionCode.INSUFFICIENT_SCOPE),
    ],
)
def test_a_token_needs_every_scope_that_is_asked_for(
    issuer: IssuerSimulator, listener: Listener, scope: str | None, code: RejectionCode | None
) -> None:
    assert listener.rejection(issuer.token(), scope=scope) is code


@pytest.mark.parametrize("space", ["\t", "\n", "\u00a0", "\u2003", "\x1c", ","])
def test_only_a_space_separates_what_a_scope_allows(issuer: IssuerSimulator, listener: Listener, space: str) -> None:
    """RFC 6749 section 3.3. An issuer that lets clients name scopes freely has checked it as one word."""
    token = issuer.token(scope=f"orders:read{space}admin")

    assert listener.rejection(token, scope="admin") is RejectionCode.INSUFFICIENT_SCOPE
    assert listener.verify(issuer.token(scope=" orders:read  admin "), scope="admin").scope == {"orders:read", "admin"}


@pytest.mark.parametrize("skew", [0.0, 5.0, 60.0])
def test_times_are_judged_with_the_skew_of_the_policy(issuer: IssuerSimulator, skew: float) -> None:
    listener = listening(issuer, skew=skew, on_stale=OnStale.ALLOW)
    token = issuer.token()
    start, end = issuer.clock.now(), issuer.clock.now() + 600

    for now, code in [
        (start - skew - 0.001, RejectionCode.NOT_YET_VALID),
        (start - skew, None),
        (end + skew - 0.001, None),
        (end + skew, RejectionCode.EXPIRED),
    ]:
        issuer.clock.wall = now
        assert listener.rejection(token) is code


@pytest.mark.parametrize(
    ("code", "status", "error", "description"),
    [
        (RejectionCode.EXPIRED, 401, "invalid_token", "The access token has expired"),
        (RejectionCode.BAD_SIGNATURE, 401, "invalid_token", "The access token is not valid"),
        (RejectionCode.REVOKED, 401, "invalid_token", "The access token has been revoked"),
        (
            RejectionCode.INSUFFICIENT_SCOPE,
            403,
            "insufficient_scope",
            "The access token lacks a scope that this needs",
        ),
    ],
)
def test_a_rejection_says_what_to_answer_without_its_detail(
    code: RejectionCode, status: int, error: str, description: str
) -> None:
    rejected = TokenRejected(code, "private detail")

    assert (rejected.status, rejected.error, rejected.description) == (status, error, description)
    assert str(rejected) == f"{code}: private detail"


# -- audience


def test_the_call_decides_about_the_audience_before_the_policy(issuer: IssuerSimulator, listener: Listener) -> None:
    token = issuer.token(aud=["billing", "stock"])

    assert listener.rejection(token) is RejectionCode.WRONG_AUDIENCE
    assert listener.rejection(token, audience="stock") is None
    assert listener.rejection(token, audience=None) is None
    assert listener.rejection(token, audience="") is RejectionCode.WRONG_AUDIENCE


def test_an_audience_named_nowhere_is_a_mistake_of_the_caller(issuer: IssuerSimulator) -> None:
    listener = listening(issuer, audience=None)
    token = issuer.token()

    for _ in range(2):  # the second time from the cache
        with pytest.raises(ValueError, match="name the audience"):
            listener.verify(token)
        assert listener.rejection(token, audience=AUDIENCE) is None


# -- being unable to say


def test_without_a_key_set_nothing_can_be_said(issuer: IssuerSimulator) -> None:
    listener = Listener(issuer, VerificationPolicy(audience=AUDIENCE, on_stale=OnStale.ALLOW))

    with pytest.raises(VerificationUnavailable) as unavailable:
        listener.verify(issuer.token())
    assert unavailable.value.code is UnavailableCode.NO_KEYS
    assert unavailable.value.retryable


def test_knowledge_that_was_never_complete_denies(issuer: IssuerSimulator) -> None:
    listener = Listener(issuer)
    listener.hear(*issuer.said)

    with pytest.raises(VerificationUnavailable, match="never complete") as unavailable:
        listener.verify(issuer.token())
    assert unavailable.value.code is UnavailableCode.STALE


@pytest.mark.parametrize("clock", ["wall", "uptime"])
def test_stale_knowledge_denies_also_for_tokens_verified_before(issuer: IssuerSimulator, clock: str) -> None:
    listener = listening(issuer, max_staleness=900)
    token = issuer.token(exp=2_000_000_000)
    listener.verify(token)
    setattr(issuer.clock, clock, getattr(issuer.clock, clock) + 900)
    assert listener.rejection(token) is None

    setattr(issuer.clock, clock, getattr(issuer.clock, clock) + 1)
    with pytest.raises(VerificationUnavailable, match="is 901 s old; at most 900 s is allowed"):
        listener.verify(token)

    listener.hear(issuer.beat())
    assert listener.rejection(token) is None


def test_a_call_may_ask_for_newer_knowledge_or_bear_with_older(issuer: IssuerSimulator) -> None:
    listener = listening(issuer, max_staleness=900)
    token = issuer.token(exp=2_000_000_000)
    issuer.clock.advance(60)
    listener.verify(token, max_staleness=60)
    with pytest.raises(VerificationUnavailable, match="is 60 s old; at most"):
        listener.verify(token, max_staleness=59.9)

    issuer.clock.advance(3600)
    for denied in (None, 900, math.nan, -1):
        with pytest.raises(VerificationUnavailable):
            listener.verify(token, max_staleness=denied)
    for allowed in (3660, math.inf):
        listener.verify(token, max_staleness=allowed)


def test_a_call_may_be_stricter_than_a_policy_that_allows_stale_knowledge(issuer: IssuerSimulator) -> None:
    listener = listening(issuer, on_stale=OnStale.ALLOW)
    token = issuer.token(exp=2_000_000_000)
    issuer.clock.advance(3600)
    listener.verify(token)
    with pytest.raises(VerificationUnavailable):
        listener.verify(token, max_staleness=900)


def test_what_was_never_complete_is_infinitely_old(issuer: IssuerSimulator) -> None:
    listener = Listener(issuer)
    listener.hear(*issuer.said)
    token = issuer.token()
    with pytest.raises(VerificationUnavailable, match="was never complete"):
        listener.verify(token, audience=None, max_staleness=1e18)
    listener.verify(token, audience=None, max_staleness=math.inf)


def test_stale_knowledge_still_verifies_where_the_policy_allows_it(issuer: IssuerSimulator) -> None:
    listener = listening(issuer, on_stale=OnStale.ALLOW)
    token = issuer.token(exp=2_000_000_000)
    revoked = issuer.token(exp=2_000_000_000)
    listener.hear(issuer.revoke_tokens(revoked, life=10_000))
    issuer.clock.advance(5000)

    assert listener.rejection(token) is None
    assert listener.rejection(revoked) is RejectionCode.REVOKED


# -- the second time


def test_a_token_verified_before_is_judged_again_in_every_call(issuer: IssuerSimulator, listener: Listener) -> None:
    token = issuer.token()
    first = listener.verify(token)

    assert listener.verify(token) is first
    assert listener.rejection(token, audience="billing") is RejectionCode.WRONG_AUDIENCE
    assert listener.rejection(token, scope="admin") is RejectionCode.INSUFFICIENT_SCOPE
    issuer.clock.wall -= 6
    assert listener.rejection(token) is RejectionCode.NOT_YET_VALID
    issuer.clock.wall += 6 + 605
    assert listener.rejection(token) is RejectionCode.EXPIRED


def test_a_token_verified_before_is_rejected_once_it_is_revoked(issuer: IssuerSimulator, listener: Listener) -> None:
    tokens = [issuer.token(sub=name) for name in ("alice", "bob", "carol")]
    for token in tokens:
        listener.verify(token)
    listener.hear(issuer.revoke(Selector.of(sub="alice")), issuer.revoke_tokens(tokens[1]))

    assert [listener.rejection(token) for token in tokens] == [RejectionCode.REVOKED, RejectionCode.REVOKED, None]


def test_a_token_verified_before_does_not_outlive_its_key(issuer: IssuerSimulator) -> None:
    issuer.publish_key(SECOND)
    listener = Listener.caught_up(issuer)
    token, other = issuer.token(key=SECOND), issuer.token()
    listener.verify(token)
    listener.verify(other)

    listener.hear(issuer.publish_key(SECOND, KeyState.RETIRED))
    assert listener.rejection(token) is RejectionCode.UNKNOWN_KEY
    listener.hear(issuer.publish_key(SECOND, KeyState.ACTIVE))
    assert listener.rejection(token) is None
    listener.hear(issuer.publish_key(SECOND, KeyState.REVOKED))
    assert listener.rejection(token) is RejectionCode.KEY_REVOKED
    assert listener.rejection(other) is None


def test_another_key_under_the_same_kid_ends_the_tokens_of_the_first(issuer: IssuerSimulator) -> None:
    listener = Listener.caught_up(issuer)
    token = issuer.token()
    listener.verify(token)
    issuer.keys[issuer.key.kid] = msgspec.structs.replace(SECOND.published(), kid=issuer.key.kid)
    listener.hear(issuer.publish_keys())

    assert listener.rejection(token) is RejectionCode.BAD_SIGNATURE


def test_a_lift_ends_the_rejection(issuer: IssuerSimulator, listener: Listener) -> None:
    token = issuer.token()
    revocation = issuer.revoke(Selector())
    listener.hear(revocation)
    assert listener.rejection(token) is RejectionCode.REVOKED

    listener.hear(issuer.lift(revocation))

    assert listener.rejection(token) is None


@pytest.mark.parametrize("size", [0, 1, 3])
def test_the_number_of_remembered_tokens_is_bounded(issuer: IssuerSimulator, size: int) -> None:
    listener = listening(issuer, cache_size=size)
    tokens = [issuer.token() for _ in range(5)]
    for token in tokens * 2:
        listener.verify(token)
        assert len(listener.verifier.verified) <= size

    assert bool(listener.verifier.verified) is (size > 0)


def test_headers_are_remembered_only_of_tokens_with_a_good_signature(
    issuer: IssuerSimulator, listener: Listener
) -> None:
    for number in range(100):
        listener.rejection(issuer.token(key=signing_key("ES256", "stranger"), header={"x": number}))
    assert not listener.verifier._headers

    for number in range(100):
        listener.verify(issuer.token(header={"x": number}))
    assert len(listener.verifier._headers) == 64


# -- events


def test_what_became_of_an_event_is_told_and_refusals_are_counted(issuer: IssuerSimulator) -> None:
    listener = Listener(issuer)
    event = issuer.revoke(Selector())

    assert listener.hear(*issuer.said) == [Outcome.APPLIED] * len(issuer.said)
    assert listener.hear(event) == [Outcome.KNOWN]
    assert listener.hear_raw(Stream.KEYS, b"nonsense") is RefusalCode.MALFORMED
    assert listener.hear_raw(Stream.KEYS, event.text) is RefusalCode.WRONG_STREAM
    assert listener.verifier.refused == {RefusalCode.MALFORMED: 1, RefusalCode.WRONG_STREAM: 1}


def test_the_newest_heartbeat_heard_again_is_known_and_does_not_make_us_younger(
    issuer: IssuerSimulator, listener: Listener
) -> None:
    beat = issuer.beat()
    listener.hear(beat)
    issuer.clock.uptime += 30

    assert listener.hear(beat) == [Outcome.KNOWN]
    assert listener.freshness == 30


def test_events_on_the_agents_stream_are_not_applied(issuer: IssuerSimulator, listener: Listener) -> None:
    event = issuer.sign(Stream.AGENTS, issuer.said[0].seq, AgentStatus(agent="a-1", time=issuer.clock.now()))

    assert listener.hear(event) == [RefusalCode.WRONG_STREAM]


def test_a_policy_without_a_cache_verifies_the_signature_each_time(issuer: IssuerSimulator) -> None:
    listener = listening(issuer, cache_size=0)
    token = issuer.token()

    assert listener.verify(token) is not listener.verify(token)


def test_no_verifier_tolerates_more_skew_than_revocations_are_kept_for() -> None:
    with pytest.raises(ValueError, match="skew must be 0 to 300 s"):
        VerificationPolicy(skew=301)


def test_the_epoch_moves_when_something_is_forgotten_and_not_by_every_heartbeat(issuer: IssuerSimulator) -> None:
    listener = Listener.caught_up(issuer)
    listener.hear(issuer.revoke(Selector.of(sub="alice"), life=100.0))
    state = listener.verifier.state
    epochs = []
    for _ in range(3):
        issuer.clock.advance(60.0)
        listener.hear(issuer.beat())
        epochs.append(state.epoch)

    assert epochs[0] < epochs[1] == epochs[2]
    assert state.revocations.selectors == 0


def test_who_has_heard_no_heartbeat_knows_of_no_holes(issuer: IssuerSimulator) -> None:
    listener = Listener(issuer)
    listener.hear(*issuer.said)

    assert listener.verifier.state.holes() == {}
