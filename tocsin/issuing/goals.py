"""What was asked of the issuer's speed, and whether the figures say so."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tocsin.delivery.goals import DeliveryGoal as Goal
from tocsin.issuing.servers import OURS, QUIET, WHAT

OF_BARE: Final = 0.8
MOST_TIMES: Final = 2.0
MOST_LOADS: Final = 1

Turns = Sequence[Mapping[str, Any]]


def median(turns: Turns, what: str) -> float:
    """Of one figure of all turns."""
    return float(statistics.median(turn[what] for turn in turns))


def against(turns: Turns, others: Turns) -> float:
    """How many times as many tokens for a second of processor; each turn against the other's of the same round."""
    ratios = (turn["per_cpu"] / other["per_cpu"] for turn, other in zip(turns, others, strict=True))
    return float(statistics.median(ratios))


def issuing_goals(figures: Mapping[str, Any]) -> Iterator[Goal]:
    """One for each figure that has been measured."""
    rates = figures.get("rates", {}).get("ES256", {})
    if rates:
        yield _share(rates, QUIET, "pyjwt", "without an access log")
        yield _share(rates, OURS, "pyjwt-logged", "each with its access log, as they come")
        for name in rates.keys() - WHAT.keys():
            times = against(rates[OURS], rates[name])
            yield Goal(
                f"ES256 tokens for a second of processor, against {name}", "ahead", f"{times:.2f} times", "", times > 1
            )
    if "logins" in figures:
        yield _waiting(
            f"p99 of client_credentials while {figures['extent']['logins']} log in at once", figures["logins"]
        )
    if "burst" in figures:
        loads = figures["burst"]
        requests = figures["extent"]["burst"]
        yield Goal(
            f"store queries for a client in a burst of {requests:,} requests",
            f"≤ {MOST_LOADS}",
            str(loads),
            "",
            loads <= MOST_LOADS,
        )


def _share(rates: Mapping[str, Turns], ours: str, bare: str, how: str) -> Goal:
    share = against(rates[ours], rates[bare])
    others = [
        f"{WHAT.get(name, name)} {median(turns, 'per_cpu'):,.0f}" for name, turns in rates.items() if name != ours
    ]
    return Goal(
        f"ES256 tokens for a second of processor, against a bare handler of aiohttp and PyJWT, {how}",
        f"≥ {OF_BARE:.0%}",
        f"{share:.0%} ({median(rates[ours], 'per_cpu'):,.0f})",
        ", ".join(others),
        share >= OF_BARE,
    )


def _waiting(what: str, found: Mapping[str, float]) -> Goal:
    ratio = found["busy"] / found["calm"]
    return Goal(
        what,
        f"≤ {MOST_TIMES:.0f} times",
        f"{ratio:.2f} times",
        f"{found['calm']:.1f} → {found['busy']:.1f} ms; p50 {found['calm_p50']:.1f} → {found['busy_p50']:.1f} ms",
        ratio <= MOST_TIMES,
    )
