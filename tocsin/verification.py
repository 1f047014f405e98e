"""How many tokens a second are verified, beside PyJWT in the same run."""

import time
from collections.abc import Callable
from typing import Any, Final

import jwt
import msgspec

from events import (
    Baseline,
    EventKey,
    EventSigner,
    Heartbeat,
    IssuerTrust,
    KeySet,
    KeyState,
    PublishedKey,
    SignedEvent,
    Stream,
    StreamHead,
    pack,
)
from issuer.keys.generation import Jwk, generate, public
from issuer.keys.key_service import SigningKey
from verifier_agent import VerificationPolicy, Verifier

ISSUER: Final = "https://issuer.example"
AUDIENCE: Final = "orders"
DISTINCT: Final = 2000
"""Tokens of a cold round; each is verified once a round, by a verifier that remembers none."""


class VerificationRate(msgspec.Struct, frozen=True, kw_only=True):
    """One figure.

    Attributes:
        alg: of the signature.
        what: was measured.
        per_second: verifications.
        microseconds: for one.
        against_pyjwt: times as fast as PyJWT's ``decode`` of the same tokens in this run.
    """

    alg: str
    what: str
    per_second: float
    microseconds: float
    against_pyjwt: float


def measure_verification(seconds: float) -> list[VerificationRate]:
    """PyJWT, cold and warm, for each algorithm; each for so many seconds, best of three stretches."""
    return [row for alg in ("RS256", "ES256", "EdDSA") for row in _measure(alg, seconds)]


def _measure(alg: str, seconds: float) -> list[VerificationRate]:
    key = generate(alg)
    now = time.time()
    tokens = _tokens(SigningKey(key), now)
    pyjwt_key = jwt.PyJWK(dict(public(key)))
    cold, warm = _verifier(public(key), now, cache=0), _verifier(public(key), now, cache=DISTINCT)

    def by_pyjwt(token: str) -> object:
        return jwt.decode(token, pyjwt_key, algorithms=[alg], audience=AUDIENCE, issuer=ISSUER)

    def by(verifier: Verifier) -> Callable[[str], object]:
        return lambda token: verifier.verify(token, now=time.time(), boot=time.monotonic())

    ways = (("PyJWT decode", by_pyjwt), ("cold: signature and all", by(cold)), ("warm: seen before", by(warm)))
    rates = {what: _rate(way, tokens, seconds) for what, way in ways}
    return [
        VerificationRate(
            alg=alg,
            what=what,
            per_second=rate,
            microseconds=1e6 / rate,
            against_pyjwt=rate / rates["PyJWT decode"],
        )
        for what, rate in rates.items()
    ]


def _rate(verify: Callable[[str], object], tokens: list[str], seconds: float) -> float:
    """Calls a second, best of three."""
    for token in tokens:
        verify(token)
    best = 0.0
    for _ in range(3):
        calls, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds / 3:
            for token in tokens:
                verify(token)
            calls += len(tokens)
        best = max(best, calls / elapsed)
    return best


def _tokens(key: SigningKey, now: float) -> list[str]:
    shared: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(now) + 3600, "iat": int(now)}
    shared |= {"client_id": "shop", "scope": "orders:read orders:write", "rsq": pack(1, 1)}
    return [key.sign({**shared, "sub": f"user-{n}", "jti": f"jti-{n}"}, "at+jwt") for n in range(DISTINCT)]


def _verifier(jwk: Jwk, now: float, *, cache: int) -> Verifier:
    """A verifier that has heard one key, no revocation, and a heartbeat."""
    event_jwk = generate("ES256")
    signer = EventSigner(ISSUER, EventKey(event_jwk))
    trust = IssuerTrust(issuer=ISSUER, event_keys=(public(event_jwk),))
    verifier = Verifier(trust, VerificationPolicy(audience=AUDIENCE, cache_size=cache, max_staleness=3600))
    key = PublishedKey(kid=jwk["kid"], alg=jwk["alg"], state=KeyState.ACTIVE, jwk=jwk)
    keys = signer.sign(Stream.KEYS, pack(1, 1), KeySet(keys=(key,)), time=now, txn="bench")
    baseline = signer.sign(Stream.REVOCATIONS, pack(1, 1), Baseline(), time=now, txn="bench")
    heads = {str(event.stream): _head(event) for event in (keys, baseline)}
    beat = signer.sign(Stream.HEARTBEATS, pack(1, 1), Heartbeat(time=now, heads=heads), time=now, txn="bench")
    for event in (keys, baseline, beat):
        verifier.apply(event.stream, event.text, received=time.monotonic())
    return verifier


def _head(event: SignedEvent) -> StreamHead:
    return StreamHead(head=event.seq, digest=event.digest, floor=event.seq)
