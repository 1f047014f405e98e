"""``tocsin bench``."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from tocsin.command import Context, json_option
from tocsin.delivery import FEED, DeliveryResult, Spread, Workers, measure, site
from tocsin.delivery.figures import FIGURES, Extent, Services, measure_figures
from tocsin.delivery.goals import delivery_goals
from tocsin.delivery.site import kind
from tocsin.issuing.figures import Extent as IssuingExtent
from tocsin.issuing.figures import measure_figures as measure_issuing
from tocsin.issuing.goals import issuing_goals
from tocsin.issuing.tables import rates_table, waiting_table
from tocsin.mass.bench import mass
from tocsin.processes import run_with_children
from tocsin.reconfiguration.bench import config
from tocsin.rotation.bench import rotation
from tocsin.verification import load_table, measure_load, measure_verification, verification_table


@click.group("bench")
def command() -> None:
    """Measure on this machine. The figures belong to this machine at this moment; ratios say more."""


command.add_command(mass)
command.add_command(rotation)
command.add_command(config)


@command.command("delivery", short_help="How soon a revocation is enforced everywhere.")
@click.option("--log", help="Such as kafka://127.0.0.1:9092 (topics of its own); by default an SQLite file.")
@click.option("--feed", is_flag=True, help="Agents follow the issuer's event feed in place of the log.")
@click.option("--store", help="Store of the issuer; by default an SQLite file.")
@click.option("--agents", default=3, show_default=True, type=click.IntRange(1, 1000))
@click.option("--processes", default=3, show_default=True, type=click.IntRange(1, 64), help="That the agents run in.")
@click.option("--alone", is_flag=True, help="Each agent reads the log by itself; otherwise those of a process share.")
@click.option("--warm-up", default=20, show_default=True, type=click.IntRange(0, 100_000), help="Rounds not counted.")
@click.option("--rounds", default=200, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--goal", "goals", multiple=True, type=click.Choice([*FIGURES, "all"]), help="See above; repeatable.")
@click.option("--redis", help="Such as redis://127.0.0.1:6379, for the goals; keys of its own are removed again.")
@json_option
@click.pass_obj
def delivery(
    context: Context,
    log: str | None,
    feed: bool,
    store: str | None,
    agents: int,
    processes: int,
    alone: bool,
    warm_up: int,
    rounds: int,
    goals: tuple[str, ...],
    redis: str | None,
) -> None:
    """From the answer of a revocation to the refusal at each agent: issuer and agents as processes of this machine.

    With --goal the figures that there are goals for: how soon 100 agents in two processes refuse, over SQLite, the
    feed and --log kafka://… (reach), what an agent costs that has nothing to do (rest), whether verifying feels it when
    Redis or Kafka falls silent (strain), and how long a start takes with a million revocations (start).
    """
    if feed and log is not None:
        raise click.UsageError("--feed is in place of --log")
    if goals:
        _goals(context, FIGURES if "all" in goals else goals, Services(kafka=log, redis=redis), warm_up, rounds)
        return
    wanted = Workers(agents=agents, processes=min(processes, agents), sharing=not alone)
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        result = run_with_children(_delivery(Path(folder), FEED if feed else log, store, wanted, warm_up, rounds))
    name = kind(FEED if feed else log)
    setting = {"agents": agents, "processes": wanted.processes, "sharing": wanted.sharing, "log": name}
    context.output.answer({**setting, "warm_up": warm_up, **msgspec.to_builtins(result)})
    context.output.line(
        f"{rounds} revocations after {warm_up} not counted, {agents} agents in {wanted.processes} processes, log {name}"
    )
    context.output.table(
        ["TIMES IN ms", ">LEAST", ">P50", ">P99", ">MOST"],
        [
            _row("revocation asked for → answered", result.answer),
            _row("answered → refused, every agent", result.refusal),
            _row("answered → refused, last agent", result.last),
        ],
    )


@command.command("issuer", short_help="Tokens the issuer makes, beside others.")
@click.option("--seconds", default=3.0, show_default=True, type=click.FloatRange(0.1, 60), help="Of each turn.")
@click.option(
    "--rounds", default=6, show_default=True, type=click.IntRange(1, 100), help="Turns; the first is not counted."
)
@click.option("--logins", default=200, show_default=True, type=click.IntRange(1, 1000), help="At once.")
@click.option(
    "--burst", default=1000, show_default=True, type=click.IntRange(1, 100_000), help="Requests of one client."
)
@json_option
@click.pass_obj
def issuer(context: Context, seconds: float, rounds: int, logins: int, burst: int) -> None:
    """Tokens that the issuer makes in a second of its processor, beside a bare handler of aiohttp and PyJWT.

    Server and load are processes on a processor each. Then how long other clients wait while many people log in, and
    while RS256 tokens are made; and how often a burst makes it ask its store. Linux alone counts what a process uses.
    """
    figures = measure_issuing(IssuingExtent(seconds=seconds, rounds=rounds, logins=logins, burst=burst))
    goals = list(issuing_goals(figures))
    context.output.answer({**figures, "goals": [goal._asdict() for goal in goals]})
    context.output.table(*rates_table(figures))
    context.output.line("")
    context.output.table(*waiting_table(figures))
    context.output.line("")
    context.output.table(
        ["WHAT", ">GOAL", ">MEASURED", "IN THE SAME RUN", ""],
        [(goal.what, goal.goal, goal.measured, goal.beside, "met" if goal.met else "missed") for goal in goals],
    )


@command.command("verify", short_help="Verifications a second on one core.")
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
    folder: Path, log: str | None, store: str | None, wanted: Workers, warm_up: int, rounds: int
) -> DeliveryResult:
    async with site(folder, log, store) as place, place.workers(wanted) as workers:
        return await measure(place, workers, warm_up=warm_up, rounds=rounds)


def _goals(context: Context, names: Sequence[str], services: Services, warm_up: int, rounds: int) -> None:
    figures = measure_figures(names, services, Extent(warm_up=warm_up, rounds=rounds))
    rows = list(delivery_goals(figures))
    context.output.answer({**figures, "goals": [row._asdict() for row in rows]})
    context.output.table(
        ["WHAT", ">GOAL", ">MEASURED", "IN THE SAME RUN", ""],
        [(row.what, row.goal, row.measured, row.beside, "met" if row.met else "missed") for row in rows],
    )


def _row(name: str, spread: Spread) -> tuple[str, ...]:
    return name, *(f"{value:.1f}" for value in (spread.least, spread.p50, spread.p99, spread.most))
