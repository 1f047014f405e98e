"""``tocsin bench config``."""

import tempfile
from pathlib import Path

import click
import msgspec

from tocsin.command import Context, json_option
from tocsin.delivery import Spread
from tocsin.processes import run_with_children
from tocsin.reconfiguration.measurement import Extent, measure_configuration


@click.command("config", short_help="How soon a change in Consul has its effect.")
@click.option("--consul", required=True, help="Such as http://127.0.0.1:8500; a folder of its own is removed again.")
@click.option("--log", help="Such as kafka://127.0.0.1:9092 (topics of its own); by default an SQLite file.")
@click.option("--agents", default=10, show_default=True, type=click.IntRange(1, 1000))
@click.option("--processes", default=2, show_default=True, type=click.IntRange(1, 64), help="That the agents run in.")
@click.option("--rounds", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Changes of each kind.")
@json_option
@click.pass_obj
def config(context: Context, consul: str, log: str | None, agents: int, processes: int, rounds: int) -> None:
    """From the write to Consul to what programs do: agents judge a token by another audience, the issuer makes tokens
    of another lifetime, and another key of the list signs.
    """
    extent = Extent(agents=agents, processes=min(processes, agents), rounds=rounds)
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        result = run_with_children(measure_configuration(Path(folder), consul, log, extent))
    context.output.answer({**msgspec.to_builtins(extent), **msgspec.to_builtins(result)})
    context.output.line(f"{rounds} changes of each kind, {agents} agents in {extent.processes} processes")
    context.output.table(
        ["TIMES IN ms", ">LEAST", ">P50", ">P99", ">MOST"],
        [
            _row("written → effective, every agent", result.agents),
            _row("written → effective, last agent", result.last),
            _row("written → a token of the new lifetime", result.issuer),
            _row("written → a token of the key that is first now", result.keys),
        ],
    )


def _row(name: str, spread: Spread) -> tuple[str, ...]:
    return name, *(f"{value:.1f}" for value in (spread.least, spread.p50, spread.p99, spread.most))
