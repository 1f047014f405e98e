"""``tocsin bench mass``."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import click
import msgspec

from events.digests import BATCH_LIMIT
from events.log import Retention, prepare_log
from tocsin.command import Context, json_option
from tocsin.delivery import Spread, Workers
from tocsin.mass.measurement import MassResult, measure_mass
from tocsin.own_topics import own_topics
from tocsin.processes import Program, run_with_children, workers
from tocsin.workspace import Workspace

Running = tuple[Workspace, str, list[Program]]
"""Where everything is, the issuer's URL, and the agents."""


@click.command("mass", short_help="How soon a file of tokens is enforced.")
@click.option("--log", help="Such as kafka://127.0.0.1:9092 (topics of its own); by default an SQLite file.")
@click.option("--store", help="Store of the issuer; by default an SQLite file.")
@click.option("--feed", is_flag=True, help="Let the agents follow the issuer's event feed instead of the log.")
@click.option("--tokens", default=1_000_000, show_default=True, type=click.IntRange(3, 100_000_000))
@click.option("--agents", default=100, show_default=True, type=click.IntRange(1, 1000))
@click.option("--processes", type=click.IntRange(1, 64), help="That the agents run in; one a core by default.")
@click.option("--alone", is_flag=True, help="Each agent reads the log by itself; otherwise those of a process share.")
@click.option("--batch-size", default=BATCH_LIMIT, show_default=True, type=click.IntRange(1, BATCH_LIMIT))
@json_option
@click.pass_obj
def mass(
    context: Context,
    log: str | None,
    store: str | None,
    feed: bool,
    tokens: int,
    agents: int,
    processes: int | None,
    alone: bool,
    batch_size: int,
) -> None:
    """From the start of `tocsin revoke --file` until every agent enforces all of it; single revocations meanwhile."""
    processes = min(processes or os.cpu_count() or 1, agents)
    wanted = Workers(agents=agents, processes=processes, sharing=not alone)
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        measuring = _measuring(Path(folder), log, store, feed=feed, wanted=wanted)
        result = run_with_children(_mass(measuring, tokens, batch_size))
    way = "feed" if feed else (log or "sqlite").partition(":")[0]
    setting = {
        "agents": agents,
        "processes": processes,
        "sharing": not alone,
        "way": way,
        "store": (store or "sqlite").partition(":")[0],
    }
    context.output.answer({**setting, **msgspec.to_builtins(result)})
    context.output.line(
        f"{tokens} tokens in a file of {result.megabytes:.0f} MB, {agents} agents in {processes} processes on "
        f"{os.cpu_count()} cores, by {way}" + (", each by itself" if alone else "")
    )
    context.output.table(["SECONDS FROM THE START OF THE COMMAND", ">"], _milestones(result))
    context.output.line(
        f"processor time: the command {result.command_cpu:.1f} s, each agent {result.agent_cpu:.2f} s "
        f"({result.agent_cpu * agents:.0f} s for all of them)"
    )
    context.output.table(
        ["ONE TOKEN, MEANWHILE, ms", ">LEAST", ">P50", ">P99", ">MOST"],
        [
            _row("before: asked for → answered", result.idle_answer),
            _row("meanwhile", result.meanwhile_answer),
            _row("before: asked for → refused by an agent", result.idle),
            _row("meanwhile", result.meanwhile),
        ],
    )


async def _mass(measuring: AbstractAsyncContextManager[Running], tokens: int, batch_size: int) -> MassResult:
    async with measuring as (workspace, url, programs):
        return await measure_mass(workspace, url, programs, tokens=tokens, batch_size=batch_size)


@asynccontextmanager
async def _measuring(
    folder: Path, log: str | None, store: str | None, *, feed: bool, wanted: Workers
) -> AsyncIterator[Running]:
    workspace = Workspace(folder)
    log = own_topics(log, "bench")
    if log is not None:
        await prepare_log(log, Retention())
    await workspace.set_up(port=0, sidecar_port=0, store=store, log=log)
    workspace.config.write_text(workspace.config.read_text() + '\nfeed = "open"\n')
    issuer = Program("issuer", ["tocsin", "--config", str(workspace.config), "issuer", "--json"], folder)
    async with issuer:
        url = f"http://127.0.0.1:{issuer.announcement['port']}"
        config = _following(workspace.config, f"{url}/events") if feed else workspace.config

        def command(share: int) -> list[str]:
            return ["tocsin.mass.worker", str(config), str(share), wanted.reading]

        async with workers("worker", command, folder, agents=wanted.agents, processes=wanted.processes) as programs:
            yield workspace, url, programs


def _following(config: Path, log: str) -> Path:
    """A copy of the configuration, for agents of another log."""
    lines = [f'log = "{log}"' if line.startswith("log = ") else line for line in config.read_text().splitlines()]
    copy = config.with_name("agents.toml")
    copy.touch(mode=0o600)
    copy.write_text("\n".join(lines) + "\n")
    return copy


def _milestones(result: MassResult) -> list[tuple[str, str]]:
    named = [
        ("the file read and checked", result.checked),
        ("everything answered by the issuer", result.answered),
        ("everything in the event log", result.published),
        ("everything enforced by the first agent", result.first),
        ("everything enforced by the last agent", result.last),
    ]
    return [(name, f"{seconds:.2f}") for name, seconds in named]


def _row(name: str, spread: Spread) -> tuple[str, ...]:
    return name, *(f"{value:.1f}" for value in (spread.least, spread.p50, spread.p99, spread.most))
