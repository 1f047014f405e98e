"""Every figure of the issuer's speed, one after the other."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tocsin.errors import CommandFailed
from tocsin.issuing.rates import measure_rates
from tocsin.issuing.servers import Started
from tocsin.issuing.waiting import measure_burst, measure_logins, measure_rs256
from tocsin.processes import run_with_children


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured.

    Attributes:
        seconds: of each turn.
        rounds: turns of each issuer, of which the first does not count.
        logins: at once.
        burst: requests.
    """

    seconds: float = 3.0
    rounds: int = 6
    logins: int = 200
    burst: int = 1000


def measure_figures(extent: Extent, others: Mapping[str, Started] | None = None) -> dict[str, Any]:
    """Everything, as JSON values.

    Args:
        extent: how much.
        others: issuers beside ours and the bare ones, by name.

    Raises:
        CommandFailed: something does not start, or does not do its work.
    """
    if not Path("/proc/self/stat").exists():
        raise CommandFailed("what a process uses of the processor can be counted on Linux alone")
    rates = run_with_children(measure_rates(others or {}, seconds=extent.seconds, rounds=extent.rounds))
    logins = run_with_children(measure_logins(extent.logins, seconds=extent.seconds, rounds=extent.rounds))
    rs256 = run_with_children(measure_rs256(seconds=extent.seconds, rounds=extent.rounds))
    return {
        "extent": msgspec.to_builtins(extent),
        "rates": msgspec.to_builtins(rates),
        "logins": msgspec.to_builtins(logins),
        "rs256": msgspec.to_builtins(rs256),
        "burst": run_with_children(measure_burst(extent.burst)),
    }
