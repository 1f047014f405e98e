"""Every figure of delivery that there is a goal for, each on an issuer of its own."""

import secrets
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import msgspec

from tocsin.delivery.reach import measure
from tocsin.delivery.rest import measure_rest
from tocsin.delivery.site import FEED, Workers, site
from tocsin.delivery.start import clear, measure_start
from tocsin.delivery.strain import FAULTS, measure_strain
from tocsin.processes import run_with_children

FIGURES: Final = ("reach", "rest", "strain", "start")


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """What there is beside SQLite and the feed; URLs. What is absent is left out."""

    kafka: str | None = None
    redis: str | None = None


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured.

    Attributes:
        agents: that must all refuse.
        processes: that they run in; those of one process share one reader of the log.
        warm_up: rounds not counted.
        rounds: revocations, one after the other.
        rest_seconds: that agents are left alone.
        strain_seconds: of each turn in which a service is silent for one of two agents.
        digests: revoked at the start of an agent.
        selectors: revoked beside them.
        runs: starts of each kind.
    """

    agents: int = 100
    processes: int = 2
    warm_up: int = 20
    rounds: int = 200
    rest_seconds: float = 20.0
    strain_seconds: float = 8.0
    digests: int = 1_000_000
    selectors: int = 0
    runs: int = 3


def measure_figures(names: Sequence[str], services: Services, extent: Extent) -> dict[str, Any]:
    """Those named in ``FIGURES``, as JSON values by name; and the extent.

    Raises:
        CommandFailed: something does not start, or a token is judged wrongly.
    """
    found: dict[str, Any] = {"extent": msgspec.to_builtins(extent)}
    if "reach" in names:
        found["reach"] = run_with_children(_reach(services, extent))
    if "rest" in names:
        found["rest"] = run_with_children(_rest(services, extent))
    if "strain" in names:
        found["strain"] = run_with_children(_strain(services, extent))
    if "start" in names:
        found["start"] = measure_start(
            digests=extent.digests,
            selectors=extent.selectors,
            runs=extent.runs,
            kafka=services.kafka,
            redis=services.redis,
        )
    return found


async def _reach(services: Services, extent: Extent) -> dict[str, Any]:
    found = {}
    for name, log in {"sqlite": None, "feed": FEED, "kafka": services.kafka}.items():
        if name == "kafka" and log is None:
            continue
        with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
            wanted = Workers(agents=extent.agents, processes=extent.processes)
            async with site(Path(folder), log) as place, place.workers(wanted) as workers:
                result = await measure(place, workers, warm_up=extent.warm_up, rounds=extent.rounds)
        found[name] = msgspec.to_builtins(result)
    return found


async def _rest(services: Services, extent: Extent) -> dict[str, Any]:
    """One agent in each process, all at the same time: they do next to nothing."""
    prefix = _prefix()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        async with AsyncExitStack() as stack:
            embedded = await stack.enter_async_context(site(Path(folder, "embedded")))
            big = embedded
            if services.kafka is not None:
                big = await stack.enter_async_context(site(Path(folder, "kafka"), services.kafka))
            wanted = {
                "sqlite": (embedded, {}),
                "feed": (embedded, {"TOCSIN_LOG": f"{embedded.url}/events"}),
                "kafka": (big, {}),
                "state_dir": (big, {"TOCSIN_STATE_DIR": f"{folder}/state"}),
                "redis": (big, _redis(services, prefix)),
            }
            absent = {name for name in ("kafka", "redis") if getattr(services, name) is None}
            workers = {
                name: (await stack.enter_async_context(place.workers(Workers(settings=settings))))[0]
                for name, (place, settings) in wanted.items()
                if name not in absent
            }
            results = await measure_rest(list(workers.values()), extent.rest_seconds)
    await _cleared(services, prefix)
    return {name: msgspec.to_builtins(result) for name, result in zip(workers, results, strict=True)}


async def _strain(services: Services, extent: Extent) -> dict[str, Any]:
    found, prefix = {}, _prefix()
    for service in FAULTS:
        url = getattr(services, service)
        if url is None:
            continue
        with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
            async with site(Path(folder), services.kafka) as place:
                settings = _redis(services, prefix) if service == "redis" else {}
                result = await measure_strain(place, service, url, settings, extent.strain_seconds)
        found[service] = msgspec.to_builtins(result)
    await _cleared(services, prefix)
    return found


def _prefix() -> str:
    return f"tocsin-bench-{secrets.token_hex(6)}:"


def _redis(services: Services, prefix: str) -> dict[str, str]:
    return {
        "TOCSIN_REDIS": services.redis or "",
        "TOCSIN_REDIS_PREFIX": prefix,
        "TOCSIN_REDIS_DENY_LIST_PREFIX": prefix,
    }


async def _cleared(services: Services, prefix: str) -> None:
    if services.redis is not None:
        await clear(services.redis, prefix)
