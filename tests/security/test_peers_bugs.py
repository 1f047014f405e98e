"""Bugs that others had in verifying and revoking, each of which would have been possible here."""

import asyncio
import tracemalloc
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events import KeyState, RefusalCode, RevokeDigests, Selector, SignedEvent, Stream
from tests.security.forging import AgentsListener, issuer_signing_with
from tests.security.watched import watched
from tests.simulator import AUDIENCE, HOUR, NOON, IssuerSimulator, Listener, signing_key
from verifier_agent import (
    OnStale,
    Outcome,
    RejectionCode,
    TokenRejected,
    UnavailableCode,
    VerificationPolicy,
    VerificationUnavailable,
)

ALICE = Selector.of(sub="alice")
SECOND = signing_key("ES256", "second")
LATER = int(NOON) + 50_000
POLICY = VerificationPolicy(audience=AUDIENCE)


@pytest.fixture(params=[Listener, AgentsListener])
def listener(request: pytest.FixtureRequest, issuer: IssuerSimulator) -> Listener:
    """A verifier that has heard everything, asked in either of the two ways."""
    kind: type[Listener] = request.param
    return kind.caught_up(issuer)


def heard(issuer: IssuerSimulator, *events: SignedEvent) -> Listener:
    """A listener that has heard what the issuer said before it made these events, and these in their order."""
    listener = Listener(issuer)
    listener.hear(*[event for event in issuer.said if event not in events], *events, issuer.beat())
    return listener


# -- cutoffs


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("cutoffs", [(-10.0, -500.0, -900.0), (None, -500.0, -900.0)], ids=["times", "as of now"])
def test_overlapping_cutoffs_do_not_hide_one_another(order: tuple[int, ...], cutoffs: tuple[float | None, ...]) -> None:
    """Of a realm's and a client's not-before only one counted, and not always the newer.

    Keycloak: CVE-2026-8922 (the client's hid the realm's in introspection), CVE-2026-18218 (an older one of the realm
    hid the client's).
    """
    issuer = IssuerSimulator()
    token = issuer.token(iat=int(NOON) - 60, rsq=None if cutoffs[0] else 0)
    selectors = (Selector.of(client_id="web"), Selector(), Selector.of(sub="alice", client_id="web"))
    for rotation in range(3):  # whichever selector has the newest cutoff
        turned = selectors[rotation:] + selectors[:rotation]
        said = [
            issuer.revoke(selector, issued_before=None if cutoff is None else NOON + cutoff)
            for selector, cutoff in zip(turned, cutoffs, strict=True)
        ]
        assert heard(issuer, *[said[index] for index in order]).rejection(token) is RejectionCode.REVOKED
        for event in said:
            issuer.lift(event)
        assert Listener.caught_up(issuer).rejection(token) is None


@pytest.mark.parametrize("cutoff", [NOON - 900, NOON - 61])
def test_later_revocation_with_an_older_cutoff_does_not_weaken_the_newer_cutoff(
    issuer: IssuerSimulator, listener: Listener, cutoff: float
) -> None:
    """A revocation overwrote the cached one of the same claim, whatever their cutoffs.

    Zalando planb-tokeninfo, issue 60.
    """
    token = issuer.token(iat=int(NOON) - 60, rsq=None)
    listener.hear(issuer.revoke(ALICE, issued_before=NOON - 30))
    assert listener.rejection(token) is RejectionCode.REVOKED

    listener.hear(issuer.revoke(ALICE, issued_before=cutoff), issuer.beat())

    assert listener.rejection(token) is RejectionCode.REVOKED
    assert Listener.caught_up(issuer).rejection(token) is RejectionCode.REVOKED


@pytest.mark.parametrize("ahead", [1.0, HOUR, 3650 * 24 * HOUR])
def test_future_cutoff_does_not_lock_the_operators_out(
    issuer: IssuerSimulator, listener: Listener, ahead: float
) -> None:
    """Whoever would have taken a cutoff years ahead back had no good token to do it with.

    Zalando planb-tokeninfo, issue 43.
    """
    held = issuer.token(exp=LATER, rsq=None, sub="operator")
    mistake = issuer.revoke(Selector(), issued_before=NOON + ahead)
    listener.hear(mistake)
    issuer.clock.advance(1)
    fresh = issuer.token(rsq=None, sub="operator")

    assert listener.rejection(held) is RejectionCode.REVOKED  # it is not dropped either
    assert listener.rejection(fresh) is None
    listener.hear(issuer.lift(mistake))
    assert listener.rejection(held) is None


