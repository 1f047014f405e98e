"""``tocsin bench``."""

import asyncio
import tempfile
from pathlib import Path

import click
import msgspec

from events.log import Retention, prepare_log
from tocsin.command import Context, json_option
from tocsin.delivery import DeliveryResult, Spread, measure, workers
from tocsin.mass.bench import mass
from tocsin.own_topics import own_topics
from tocsin.processes import Program
from tocsin.verification import load_table, measure_load, measure_verification, verification_table
from tocsin.workspace import Workspace, read_credentials


@click.group("bench")
def command() -> None:
    """Measure on this machine. The figures belong to this machine at this moment; ratios say more."""


command.add_command(mass)


@command.command("delivery")
@click.option("--log", help="Such as kafka://127.0.0.1:9092 (topics of its own); by default an SQLite file.")
@click.option("--store", help="Store of the issuer; by default an SQLite file.")
@click.option("--agents", default=3, show_default=True, type=click.IntRange(1, 1000))
@click.option("--processes", default=3, show_default=True, type=click.IntRange(1, 64), help="That the agents run in.")
@click.option("--warm-up", default=20, show_default=True, type=click.IntRange(0, 100_000), help="Rounds not counted.")
@click.option("--rounds", default=200, show_default=True, type=click.IntRange(1, 100_000))
@json_option
@click.pass_obj
def delivery(
    context: Context, log: str | None, store: str | None, agents: int, processes: int, warm_up: int, rounds: int
) -> None:
    """From the answer of a revocation to the refusal at each agent: issuer and agents as processes of this machine."""
    processes = min(processes, agents)
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        result = asyncio.run(_delivery(Path(folder), log, store, agents, processes, warm_up, rounds))
    setting = {"agents": agents, "processes": processes, "log": _kind(log), "warm_up": warm_up}
    context.output.answer({**setting, **msgspec.to_builtins(result)})
    context.output.line(
        f"{rounds} revocations after {warm_up} not counted, {agents} agents in {processes} processes, log {_kind(log)}"
    )
    context.output.table(
        ["TIMES IN ms", ">LEAST", ">P50", ">P99", ">MOST"],
        [
            _row("revocation asked for → answered", result.answer),
            _row("answered → refused, every agent", result.refusal),
            _row("answered → refused, last agent", result.last),
        ],
    )


@command.command("verify")
@click.option("--seconds", default=0.6, show_default=True, type=click.FloatRange(0.01, 60), help="For each figure.")
@click.option("--digests", default=1_000_000, show_default=True, type=click.IntRange(0, 10_000_000), help="Revoked.")
@click.option("--cutoffs", default=100_000, show_default=True, type=click.IntRange(0, 1_000_000), help="Of subjects.")
@json_option
@click.pass_obj
def verify(context: Context, seconds: float, digests: int, cutoffs: int) -> None:
    """Verifications a second on one core, beside other libraries: the first time, again, and after a revocation.

    Then what many revocations add to one verification. PyJWT is always there; joserfc and Authlib come with the extra
    "bench".
    """
    result = measure_verification(seconds)
    load = measure_load(5 * seconds, digests, cutoffs)
    context.output.answer({**msgspec.to_builtins(result), "load": msgspec.to_builtins(load)})
    context.output.table(*verification_table(result))
    for name in result.absent:
        context.output.line(f"{name} is not installed here; it comes with: pip install 'tocsin[bench]'")
    context.output.line("")
    context.output.table(*load_table(load))


async def _delivery(
    folder: Path, log: str | None, store: str | None, agents: int, processes: int, warm_up: int, rounds: int
) -> DeliveryResult:
    workspace = Workspace(folder)
    log = own_topics(log, "bench")
    if log is not None:
        await prepare_log(log, Retention())
    await workspace.set_up(port=0, sidecar_port=0, store=store, log=log)
    issuer = Program("issuer", ["tocsin", "--config", str(workspace.config), "issuer", "--json"], folder)
    async with issuer, workers(workspace.config, folder, agents=agents, processes=processes) as programs:
        return await measure(
            f"http://127.0.0.1:{issuer.announcement['port']}",
            read_credentials(workspace.operator),
            read_credentials(workspace.demo_client),
            programs,
            warm_up=warm_up,
            rounds=rounds,
        )


def _kind(log: str | None) -> str:
    return (log or "sqlite").partition(":")[0]


def _row(name: str, spread: Spread) -> tuple[str, ...]:
    return name, *(f"{value:.1f}" for value in (spread.least, spread.p50, spread.p99, spread.most))
