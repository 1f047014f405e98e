"""What was asked of delivery, and whether the figures say so. The goals are those of issue 5."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

MOST_MS: Final = 20.0
MOST_PERCENT: Final = 0.5
MOST_RATIO: Final = 1.1
START_SECONDS: Final = {"disk": 1.0, "redis": 1.0, "kafka": 5.0}

LOGS: Final = {"kafka": "Kafka", "feed": "the event feed", "sqlite": "SQLite"}
AT_REST: Final = {**LOGS, "state_dir": "a folder of its own", "redis": "Redis"}
STARTS: Final = {"disk": "from disk", "redis": "from Redis", "kafka": "by replay from Kafka"}


class DeliveryGoal(NamedTuple):
    """One goal and what was measured, in words; ``beside`` is what else was measured in the same run."""

    what: str
    goal: str
    measured: str
    beside: str
    met: bool


def delivery_goals(figures: Mapping[str, Any]) -> Iterator[DeliveryGoal]:
    """One for each figure that has been measured."""
    for name, result in figures.get("reach", {}).items():
        last, answer, extent = result["last"], result["answer"], figures["extent"]
        yield DeliveryGoal(
            f"revoked → refused by the last of {extent['agents']} agents through {LOGS[name]}, p99",
            f"≤ {MOST_MS:.0f} ms",
            f"{last['p99']:.1f} ms",
            f"p50 {last['p50']:.1f} ms; {extent['processes']} processes; asked → answered p50 {answer['p50']:.1f} ms",
            last["p99"] <= MOST_MS,
        )
    for name, result in figures.get("rest", {}).items():
        yield DeliveryGoal(
            f"CPU of an agent when nothing happens, {'with' if name not in LOGS else 'on'} {AT_REST[name]}",
            f"≤ {MOST_PERCENT} % of a core",
            f"{result['percent']:.2f} %",
            f"over {result['seconds']:.0f} s",
            result["percent"] <= MOST_PERCENT,
        )
    for name, result in figures.get("strain", {}).items():
        what = "Redis hung" if name == "redis" else "Kafka behind a black hole"
        yield DeliveryGoal(
            f"first verification with {what}, p99, against healthy",
            f"≤ {MOST_RATIO} times",
            f"{result['ratio']:.2f} times",
            f"{result['healthy']:.0f} → {result['silent']:.0f} µs, {result['calls']:,} calls",
            result["ratio"] <= MOST_RATIO,
        )
    yield from _starts(figures.get("start"))


def _starts(start: Mapping[str, Any] | None) -> Iterator[DeliveryGoal]:
    for way, most in START_SECONDS.items():
        if start is None or way not in start["runs"]:
            continue
        ready = sorted(run["ready"] for run in start["runs"][way])
        yield DeliveryGoal(
            f"start to ready with {start['digests']:,} revocations, {STARTS[way]}, median",
            f"≤ {most:.0f} s",
            f"{ready[len(ready) // 2]:.2f} s",
            f"{ready[0]:.2f} to {ready[-1]:.2f} s",
            ready[len(ready) // 2] <= most,
        )