def test_same_second_tie_is_decided_for_each_token(issuer: IssuerSimulator, listener: Listener) -> None:
    """Issued and revoked in one second: with whole seconds alone either the old token lives or the new one dies.

    Wazuh, issue 35043 (the new one dies).
    """
    before = issuer.token()
    listener.hear(issuer.revoke(ALICE))
    after = issuer.token()
    assert [listener.rejection(token) for token in (before, after)] == [RejectionCode.REVOKED, None]

    untold = issuer.token(rsq=None)  # without a sequence a tie falls on the safe side
    assert listener.rejection(untold) is RejectionCode.REVOKED


@pytest.mark.parametrize("kind", ["selector", "token"])
def test_revocation_is_not_forgotten_before_the_longest_token(issuer: IssuerSimulator, kind: str) -> None:
    """The entry of a token that lived longer than the deny-list's own time to live went, and the token was good again.

    tymondesigns/jwt-auth, issue 1728; hyperf-auth, issue 8.
    """
    token = issuer.token(exp=LATER)
    life = LATER + POLICY.skew - NOON
    event = issuer.revoke(ALICE, life=life) if kind == "selector" else issuer.revoke_tokens(token, life=life)
    listener = heard(issuer, event)

    for left in (3 * HOUR, 60, 1, 0.001, -POLICY.skew + 0.001):
        issuer.clock.wall = LATER - left
        listener.hear(issuer.beat())
        assert listener.rejection(token) is RejectionCode.REVOKED
    issuer.clock.wall = LATER + POLICY.skew
    listener.hear(issuer.beat())
    assert listener.rejection(token) is RejectionCode.EXPIRED


# -- trouble with what revocations come from


@pytest.mark.parametrize("kind", [Listener, AgentsListener])
@pytest.mark.parametrize("on_stale", list(OnStale))
def test_outage_does_not_let_revoked_tokens_in(
    issuer: IssuerSimulator, on_stale: OnStale, kind: type[Listener]
) -> None:
    """While the deny-list was out of reach, every revoked token was accepted, and nobody was told.

    Observal, issue 891; the like of it in many that ask Redis in each request.
    """
    listener = kind.caught_up(issuer, msgspec.structs.replace(POLICY, on_stale=on_stale))
    token = issuer.token(exp=LATER)
    listener.verify(token)
    listener.hear(issuer.revoke(ALICE, life=50_000))
    for _ in range(3):
        issuer.clock.advance(5000)  # and nothing is heard but noise
        listener.hear_raw(Stream.HEARTBEATS, b"noise")
        listener.hear_raw(Stream.REVOCATIONS, b"")
        with pytest.raises((TokenRejected, VerificationUnavailable)):
            listener.verify(token)
    freshness = listener.freshness
    assert freshness is not None
    assert freshness >= 15_000  # and whoever asks is told


@pytest.mark.parametrize("trouble", ["stale", "never complete", "no keys"])
def test_infrastructure_trouble_is_not_blamed_on_the_token(issuer: IssuerSimulator, trouble: str) -> None:
    """A 401 made clients throw their tokens away because a cache was down; 503 makes them try again.

    GlycemicGPT, pull request 720.
    """
    listener = Listener.caught_up(issuer) if trouble == "stale" else Listener(issuer)
    if trouble == "never complete":
        listener.hear(*issuer.said)
    issuer.clock.advance(POLICY.max_staleness + 1)
    issuer.publish_key(SECOND)  # we cannot know this key, so we must not call its tokens bad

    for token in (issuer.token(), issuer.token(key=SECOND)):
        with pytest.raises(VerificationUnavailable) as unavailable:
            listener.verify(token)
        assert unavailable.value.code is (UnavailableCode.NO_KEYS if trouble == "no keys" else UnavailableCode.STALE)
        assert unavailable.value.retryable
    assert not issubclass(VerificationUnavailable, TokenRejected)


