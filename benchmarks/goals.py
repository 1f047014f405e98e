"""What was asked, and whether the figures say so: of the verifier in the order of issue 4, of delivery and issuer."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.benchmark import Document, Table
from tocsin.delivery.goals import delivery_goals
from tocsin.issuing.goals import issuing_goals
from tocsin.verification.issuer import ALGORITHMS

Results = Mapping[str, Document]
"""Documents by the name of their benchmark."""

AGAINST_PYJWT: Final = {"RS256": 2.3, "ES256": 1.45, "EdDSA": 1.25}
MOST_A_TENFOLD: Final = 1.5
PYTHON_PEERS: Final = ("PyJWT", "joserfc", "Authlib")


@dataclass(frozen=True)
class Verdict:
    """One goal and what was measured.

    Attributes:
        what: is asked for.
        goal: in words.
        measured: in words.
        beside: what else was measured in the same run.
        met: whether the figure is as good as the goal.
    """

    what: str
    goal: str
    measured: str
    beside: str
    met: bool


def verdicts(results: Results) -> Iterator[Verdict]:
    """One for each goal whose benchmark has been run."""
    for benchmark, judge in _JUDGES:
        if benchmark in results:
            yield from judge(results[benchmark])


def table(results: Results) -> Table:
    """All of them."""
    rows = [
        (verdict.what, verdict.goal, verdict.measured, verdict.beside, "met" if verdict.met else "**missed**")
        for verdict in verdicts(results)
    ]
    return Table("Goals", ["WHAT", ">GOAL", ">MEASURED", "IN THE SAME RUN", ""], rows)


def delivery_table(results: Results) -> Table:
    """Those of delivery, which are those of issue 5."""
    rows = [
        (goal.what, goal.goal, goal.measured, goal.beside, "met" if goal.met else "**missed**")
        for goal in delivery_goals(results.get("delivery", {}))
    ]
    return Table("Goals of delivery", ["WHAT", ">GOAL", ">MEASURED", "IN THE SAME RUN", ""], rows)


def issuer_table(results: Results) -> Table:
    """Those of the issuer's speed."""
    rows = [
        (goal.what, goal.goal, goal.measured, goal.beside, "met" if goal.met else "**missed**")
        for goal in issuing_goals(results.get("issuer", {}))
    ]
    return Table("Goals of the issuer", ["WHAT", ">GOAL", ">MEASURED", "IN THE SAME RUN", ""], rows)


def _again(document: Document) -> Iterator[Verdict]:
    rates = _rates(document)
    for name, bare, what, goal in (
        ("warm-new", "bare-new", "again, new `str`", 2_500_000),
        ("warm-same", "bare-same", "again, same `str`", 4_000_000),
    ):
        for alg in ("RS256", "ES256"):
            length = document["verification"]["token_bytes"][alg]
            per_second, floor = rates[alg, name]["per_second"], rates[alg, bare]["per_second"]
            yield Verdict(
                f"{what}, token of {length} bytes ({alg})",
                f"≥ {goal:,} a second",
                f"{per_second:,.0f} ({1e6 / per_second:.2f} µs)",
                f"bare dict {floor:,.0f} ({1e6 / floor:.2f} µs)",
                per_second >= goal,
            )


def _first(document: Document) -> Iterator[Verdict]:
    rates = _rates(document)
    for alg, goal in AGAINST_PYJWT.items():
        ours = rates[alg, "cold"]["against_pyjwt"]
        peers = {peer: rates[alg, peer]["against_pyjwt"] for peer in PYTHON_PEERS if (alg, peer) in rates}
        beside = [f"{peer} {ratio:.2f}" for peer, ratio in peers.items()]
        beside += [
            f"{what} {rates[alg, name]['against_pyjwt']:.2f}"
            for name, what in (("cold-uncached", "cache off"), ("signature", "the signature alone"))
        ]
        yield Verdict(
            f"first time, and remembered, {alg}, against PyJWT; ahead of every Python peer",
            f"≥ {goal} times",
            f"{ours:.2f} times ({rates[alg, 'cold']['microseconds']:.0f} µs)",
            ", ".join(beside),
            ours >= goal and ours > max(peers.values()),
        )


