"""Verdicts on tokens of issuers whose keys come from JWKS documents."""

import json
from typing import Any

import pytest

from events import KeyState, Selector
from tests.simulator import AUDIENCE, IssuerSimulator, SigningKey, unb64
from tests.unit.jwks.foreign_issuer import ISSUER, document, key
from verifier_agent import (
    ForeignIssuer,
    KeyPending,
    RejectionCode,
    SettingInvalid,
    TokenRejected,
    UnavailableCode,
    VerificationPolicy,
    VerificationUnavailable,
    Verifier,
)
from verifier_agent.hot_path import hot_path
from verifier_agent.jwks import ForeignKeys
from verifier_agent.keyring import VerifyingKey


class Both:
    """A verifier that trusts our own issuer and a foreign one, whose keys are ``one`` and ``two`` to begin with."""

    def __init__(self, **settings: Any) -> None:
        self.own = IssuerSimulator()
        self.clock = self.own.clock
        self.keys = ForeignKeys(ForeignIssuer(issuer=ISSUER, **settings))
        self.verifier = Verifier(self.own.trust, VerificationPolicy(audience=AUDIENCE), [self.keys])
        self.verify = hot_path(self.verifier, self.clock)
        self.hear(*self.own.said, self.own.beat())
        self.load("one", "two")

    def hear(self, *events: Any) -> None:
        for event in events:
            self.verifier.apply(event.stream, event.text, received=self.clock.boot())

    def load(self, *kids: Any) -> None:
        self.keys.begin(self.clock.boot())
        self.keys.refreshed(document(*kids), None, self.clock.boot())

    def token(
        self, kid: str = "one", *, signed_by: SigningKey | None = None, typ: str | None = "JWT", **claims: Any
    ) -> str:
        """A token as Keycloak issues it: no ``rsq``, and any ``typ``."""
        signer, now = signed_by or key(kid), int(self.clock.now())
        header = {"alg": signer.alg, "kid": kid, "typ": typ}
        usual = {
            "iss": ISSUER,
            "sub": "carol",
            "aud": ["account", AUDIENCE],
            "iat": now,
            "exp": now + 300,
            "azp": "shop",
        }
        return signer.jws(
            {name: value for name, value in header.items() if value is not None}, json.dumps(usual | claims).encode()
        )

    def rejection(self, token: str, **asked: Any) -> RejectionCode | None:
        try:
            self.verify(token, **asked)
        except TokenRejected as rejected:
            return rejected.code
        return None


@pytest.fixture
def both() -> Both:
    return Both()


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", None])
def test_tokens_of_both_issuers_are_good(both: Both, typ: str | None) -> None:
    for _ in range(2):
        assert both.verify(both.token(typ=typ)).sub == "carol"
        assert both.verify(both.own.token()).sub == "alice"


def test_the_steps_hold_for_foreign_tokens(both: Both) -> None:
    now = int(both.clock.now())
    for token, code in [
        (both.token(exp=now - 10), RejectionCode.EXPIRED),
        (both.token(nbf=now + 60), RejectionCode.NOT_YET_VALID),
        (both.token(aud="account"), RejectionCode.WRONG_AUDIENCE),
        (both.token(typ="logout+jwt"), RejectionCode.WRONG_TYPE),
        (both.token(iss=ISSUER + "/", typ="at+jwt"), RejectionCode.UNKNOWN_KEY),
        (both.token(signed_by=key("two")), RejectionCode.BAD_SIGNATURE),
    ]:
        assert both.rejection(token) is code
    assert both.rejection(both.token(), scope="orders:read") is RejectionCode.INSUFFICIENT_SCOPE


def test_a_foreign_issuer_may_have_an_audience_of_its_own() -> None:
    both = Both(audience="shop-api")

    assert both.rejection(both.token()) is RejectionCode.WRONG_AUDIENCE
    for _ in range(2):
        assert both.verify(both.token(aud="shop-api"))
        assert both.verify(both.own.token())


def test_a_token_that_is_for_another_service_is_told_which_one_was_expected() -> None:
    both = Both(audience="shop-api")
    with pytest.raises(TokenRejected, match="'shop-api'"):
        both.verify(both.token())


# -- one issuer's keys are for its own tokens


def test_a_key_of_the_same_name_as_ours_is_another_key(both: Both) -> None:
    ours = both.own.key
    theirs = key(ours.kid)
    both.load("one", ours.kid)
    for _ in range(2):
        assert both.verify(both.own.token()).sub == "alice"
        assert both.verify(both.token(ours.kid, signed_by=theirs, typ="at+jwt")).sub == "carol"


def test_a_foreign_key_signs_nothing_in_our_name(both: Both) -> None:
    token = both.token(iss=both.own.issuer, typ="at+jwt")

    assert both.rejection(token) is RejectionCode.UNKNOWN_KEY


@pytest.mark.parametrize("spelled", ['"iss"', '"\\u0069ss"'])
@pytest.mark.parametrize("first", [True, False])
def test_a_foreign_key_signs_nothing_in_our_name_beside_its_own(both: Both, first: bool, spelled: str) -> None:
    """Whose key it must be is read before the signature, and all claims after it: both must read one ``iss``."""
    ours, theirs = f'{spelled}: "{both.own.issuer}"', f'"iss": "{ISSUER}"'
    names = (ours, theirs) if first else (theirs, ours)
    payload = f'{{{", ".join(names)}, "sub": "alice", "aud": "{AUDIENCE}", "exp": {int(both.clock.now()) + 300}}}'
    token = key("one").jws({"alg": key("one").alg, "kid": "one", "typ": "at+jwt"}, payload.encode())

    for _ in range(2):
        assert both.rejection(token) is (None if first else RejectionCode.UNKNOWN_KEY)
    if first:
        assert both.verify(token).iss == ISSUER


