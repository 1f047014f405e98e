"""``tocsin bench rotation``."""

import tempfile
from pathlib import Path

import click
import msgspec

from tocsin.command import Context, json_option
from tocsin.delivery import Spread
from tocsin.errors import FAILED
from tocsin.processes import run_with_children
from tocsin.rotation.measurement import Extent, measure_rotation


@click.command("rotation", short_help="What a rotation costs who verifies.")
@click.option("--log", help="Such as kafka://127.0.0.1:9092 (topics of its own); by default an SQLite file.")
@click.option("--store", help="Store of the issuer; by default an SQLite file.")
@click.option("--agents", default=10, show_default=True, type=click.IntRange(1, 1000))
@click.option("--processes", default=2, show_default=True, type=click.IntRange(1, 64), help="That the agents run in.")
@click.option("--rate", default=2000, show_default=True, type=click.IntRange(1, 1_000_000), help="Verified a second.")
@click.option("--rotations", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Planned ones.")
@click.option("--emergencies", default=50, show_default=True, type=click.IntRange(0, 10_000), help="Keys revoked.")
@json_option
@click.pass_obj
def rotation(
    context: Context,
    log: str | None,
    store: str | None,
    agents: int,
    processes: int,
    rate: int,
    rotations: int,
    emergencies: int,
) -> int:
    """Rotate keys while enrolled agents verify, and revoke the key that signs; nothing is cached.

    Exit code 1: a good token was refused during the planned rotations.
    """
    extent = Extent(
        agents=agents, processes=min(processes, agents), rate=rate, rotations=rotations, emergencies=emergencies
    )
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        result = run_with_children(measure_rotation(Path(folder), log, store, extent))
    context.output.answer({**msgspec.to_builtins(extent), **msgspec.to_builtins(result)})
    refused = sum(result.refused.values())
    context.output.line(
        f"{result.rotations} planned rotations, {agents} agents: {result.verified} good tokens verified "
        f"({result.verified / result.seconds:.0f} a second), {refused} refused {result.refused or ''}".rstrip()
    )
    rows = [("rotation asked for → all had acknowledged, and it is done", result.rotation)]
    if result.revocation is not None and result.old_refused is not None and result.new_good is not None:
        rows += [
            ("revocation of the key asked for → answered", result.revocation),
            ("key revoked → its token refused, last agent", result.old_refused),
            ("key revoked → new token fetched and good, last agent", result.new_good),
        ]
    context.output.table(["TIMES IN ms", ">LEAST", ">P50", ">P99", ">MOST"], [_row(*row) for row in rows])
    return FAILED if refused else 0


def _row(name: str, spread: Spread) -> tuple[str, ...]:
    return name, *(f"{value:.1f}" for value in (spread.least, spread.p50, spread.p99, spread.most))