def _moved(document: Document) -> Iterator[Verdict]:
    rates = _rates(document)
    worst = max((rates[alg, "warm-moved"] for alg in ALGORITHMS), key=lambda rate: float(rate["microseconds"]))
    yield Verdict(
        "again, after an unrelated revocation; the signature is not repeated",
        "≤ 2 µs",
        f"{worst['microseconds']:.2f} µs ({worst['alg']}, the slowest)",
        f"the signature alone {rates[worst['alg'], 'signature']['microseconds']:.0f} µs",
        worst["microseconds"] <= 2,
    )
    load = document["load"]
    more = load["cold_loaded"] - load["cold"]
    spread = ", ".join(f"{each:.2f}" for each in load["cold_more"])
    yield Verdict(
        f"first time, with {load['digests']:,} digests and {load['cutoffs']:,} cutoffs",
        "≤ 3 µs more",
        f"{more:.2f} µs more",
        f"three stretches: {spread}",
        more <= 3,
    )


def _mass(document: Document) -> Iterator[Verdict]:
    best = min(document["applied"], key=lambda run: float(run["seconds"]))
    calmest = min(document["applied"], key=lambda run: float(run["longest_stall"]))
    count = f"{document['count']:,}"
    yield Verdict(
        f"{count} digests applied by a running agent, filter and all",
        "≤ 1 s",
        f"{best['seconds']:.2f} s",
        f"in force after {best['in_force']:.2f} s",
        best["seconds"] <= 1,
    )
    yield Verdict(
        "longest stall of its event loop meanwhile",
        "≤ 10 ms",
        f"{calmest['longest_stall']:.1f} ms",
        f"with nothing to do {calmest['idle_stall']:.1f} ms",
        calmest["longest_stall"] <= 10,
    )
    weight = document["bytes_each"]
    yield Verdict(
        f"memory of a digest, at {count}, by signed events",
        "≤ 16 bytes",
        f"{weight['verifier']:.1f} bytes",
        f"a Python set {weight['set']:.0f}",
        weight["verifier"] <= 16,
    )


def _memory(document: Document) -> Iterator[Verdict]:
    size, full, sidecar = (document["resident"][way] / 1e6 for way in ("running", "full", "sidecar"))
    yield Verdict(
        "memory of an agent with nothing revoked",
        "≤ 60 MB",
        f"{size:.0f} MB",
        f"with 10,000 tokens remembered {full:.0f} MB; the sidecar program {sidecar:.0f} MB",
        size <= 60,
    )


def _growth(document: Document) -> Iterator[Verdict]:
    """Logarithmic growth adds as much for each tenfold; proportional growth would add ten times as much each time."""
    for kind, (what, since) in _GROWING.items():
        times = {int(size): found["first"] for size, found in document["grown"][kind].items() if int(size) >= since}
        least, most = min(times), max(times)
        tenfold = (times[most] - times[least]) / math.log10(most / least)
        yield Verdict(
            f"growth of a first verification, {least:,} to {most:,} {what}",
            f"at worst logarithmic: ≤ {MOST_A_TENFOLD} µs for each tenfold",
            f"{tenfold:+.2f} µs for each tenfold",
            f"{times[least]:.1f} → {times[most]:.1f} µs",
            tenfold <= MOST_A_TENFOLD,
        )


_GROWING: Final = {
    "digests": ("digests", 1_000),
    "cutoffs": ("revoked subjects", 1_000),
    "selectors": ("selectors of six shapes", 10),
}
"""What grows, and from which size on: fewer than ten selectors have not all the shapes."""


def _rates(document: Document) -> dict[tuple[str, str], Any]:
    return {(rate["alg"], rate["name"]): rate for rate in document["verification"]["rates"]}


_JUDGES: Final[tuple[tuple[str, Callable[[Document], Iterator[Verdict]]], ...]] = (
    ("verification", _again),
    ("verification", _first),
    ("verification", _moved),
    ("digests", _mass),
    ("memory", _memory),
    ("growth", _growth),
)