@pytest.mark.parametrize("kind", [Listener, AgentsListener])
@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
def test_verifying_waits_for_nothing(alg: str, kind: type[Listener]) -> None:
    """Each request asked Redis or an introspection endpoint, and waited for it as long as it took to fail."""
    issuer = issuer_signing_with(alg)
    listener = kind.caught_up(issuer)
    revoked, stolen, good = (issuer.token(key=issuer.key) for _ in range(3))
    listener.hear(issuer.revoke_tokens(revoked))
    strange = issuer.token(header={"kid": "https://other.example/key", "jku": "https://other.example/jwks"})
    foreign = issuer.token(iss="https://other.example")
    broken = stolen[:-8] + "AAAAAAAA"
    with watched() as seen:
        for token in (good, good, revoked, broken, strange, foreign, "no token"):
            listener.rejection(token)
        issuer.clock.advance(POLICY.max_staleness + 1)
        with pytest.raises(VerificationUnavailable):
            listener.verify(good)

    assert seen == []


def test_waiting_would_be_seen(tmp_path: Path) -> None:
    with watched() as seen:
        (tmp_path / "file").write_bytes(b"")
        asyncio.new_event_loop().close()  # it opens a pair of sockets
    assert any(event.startswith("open ") for event in seen)
    assert any(event.startswith("socket.") for event in seen)


# -- keys


@pytest.mark.parametrize("way", ["left out", KeyState.RETIRED, KeyState.REVOKED])
@pytest.mark.parametrize("seen_before", [True, False])
def test_removed_key_stops_verifying(issuer: IssuerSimulator, listener: Listener, way: str, seen_before: bool) -> None:
    """Keys were cached one by one, so one that had left the published set went on verifying.

    auth0/jwks-rsa-java, issue 69; nearform/fast-jwt, issue 5 (through the cache of verified tokens).
    """
    listener.hear(issuer.publish_key(SECOND))
    tokens = [issuer.token(key=SECOND) for _ in range(2)]
    if seen_before:
        assert [listener.rejection(token) for token in tokens] == [None, None]
    if way == "left out":
        del issuer.keys[SECOND.kid]
        listener.hear(issuer.publish_keys())
    else:
        listener.hear(issuer.publish_key(SECOND, KeyState(way)))

    expected = RejectionCode.KEY_REVOKED if way == KeyState.REVOKED else RejectionCode.UNKNOWN_KEY
    assert [listener.rejection(token) for token in tokens * 2] == [expected] * 4
    assert listener.rejection(issuer.token()) is None


def test_unknown_kids_are_not_remembered_and_displace_nothing(issuer: IssuerSimulator) -> None:
    """Each unknown ``kid`` fetched the key set anew, some of them dropping the good keys meanwhile.

    fastapi-zitadel-auth, pull request 156.
    """
    listener = Listener.caught_up(issuer, msgspec.structs.replace(POLICY, cache_size=1))
    token, other = issuer.token(), issuer.token()
    claims = listener.verify(token)
    flood = [issuer.token(key=SECOND, header={"kid": f"{number}-{'x' * 200}"}) for number in range(1500)]
    listener.rejection(flood[0])

    tracemalloc.start()
    with watched() as seen:
        assert {listener.rejection(unknown) for unknown in flood} == {RejectionCode.UNKNOWN_KEY}
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert seen == []
    assert kept < 30_000  # less than 20 bytes for each
    assert listener.verify(token) is claims
    assert listener.rejection(other) is None


def test_refused_key_event_leaves_the_good_keys(issuer: IssuerSimulator, listener: Listener) -> None:
    """A failed refresh of the key set cleared the keys that were known.

    PyJWT, issue 1162 (``PyJWKClient``).
    """
    token = issuer.token()
    for raw in (b"", b"<html>502 Bad Gateway</html>", b'{"keys":[]}', issuer.said[0].text[:-10]):
        assert isinstance(listener.hear_raw(Stream.KEYS, raw), RefusalCode)

    assert listener.rejection(token) is None


# -- tokens verified before


def revoked_by(issuer: IssuerSimulator, token: str, by: str) -> SignedEvent:
    match by:
        case "token":
            return issuer.revoke_tokens(token)
        case "everything":
            return issuer.revoke(Selector())
        case "key":
            return issuer.publish_key(issuer.key, KeyState.REVOKED)
    return issuer.revoke(ALICE, issued_before=NOON if by == "cutoff in time" else None)


