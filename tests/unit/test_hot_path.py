"""The fast way through the agent's ``verify``, held against the numbered steps without any memory."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from msgspec import UNSET

from events import KeyState, Selector
from events.digests import token_digest
from tests.simulator import AUDIENCE, IssuerSimulator, Listener, signing_key
from verifier_agent import OnStale, RejectionCode, TokenRejected, VerificationPolicy, VerificationUnavailable
from verifier_agent.hot_path import MAX_SCOPES, hot_path
from verifier_agent.policy import Audience

POLICY = VerificationPolicy(audience=AUDIENCE, max_staleness=60.0, cache_size=6)
KEYS = [signing_key(alg, f"key-{alg}") for alg in ("ES256", "EdDSA")]


class AsTheSteps(RuleBasedStateMachine):
    """Whatever happened before, both say the same."""

    @initialize(on_stale=st.sampled_from(OnStale))
    def start(self, on_stale: OnStale) -> None:
        self.issuer = IssuerSimulator()
        policy = msgspec.structs.replace(POLICY, on_stale=on_stale)
        self.fast = Listener(self.issuer, policy)
        self.steps = Listener(self.issuer, msgspec.structs.replace(policy, cache_size=0))
        self.verify = hot_path(self.fast.verifier, self.issuer.clock)
        self.tokens = [self.issuer.token(sub="alice"), self.issuer.token(sub="bob", scope="")]
        self.revocations: list[Any] = []
        self.heard = 0

    @rule(
        which=st.integers(0, 9),
        audience=st.sampled_from([UNSET, AUDIENCE, "billing", None]),
        scope=st.sampled_from([None, "", "orders:read", "orders:write  orders:read", "admin"]),
        max_staleness=st.sampled_from([None, None, None, 0.5, 30.0, math.inf]),
    )
    def a_token_is_verified(
        self, which: int, audience: Audience, scope: str | None, max_staleness: float | None
    ) -> None:
        token = self.tokens[which % len(self.tokens)]
        asked: dict[str, Any] = {} if audience is UNSET else {"audience": audience}
        if max_staleness is not None:
            asked["max_staleness"] = max_staleness

        said = self.said(lambda: self.verify(token, scope=scope, **asked))

        assert said == self.said(lambda: self.steps.verify(token, scope=scope, **asked))

    @staticmethod
    def said(verify: Any) -> Any:
        try:
            return verify()
        except (TokenRejected, VerificationUnavailable) as refusal:
            return refusal.code
        except ValueError as misuse:  # no audience is named anywhere
            return type(misuse)

    @rule(sub=st.sampled_from(["alice", "bob"]), life=st.sampled_from([-20, 2, 30, 600]))
    def a_token_is_issued(self, sub: str, life: int) -> None:
        self.tokens.append(self.issuer.token(sub=sub, exp=int(self.issuer.clock.now()) + life))

    @rule(
        audience=st.sampled_from([None, AUDIENCE, "billing"]),
        max_staleness=st.sampled_from([0.5, 60.0, math.inf]),
        skew=st.sampled_from([0.0, 30.0]),
        cache_size=st.sampled_from([0, 2, 6]),
    )
    def other_rules_come_into_force(
        self, audience: str | None, max_staleness: float, skew: float, cache_size: int
    ) -> None:
        policy = msgspec.structs.replace(
            self.fast.verifier.policy, audience=audience, max_staleness=max_staleness, skew=skew
        )
        self.fast.verifier.reconfigure(msgspec.structs.replace(policy, cache_size=cache_size))
        self.steps.verifier.reconfigure(msgspec.structs.replace(policy, cache_size=0))

    @rule(sub=st.sampled_from([None, "alice", "bob"]))
    def tokens_are_revoked(self, sub: str | None) -> None:
        self.revocations.append(self.issuer.revoke(Selector(claims={"sub": sub} if sub else {})))

    @rule(which=st.integers(0, 9))
    def one_token_is_revoked(self, which: int) -> None:
        self.revocations.append(self.issuer.revoke_tokens(self.tokens[which % len(self.tokens)]))

    @rule()
    def a_revocation_is_lifted(self) -> None:
        if self.revocations:
            self.issuer.lift(self.revocations.pop())

    @rule(key=st.sampled_from(KEYS), state=st.sampled_from(KeyState))
    def a_key_is_published(self, key: Any, state: KeyState) -> None:
        self.issuer.publish_key(key, state)
        self.tokens.append(self.issuer.token(key=key))

    @rule(seconds=st.sampled_from([0.4, 1.0, 5.0, 59.0, 600.0]))
    def time_passes(self, seconds: float) -> None:
        self.issuer.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-600.0, -1.5, 1.5, 600.0]))
    def the_wall_clock_is_set(self, seconds: float) -> None:
        self.issuer.clock.wall += seconds

    @rule()
    def everything_is_heard(self) -> None:
        said = [*self.issuer.said[self.heard :], self.issuer.beat()]
        self.heard = len(self.issuer.said)
        for listener in (self.fast, self.steps):
            listener.hear(*said)


AsTheSteps.TestCase.settings = settings(stateful_step_count=30)
TestAsTheSteps = AsTheSteps.TestCase


@pytest.fixture
def verify(issuer: IssuerSimulator, listener: Listener) -> Any:
    return hot_path(listener.verifier, issuer.clock)


def test_a_second_time_costs_no_signature(issuer: IssuerSimulator, listener: Listener, verify: Any) -> None:
    token = issuer.token()
    claims = verify(token)
    listener.verifier.verify = None  # type: ignore[method-assign, assignment]

    assert verify(token, audience=AUDIENCE) is claims


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
def test_a_token_that_is_known_is_found_by_its_digest_when_it_is_revoked(alg: str) -> None:
    issuer = IssuerSimulator(alg=alg)
    listener = Listener.caught_up(issuer)
    verify = hot_path(listener.verifier, issuer.clock)
    good, bad = issuer.token(jti="good"), issuer.token(jti="bad")
    for token in (good, bad):
        verify(token)
    listener.hear(issuer.revoke_tokens(bad))
    entry = listener.verifier.verified.aside[good]

    assert verify(good) == entry.claims
    assert listener.verifier.verified.current[good] is entry  # its signature was not checked again
    with pytest.raises(TokenRejected) as refused:
        verify(bad)
    assert refused.value.code is RejectionCode.REVOKED
    assert (entry.digest, listener.rejection(bad)) == (token_digest(good), RejectionCode.REVOKED)


def test_knowledge_that_becomes_too_old_is_noticed_within_a_second(issuer: IssuerSimulator, verify: Any) -> None:
    token = issuer.token(exp=int(issuer.clock.now()) + 10_000)
    verify(token)
    issuer.clock.advance(900.5)

    with pytest.raises(VerificationUnavailable):
        verify(token)


def test_a_wall_clock_that_is_set_back_does_not_make_knowledge_look_young(issuer: IssuerSimulator, verify: Any) -> None:
    token = issuer.token(iat=None, exp=int(issuer.clock.now()) + 10_000)
    verify(token)
    issuer.clock.advance(901.0)
    issuer.clock.wall -= 901.5

    with pytest.raises(VerificationUnavailable):
        verify(token)


def test_knowledge_that_becomes_too_old_is_noticed_also_right_after_something_has_changed(
    issuer: IssuerSimulator, listener: Listener, verify: Any
) -> None:
    token = issuer.token(exp=int(issuer.clock.now()) + 10_000)
    verify(token)
    listener.hear(issuer.revoke(Selector.of(sub="somebody else")))
    issuer.clock.advance(900.5)

    with pytest.raises(VerificationUnavailable):
        verify(token)


def test_a_call_that_wants_newer_knowledge_gets_it_or_nothing(issuer: IssuerSimulator, verify: Any) -> None:
    token = issuer.token()
    verify(token)
    issuer.clock.advance(0.5)
    verify(token, max_staleness=1)
    with pytest.raises(VerificationUnavailable):
        verify(token, max_staleness=0.25)
    verify(token)


def test_the_texts_of_required_scopes_are_remembered_up_to_a_bound(issuer: IssuerSimulator, verify: Any) -> None:
    token = issuer.token(scope=" ".join(f"s{number}" for number in range(200)))
    for number in range(2 * MAX_SCOPES):
        verify(token, scope=f"s{number % 200}" + " " * (number // 200))

    required = next(cell.cell_contents for cell in verify.__closure__ if isinstance(cell.cell_contents, dict))
    assert len(required) == MAX_SCOPES


@pytest.mark.parametrize("token", [None, 7, b"token", ["token"], {"token": 1}])
def test_what_is_not_even_text_is_rejected(verify: Any, token: Any) -> None:
    with pytest.raises(TokenRejected):
        verify(token)