def test_a_foreign_key_signs_nothing_in_our_name_should_the_decoders_differ(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(both.verifier.foreign, "of", lambda _: both.keys)

    for _ in range(2):
        assert both.rejection(both.token(iss=both.own.issuer)) is RejectionCode.WRONG_ISSUER
    assert both.rejection(both.token()) is None


@pytest.mark.parametrize("alg", ["none", "HS256", "RS256", "ES384", "es256"])
def test_the_key_decides_about_the_algorithm_of_a_foreign_token_too(both: Both, alg: str) -> None:
    payload = unb64(both.token().split(".")[1])
    token = key("one").jws({"alg": alg, "kid": "one", "typ": "JWT"}, payload)

    for _ in range(2):
        assert both.rejection(token) is RejectionCode.WRONG_ALGORITHM


def test_our_key_signs_nothing_in_a_foreign_name(both: Both) -> None:
    token = both.own.token(iss=ISSUER)

    with pytest.raises(KeyPending):
        both.verify(token)


def test_two_issuers_may_name_their_keys_alike(both: Both) -> None:
    both.hear(both.own.publish_key(SigningKey("one", both.own.key.alg, both.own.key.private)))
    ours = both.own.token(key=SigningKey("one", both.own.key.alg, both.own.key.private))
    for _ in range(2):
        assert both.verify(ours).sub == "alice"
        assert both.verify(both.token()).sub == "carol"

    both.hear(both.own.publish_key(SigningKey("one", both.own.key.alg, both.own.key.private), KeyState.REVOKED))

    assert both.rejection(ours) is RejectionCode.KEY_REVOKED
    assert both.verify(both.token()).sub == "carol"


def test_our_own_issuer_cannot_be_a_foreign_one() -> None:
    own = IssuerSimulator()

    with pytest.raises(SettingInvalid, match="own"):
        Verifier(own.trust, foreign=[ForeignKeys(ForeignIssuer(issuer=own.issuer))])


# -- revocations reach foreign tokens


def test_a_selector_for_the_foreign_issuer_revokes_its_tokens_by_time_and_a_lift_restores_them(both: Both) -> None:
    token, later = both.token(rsq=2**52), None
    assert both.verify(token)
    revocation = both.own.revoke(Selector(claims={"sub": "carol"}, issuer=ISSUER))
    both.hear(revocation)
    assert both.rejection(token) is RejectionCode.REVOKED

    both.clock.advance(2)
    later = both.token()
    assert both.verify(later)
    both.hear(both.own.lift(revocation))
    assert both.verify(token)


def test_a_selector_for_our_issuer_spares_foreign_tokens(both: Both) -> None:
    both.hear(both.own.revoke(Selector.of(sub="carol")), both.own.revoke(Selector()))

    assert both.verify(both.token())


def test_one_foreign_token_is_revoked_by_its_digest(both: Both) -> None:
    token = both.token()
    both.verify(token)
    both.hear(both.own.revoke_tokens(token))

    assert both.rejection(token) is RejectionCode.REVOKED
    assert both.verify(both.token(jti="another"))


# -- keys come and go


def test_a_key_that_left_the_document_verifies_no_more_not_even_tokens_seen_before(both: Both) -> None:
    token = both.token()
    both.verify(token)
    both.load("two")
    both.clock.advance(1.5)

    assert both.rejection(token) is RejectionCode.UNKNOWN_KEY
    assert both.verify(both.token("two"))


def test_a_key_that_was_replaced_under_its_name_does_not_vouch_for_tokens_seen_before(both: Both) -> None:
    token = both.token()
    both.verify(token)
    both.load({**key("other").jwk(), "kid": "one"})
    both.clock.advance(1.5)

    assert both.rejection(token) is RejectionCode.BAD_SIGNATURE


@pytest.mark.parametrize("seconds", [900, 901])
def test_keys_that_nobody_could_refresh_for_too_long_count_no_more_and_ours_do(seconds: float) -> None:
    both = Both(max_stale=900, max_refresh=800)
    foreign, own = both.token(exp=2_000_000_000), both.own.token(exp=2_000_000_000)
    for token in (foreign, own):
        both.verify(token)
    both.clock.advance(seconds)
    both.hear(both.own.beat())

    with pytest.raises(VerificationUnavailable) as unavailable:
        both.verify(foreign)
    assert unavailable.value.code is UnavailableCode.NO_KEYS
    assert both.verifier.verified.aside.get(own)  # and its signature need not be verified again
    assert both.verify(own)

    both.load("one")
    assert both.verify(foreign)


def test_an_unknown_key_is_pending_and_is_known_or_absent_after_a_refresh(both: Both) -> None:
    new, absent = both.token("new"), both.token("absent")
    for token in (new, absent):
        with pytest.raises(KeyPending) as pending:
            both.verify(token)
        assert pending.value.issuer == ISSUER

    both.clock.advance(3)
    both.load("one", "two", "new")

    assert both.verify(new)
    assert both.rejection(absent) is RejectionCode.UNKNOWN_KEY


def test_headers_of_foreign_tokens_are_not_remembered_as_ours(both: Both) -> None:
    both.verify(both.token())
    both.verify(both.own.token())

    assert [type(each) for each in both.verifier._headers.values()] == [VerifyingKey]


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"iss":7}', b'{"iss":"\xff"}', b'{"x":' + b"[" * 4000])
def test_what_names_no_issuer_is_judged_as_ours(both: Both, payload: bytes) -> None:
    header = {"alg": "ES256", "kid": both.own.key.kid, "typ": "at+jwt"}

    assert both.rejection(both.own.key.jws(header, payload)) is RejectionCode.MALFORMED
