"""How fast tokens are verified: the first time, again, after a revocation; beside other libraries in the same run."""

import itertools
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Final, TypeVar

import msgspec

from tocsin.verification.issuer import ALGORITHMS, AUDIENCE, SCOPE, MeasuredIssuer, hear
from tocsin.verification.peers import PEERS, BareSignature, Peer, check
from tocsin.verification.stopwatch import Contender, Timing, Verify, race
from verifier_agent import Agent, Claims, TokenRejected

AT_ONCE: Final = 100
"""Tokens in one timed loop; new texts of so many fit the processor's cache, as the one a server has just read does."""

T = TypeVar("T")

WHAT: Final = {
    "signature": "cryptography, the signature alone",
    "cold": "Tocsin, first time, and remembered",
    "cold-uncached": "Tocsin, first time, cache off",
    "warm-new": "Tocsin, again, new str",
    "warm-same": "Tocsin, again, same str",
    "warm-asked": "Tocsin, again, new str, audience= and scope= in the call",
    "warm-moved": "Tocsin, again, new str, after a revocation",
    "bare-new": "bare dict, epoch, exp, time.time(), new str",
    "bare-same": "bare dict, epoch, exp, time.time(), same str",
}


class VerificationRate(msgspec.Struct, frozen=True, kw_only=True):
    """One figure.

    Attributes:
        alg: of the signature.
        name: of the figure: a peer, or a key of ``WHAT``.
        what: the same for people.
        microseconds: for one verification, in the best of three stretches.
        stretches: the same, of each stretch.
        per_second: verifications.
        against_pyjwt: times as fast as PyJWT's ``decode`` of the same tokens in this run.
    """

    alg: str
    name: str
    what: str
    microseconds: float
    stretches: tuple[float, ...]
    per_second: float
    against_pyjwt: float


class VerificationResult(msgspec.Struct, frozen=True, kw_only=True):
    """Everything measured.

    Attributes:
        rates: one a figure and algorithm.
        peers: version of each library measured beside it.
        absent: libraries that are not installed here.
        token_bytes: length of a token, by algorithm.
    """

    rates: tuple[VerificationRate, ...]
    peers: dict[str, str]
    absent: tuple[str, ...]
    token_bytes: dict[str, int]


