"""What the limits are: the operations that any verifier in Python is made of, each by itself, and ours in profile."""

import argparse
import base64
import hashlib
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from benchmarks.benchmark import Benchmark, Document, Table
from benchmarks.plots import bars
from benchmarks.profiles import Share, profile_again, profile_first
from tocsin.verification.issuer import ALGORITHMS, MeasuredIssuer
from tocsin.verification.measurement import anew, chunked
from tocsin.verification.peers import BareSignature
from tocsin.verification.stopwatch import Contender, Verify, race

WHAT: Final = {
    "call": "calling a Python function with one argument (in each figure below but the hash)",
    "clock": "time.time()",
    "hash": "hash of a new str",
    "dict-new": "dict look-up by a new str: hash, and comparison",
    "dict-same": "dict look-up by the same str",
    "base64": "base64url to bytes, header, payload and signature",
    "sha256": "SHA-256 of header and payload",
    "json": "JSON of the payload to a dict, msgspec",
    "signature": "signature check, cryptography",
}

PROFILED: Final = "RS256"
"""Its signature is the quickest to check, so that most is left for the rest."""
PROFILES: Final = {
    "first": f"Profile of the first time, {PROFILED}, cache off; the profiler's own cost is in each call",
    "again": f"Profile of again, after a revocation, {PROFILED}",
}


def measure(options: argparse.Namespace) -> Document:
    """Each operation, on tokens of each algorithm."""
    microseconds = {}
    issuers = {alg: MeasuredIssuer(alg) for alg in ALGORITHMS}
    for alg, issuer in issuers.items():
        timings = race(_contenders(issuer), options.seconds)
        microseconds[alg] = {name: timing.microseconds for name, timing in timings.items()}
    profiles = {"first": profile_first(issuers[PROFILED]), "again": profile_again(issuers[PROFILED])}
    return {"microseconds": microseconds, "profiles": msgspec.to_builtins(profiles)}


def _contenders(issuer: MeasuredIssuer) -> list[Contender]:
    tokens = issuer.tokens
    entries = dict.fromkeys(tokens, 0)
    parts = [tuple(part.translate(_URL_SAFE) + "==" for part in token.split(".")) for token in tokens]
    inputs = [token.rpartition(".")[0].encode() for token in tokens]
    payloads = [base64.b64decode(payload) for _, payload, _ in parts]
    bare = BareSignature(issuer.jwk, tokens)
    verify, signatures = bare.calls(tokens)
    return [
        _contender("call", lambda token: token, tokens),
        _contender("clock", lambda _: time.time(), tokens),
        _contender("hash", hash, tokens, new=True),
        _contender("dict-new", lambda token: entries[token], tokens, new=True),
        _contender("dict-same", lambda token: entries[token], tokens),
        _contender("base64", _decode_all, parts),
        _contender("sha256", lambda text: hashlib.sha256(text).digest(), inputs),
        _contender("json", msgspec.json.Decoder(dict[str, Any]).decode, payloads),
        _contender("signature", verify, signatures),
    ]


_URL_SAFE: Final = str.maketrans("-_", "+/")


def _decode_all(parts: Sequence[str]) -> None:
    for part in parts:
        base64.b64decode(part)


def _contender(name: str, operation: Verify, values: Sequence[Any], *, new: bool = False) -> Contender:
    chunks = chunked(values)
    if new:
        return Contender(name, lambda: (operation, anew(next(chunks))))
    return Contender(name, lambda: (operation, next(chunks)))


def tables(document: Document) -> Sequence[Table]:
    """A row an operation, a column an algorithm."""
    times = document["microseconds"]
    rows = [(what, *(f"{times[alg][name]:.3f}" for alg in ALGORITHMS)) for name, what in WHAT.items()]
    operations = Table("Single operations, µs", ["", *(f">{alg}" for alg in ALGORITHMS)], rows)
    profiles = msgspec.convert(document["profiles"], dict[str, list[Share]])
    return [operations, *(Table(title, _SHARES, _share_rows(profiles[name])) for name, title in PROFILES.items())]


_SHARES: Final = ["FUNCTION", ">OF THE TIME", ">CALLS A TOKEN"]


def _share_rows(shares: Sequence[Share]) -> list[tuple[str, str, str]]:
    return [(f"`{share.function}`", f"{share.percent:.1f} %", f"{share.calls:.1f}") for share in shares]


def draw(figure: Any, document: Document) -> None:
    """What a token seen before costs at least."""
    figure.set_size_inches(9, 2)
    times = document["microseconds"]["ES256"]
    names = ("call", "clock", "hash", "dict-new", "dict-same")
    bars(figure.subplots(), {WHAT[name].partition(" (")[0]: times[name] for name in names}, ours=[])


BENCHMARK: Final = Benchmark(
    name="limits",
    what=__doc__ or "",
    measure=measure,
    tables=tables,
    draw=draw,
    arguments={"seconds": (0.6, "that each figure is timed for")},
)

if __name__ == "__main__":
    BENCHMARK.main()
