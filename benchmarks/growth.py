"""How look-ups and verifying grow: with digests, revoked subjects, selectors of many shapes, and tokens in use."""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import held
from benchmarks.benchmark import Benchmark, Document, Table
from benchmarks.plots import lines
from events import Revoke, Selector, pack
from tocsin.verification.issuer import AUDIENCE, CACHE_SIZE, SCOPE, MeasuredIssuer, hear
from tocsin.verification.load import FAR, revoke_digests, revoke_subjects
from tocsin.verification.measurement import anew, chunked, knowing_agent
from tocsin.verification.stopwatch import Contender, Verify, race
from verifier_agent import Agent

TOKENS: Final = 500
DIGESTS: Final = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
CUTOFFS: Final = (1_000, 10_000, 100_000)
SELECTORS: Final = (1, 10, 100, 1_000)
IN_USE: Final = (1_000, 3_000, 5_000, 7_500, 10_000)
"""Tokens used in turn by a verifier that remembers 10,000."""

Prepare = Callable[[], tuple[Verify, Sequence[Any]]]

WAYS: Final = {"first": "first time, cache off", "again": "again, after one more revocation"}
KINDS: Final = {
    "digests": "Digests",
    "cutoffs": "Revoked subjects",
    "selectors": "Selectors of mixed shapes",
}


def measure(options: argparse.Namespace) -> Document:
    """Each kind by itself; all its sizes, and nothing revoked, in turns in one run."""
    issuer = MeasuredIssuer("RS256", TOKENS)
    sizes = {"digests": DIGESTS, "cutoffs": CUTOFFS, "selectors": SELECTORS}
    revoke = {"digests": revoke_digests, "cutoffs": revoke_subjects, "selectors": revoke_mixed}
    grown = {}
    for kind in KINDS:
        agents = {size: _Pair(issuer) for size in (0, *sizes[kind]) if size <= options.most}
        for size, pair in agents.items():
            revoke[kind](issuer, size, pair.forgetful, pair.knowing)
        grown[kind] = _measure_kind(agents, options.seconds)
    return {
        "grown": grown,
        "bytes_each": {str(size): _bytes_each(size) for size in DIGESTS if 100_000 <= size <= options.most},
        "in_use": _measure_in_use(options.seconds),
        "cache_size": CACHE_SIZE,
    }


class _Pair:
    """An agent that remembers no token and one that remembers all, of which the same is revoked."""

    def __init__(self, issuer: MeasuredIssuer) -> None:
        self.forgetful = issuer.agent(cache_size=0)
        self.knowing = knowing_agent(issuer)
        self._issuer = issuer
        self._chunks = chunked(issuer.tokens)

    def first(self) -> tuple[Verify, Sequence[str]]:
        return self.forgetful.verify, next(self._chunks)

    def again(self) -> tuple[Verify, Sequence[str]]:
        hear(self.knowing, self._issuer.unrelated())
        return self.knowing.verify, anew(self._issuer.tokens)


def _measure_kind(pairs: dict[int, _Pair], seconds: float) -> dict[str, dict[str, float]]:
    contenders = [Contender(f"first {size}", pair.first) for size, pair in pairs.items()]
    contenders += [Contender(f"again {size}", pair.again) for size, pair in pairs.items()]
    timings = race(contenders, seconds)
    return {str(size): {what: timings[f"{what} {size}"].microseconds for what in WAYS} for size in pairs}


def revoke_mixed(issuer: MeasuredIssuer, count: int, *agents: Agent) -> None:
    """Selectors that hit none of the tokens, though most share a claim with all of them."""
    for number in range(count):
        record = Revoke(selector=Selector(claims=_SHAPES[number % len(_SHAPES)](number)), expires_at=issuer.ends)
        for agent in agents:
            agent.verifier.state.revocations.revoke(pack(1, 2 * FAR + number), issuer.now, record)


_SHAPES: Final[tuple[Callable[[int], dict[str, Any]], ...]] = (
    lambda number: {"sub": f"stranger-{number}"},
    lambda number: {"client_id": "shop", "scope": f"other:{number}"},
    lambda number: {"tenant": f"tenant-{number}", "role": "admin"},
    lambda number: {"aud": AUDIENCE, "sid": f"session-{number}"},
    lambda number: {"scope": SCOPE, "department": number},
    lambda number: {"aud": AUDIENCE, "client_id": "shop", "level": number},
)


def _bytes_each(count: int) -> float:
    with tempfile.TemporaryDirectory(prefix="tocsin-growth-") as folder:
        held.write(Path(folder), count)
        return held.bytes_each("verifier", Path(folder), count)


def _measure_in_use(seconds: float) -> dict[str, dict[str, float]]:
    """Tokens used one after the other, as often as each other: again, and again after a revocation each time."""
    issuer = MeasuredIssuer("ES256", max(IN_USE))
    contenders = []
    for count in IN_USE:
        contenders.append(Contender(f"again {count}", _using(issuer, count, revoking=False)))
        contenders.append(Contender(f"moved {count}", _using(issuer, count, revoking=True)))
    timings = race(contenders, seconds)
    return {
        str(count): {what: timings[f"{what} {count}"].microseconds for what in ("again", "moved")} for count in IN_USE
    }


def _using(issuer: MeasuredIssuer, count: int, *, revoking: bool) -> Prepare:
    agent, tokens = issuer.agent(), issuer.tokens[:count]
    for token in tokens:
        agent.verify(token)

    def prepare() -> tuple[Verify, Sequence[str]]:
        if revoking:
            hear(agent, issuer.unrelated())
        return agent.verify, anew(tokens)

    return prepare


def tables(document: Document) -> Sequence[Table]:
    """One table a kind."""
    found = [
        Table(
            f"{KINDS[kind]}, RS256, none of the tokens revoked, µs",
            [">IN FORCE", *(f">{what.upper()}" for what in WAYS.values())],
            [
                (f"{int(size):,}", *(f"{times[way]:.2f}" for way in WAYS))
                for size, times in document["grown"][kind].items()
            ],
        )
        for kind in KINDS
    ]
    memory = [(f"{int(size):,}", f"{each:.1f}") for size, each in document["bytes_each"].items()]
    in_use = [
        (f"{int(count):,}", f"{times['again']:.2f}", f"{times['moved']:.2f}")
        for count, times in document["in_use"].items()
    ]
    room = document["cache_size"]
    return [
        *found,
        Table("Memory of digests, by signed events", [">DIGESTS", ">BYTES EACH"], memory),
        Table(
            f"Tokens in use, ES256, room for {room:,}, µs", [">TOKENS", ">AGAIN", ">AGAIN, AFTER A REVOCATION"], in_use
        ),
    ]


def draw(figure: Any, document: Document) -> None:
    """The first time and again over the size, a picture a kind."""
    figure.set_size_inches(9, 3.2)
    for axes, kind in zip(figure.subplots(1, len(KINDS)), KINDS, strict=True):
        sizes = [size for size in document["grown"][kind] if size != "0"]
        series = {label: [document["grown"][kind][size][what] for size in sizes] for what, label in WAYS.items()}
        lines(axes, [int(size) for size in sizes], series, label=KINDS[kind].lower(), unit="µs")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=len(WAYS), frameon=False)


BENCHMARK: Final = Benchmark(
    name="growth",
    what=__doc__ or "",
    measure=measure,
    tables=tables,
    draw=draw,
    arguments={
        "seconds": (0.6, "that each figure is timed for"),
        "most": (10_000_000, "leave out what is larger"),
    },
)

if __name__ == "__main__":
    BENCHMARK.main()
