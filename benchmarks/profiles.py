"""Where the time of a verification goes, by function, as Python's own profiler counts it."""

import cProfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from tocsin.verification.issuer import MeasuredIssuer, hear
from tocsin.verification.measurement import anew, knowing_agent
from tocsin.verification.stopwatch import Verify, each

ROUNDS: Final = 10
LISTED: Final = 14
"""Functions, those with most time of their own."""


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """One function.

    Attributes:
        function: module and name, or what the interpreter calls a built-in one.
        percent: of the time, spent in it alone.
        calls: for one token.
    """

    function: str
    percent: float
    calls: float


def profile_first(issuer: MeasuredIssuer) -> list[Share]:
    """Tokens that the verifier does not know, cache off."""
    agent = issuer.agent(cache_size=0)
    return _profile(issuer, lambda: agent.verify)


def profile_again(issuer: MeasuredIssuer) -> list[Share]:
    """Tokens that it knows, each time after a revocation."""
    agent = knowing_agent(issuer)

    def after_a_revocation() -> Verify:
        hear(agent, issuer.unrelated())
        return agent.verify

    return _profile(issuer, after_a_revocation)


def _profile(issuer: MeasuredIssuer, prepare: Callable[[], Verify]) -> list[Share]:
    profiler = cProfile.Profile()
    for _ in range(ROUNDS):
        verify, tokens = prepare(), anew(issuer.tokens)
        profiler.enable()
        each(verify, tokens)
        profiler.disable()
    return _shares(profiler, ROUNDS * len(issuer.tokens))


def _shares(profiler: cProfile.Profile, tokens: int) -> list[Share]:
    called = [entry for entry in profiler.getstats() if entry.callcount > ROUNDS]  # the rest is the profiling itself
    total = sum(entry.inlinetime for entry in called)
    return [
        Share(function=_named(entry.code), percent=100 * entry.inlinetime / total, calls=entry.callcount / tokens)
        for entry in sorted(called, key=lambda entry: -entry.inlinetime)[:LISTED]
    ]


def _named(code: object) -> str:
    """Such as ``verifier_agent/jws.py parse_token``, without where on this machine that is."""
    filename = getattr(code, "co_filename", None)
    if filename is None:
        return str(code).strip("<>").partition(" at 0x")[0]
    path = Path(filename)
    return f"{path.parent.name}/{path.name} {getattr(code, 'co_name', '')}"
