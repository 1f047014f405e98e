"""The figures for people: headings and rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from tocsin.issuing.goals import against, median
from tocsin.issuing.servers import WHAT

Table = tuple[Sequence[str], Sequence[Sequence[str]]]


def rates_table(figures: Mapping[str, Any]) -> Table:
    """Medians of the turns, the most tokens for a second of processor first."""
    rows = []
    for alg, rates in figures["rates"].items():
        for name, turns in sorted(rates.items(), key=lambda each: -median(each[1], "per_cpu")):
            rows.append(
                (
                    alg,
                    WHAT.get(name, name),
                    f"{median(turns, 'per_cpu'):,.0f}",
                    f"{against(turns, rates['pyjwt']):.2f}",
                    f"{median(turns, 'per_second'):,.0f}",
                    f"{median(turns, 'p50'):.1f}",
                    f"{median(turns, 'p99'):.1f}",
                    f"{median(turns, 'resident') / 1e6:.0f}",
                )
            )
    headings = ["ALG", "ISSUER", ">TOKENS A CPU SECOND", ">AGAINST BARE", ">A SECOND", ">P50, ms", ">P99, ms", ">MB"]
    return headings, rows


def waiting_table(figures: Mapping[str, Any]) -> Table:
    """Alone and beside those who keep the issuer busy."""
    rows = []
    for what, found in (
        (f"{figures['extent']['logins']} logins at once", figures["logins"]),
        ("RS256 tokens as fast as can be", figures["rs256"]),
    ):
        times = (f"{found[name]:.1f}" for name in ("calm_p50", "busy_p50", "calm", "busy"))
        rows.append((what, *times, f"{found['busy'] / found['calm']:.2f}"))
    return ["BESIDE", ">P50 ALONE", ">P50 BESIDE", ">P99 ALONE", ">P99 BESIDE", ">RATIO"], rows