@pytest.mark.parametrize("by", ["token", "selector", "cutoff in time", "everything", "key"])
def test_verified_token_is_refused_from_the_moment_it_is_revoked(
    issuer: IssuerSimulator, listener: Listener, by: str
) -> None:
    """What a cache of verified tokens held stayed good until it expired there.

    keygen-api, issue 651; MITREid Connect, issue 837; Basekick arc, issue 323.
    """
    token = issuer.token()
    for _ in range(3):
        listener.verify(token)
    event = revoked_by(issuer, token, by)
    listener.hear(event)

    refused = RejectionCode.KEY_REVOKED if by == "key" else RejectionCode.REVOKED
    assert [listener.rejection(token) for _ in range(3)] == [refused] * 3
    listener.hear(issuer.revoke(Selector.of(sub="somebody else")), issuer.beat())
    assert listener.rejection(token) is refused
    if by != "key":  # a key's revocation is final
        listener.hear(issuer.lift(event))
        assert [listener.rejection(token) for _ in range(2)] == [None, None]


def test_verified_token_is_judged_by_the_rules_of_each_call(issuer: IssuerSimulator, listener: Listener) -> None:
    """A verdict cached under one audience was given out to a caller that asked for another.

    lua-resty-openidc, issue 399.
    """
    token = issuer.token(aud=["orders", "stock"], scope="orders:read")
    asked: list[tuple[dict[str, Any], RejectionCode | None]] = [
        ({"audience": "stock"}, None),
        ({"audience": "billing"}, RejectionCode.WRONG_AUDIENCE),
        ({"audience": "stock", "scope": "orders:write"}, RejectionCode.INSUFFICIENT_SCOPE),
        ({"audience": None, "scope": "orders:read"}, None),
        ({}, None),
    ]
    for rules, expected in asked + asked[::-1]:
        assert listener.rejection(token, **rules) is expected


def test_verified_tokens_are_told_apart_by_every_character(issuer: IssuerSimulator, listener: Listener) -> None:
    """Cache keys that collided handed out the claims of somebody else's token.

    nearform/fast-jwt, GHSA-rp9m-7r4c-75qg.
    """
    tokens = {name: issuer.token(sub=name, jti="same") for name in ("alice", "bob")}
    for _ in range(2):
        assert {listener.verify(token).sub for token in tokens.values()} == set(tokens)
    head, payload, signature = tokens["alice"].split(".")
    for mixed in (
        f"{head}.{payload}.{tokens['bob'].split('.')[2]}",
        f"{head}.{tokens['bob'].split('.')[1]}.{signature}",
    ):
        assert listener.rejection(mixed) is RejectionCode.BAD_SIGNATURE


# -- replay


def test_event_that_had_no_effect_is_not_recorded_as_known(issuer: IssuerSimulator, listener: Listener) -> None:
    """The identifier was put down before the event had taken effect; when that failed, the retry passed for a replay.

    authkestra, pull request 309.
    """
    token = issuer.token()
    good = issuer.revoke_tokens(token)
    bad = issuer.sign(Stream.REVOCATIONS, good.seq, RevokeDigests(digests=b"odd", expires_at=NOON + HOUR))
    assert listener.hear(bad, issuer.beat()) == [RefusalCode.BAD_RECORD, Outcome.APPLIED]
    assert listener.verifier.state.holes() == {Stream.REVOCATIONS: [(good.seq, good.seq)]}

    assert listener.hear(good, good) == [Outcome.APPLIED, Outcome.KNOWN]
    assert listener.rejection(token) is RejectionCode.REVOKED
    assert listener.verifier.state.holes() == {}


def test_two_events_of_one_decision_both_take_effect(issuer: IssuerSimulator, listener: Listener) -> None:
    """What ties events together must not pass for what makes one of them unique."""
    tokens = [issuer.token(sub=name) for name in ("alice", "bob")]
    said = [issuer.revoke(Selector.of(sub=name)) for name in ("alice", "bob")]
    events = [issuer.sign(event.stream, event.seq, event.record) for event in said]
    assert events[0].txn == events[1].txn

    assert listener.hear(*events) == [Outcome.APPLIED] * 2
    assert [listener.rejection(token) for token in tokens] == [RejectionCode.REVOKED] * 2