def measure_verification(seconds: float, issuers: Sequence[MeasuredIssuer] | None = None) -> VerificationResult:
    """All figures; each is timed for so many seconds, in turns with the others of its algorithm.

    Args:
        seconds: for each figure.
        issuers: of the tokens; by default one for each algorithm.
    """
    present = [peer for peer in PEERS if peer.version is not None]
    issuers = issuers or [MeasuredIssuer(alg) for alg in ALGORITHMS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joserfc warns of EdDSA's name in every call
        rates = [rate for issuer in issuers for rate in _measure(issuer, present, seconds)]
    return VerificationResult(
        rates=tuple(rates),
        peers={peer.name: peer.version or "" for peer in present},
        absent=tuple(peer.name for peer in PEERS if peer not in present),
        token_bytes={issuer.alg: len(issuer.token()) for issuer in issuers},
    )


def _measure(issuer: MeasuredIssuer, peers: Sequence[Peer], seconds: float) -> list[VerificationRate]:
    contenders = [_signature(issuer), *(_peer(issuer, peer) for peer in peers)]
    contenders += [*_cold(issuer), *_warm(issuer), *_bare(issuer)]
    timings = race(contenders, seconds)
    return [_rate(issuer.alg, name, timing, timings["PyJWT"]) for name, timing in timings.items()]


def _rate(alg: str, name: str, timing: Timing, pyjwt: Timing) -> VerificationRate:
    return VerificationRate(
        alg=alg,
        name=name,
        what=WHAT.get(name, name),
        microseconds=timing.microseconds,
        stretches=timing.stretches,
        per_second=1e6 / timing.microseconds,
        against_pyjwt=pyjwt.microseconds / timing.microseconds,
    )


def _signature(issuer: MeasuredIssuer) -> Contender:
    bare, chunks = BareSignature(issuer.jwk, issuer.tokens), chunked(issuer.tokens)
    return Contender("signature", lambda: bare.calls(next(chunks)))


def _peer(issuer: MeasuredIssuer, peer: Peer) -> Contender:
    verify, chunks = peer.verifying(issuer.jwk), chunked(issuer.tokens)
    check(peer.name, verify, peer.rejection, issuer.token(), issuer.bad_tokens())
    return Contender(peer.name, lambda: (verify, anew(next(chunks))))


def _cold(issuer: MeasuredIssuer) -> list[Contender]:
    """The first time: by a full cache that takes the token up and lets another go, and by an agent without one.

    The cache has room for a quarter of the tokens that come before the same one comes again, so it never knows it.
    """
    full, uncached = issuer.agent(cache_size=len(issuer.tokens) // 4), issuer.agent(cache_size=0)
    chunks = {name: chunked(issuer.tokens) for name in ("full", "uncached")}
    check("the verifier", uncached.verify, TokenRejected, issuer.token(), issuer.bad_tokens())

    def first_time() -> tuple[Verify, list[str]]:
        tokens, known = next(chunks["full"]), full.verifier.verified
        if tokens[0] in known.current or tokens[0] in known.aside:
            raise RuntimeError("what is to be timed as the first time is not: the cache knows the token")
        return full.verify, anew(tokens)

    return [
        Contender("cold", first_time),
        Contender("cold-uncached", lambda: (uncached.verify, anew(next(chunks["uncached"])))),
    ]


def _warm(issuer: MeasuredIssuer) -> list[Contender]:
    """Again: by agents that know the tokens. Texts are new where it says so: CPython keeps the hash of an old one."""
    still, moving, chunks = knowing_agent(issuer), knowing_agent(issuer), chunked(issuer.tokens)

    def after_a_revocation() -> tuple[Verify, list[str]]:
        hear(moving, issuer.unrelated())
        return moving.verify, anew(next(chunks))

    return [
        Contender("warm-new", lambda: (still.verify, anew(next(chunks)))),
        Contender("warm-same", lambda: (still.verify, next(chunks))),
        Contender("warm-asked", lambda: (still.verify, anew(next(chunks))), loop=_asking),
        Contender("warm-moved", after_a_revocation),
    ]


def knowing_agent(issuer: MeasuredIssuer) -> Agent:
    """An agent that has verified each of the issuer's tokens once."""
    agent = issuer.agent()
    for token in issuer.tokens:
        agent.verify(token)
    return agent


def _asking(verify: Verify, tokens: Sequence[str]) -> None:
    for token in tokens:
        verify(token, audience=AUDIENCE, scope=SCOPE)


def _bare(issuer: MeasuredIssuer) -> list[Contender]:
    """The least that a cache can do in Python."""
    verify, chunks = bare_cache(issuer.agent(), issuer.tokens), chunked(issuer.tokens)
    return [
        Contender("bare-new", lambda: (verify, anew(next(chunks)))),
        Contender("bare-same", lambda: (verify, next(chunks))),
    ]


def bare_cache(agent: Agent, tokens: Sequence[str]) -> Callable[[str], Claims]:
    """A dict by token, and what must be compared in every call: the epoch, and ``exp`` with the clock."""
    entries = {token: (0, claims.exp, claims) for token, claims in zip(tokens, map(agent.verify, tokens), strict=True)}
    get, clock, current = entries.get, time.time, SimpleNamespace(epoch=0)

    def verify(token: str) -> Claims:
        entry = get(token)
        if entry is None or entry[0] != current.epoch or clock() >= entry[1]:
            raise KeyError(token)
        return entry[2]

    return verify


def anew(tokens: Sequence[str]) -> list[str]:
    """The same texts in objects of their own, whose hash has not been computed yet."""
    return [token.encode().decode() for token in tokens]


def chunked(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """``AT_ONCE`` at a time, for ever."""
    return itertools.cycle([items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE)])
