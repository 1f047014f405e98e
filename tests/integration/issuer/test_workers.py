"""``tocsin issuer --workers``: several processes on one port, looked after by a parent."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.issuer.test_processes import TOKENS, check, revoke_until_the_end
from tests.issuer_process import IssuerProcess
from tests.issuer_under_test import Installation, on_every_store, until
from tests.services.ports import free_ports
from tests.services.process_tree import descendants, processes

WORKERS = 2


@pytest.fixture
async def installation(tmp_path: Path) -> Installation:
    return await Installation.create(tmp_path)


async def samples(issuer: IssuerProcess) -> dict[tuple[str, str], float]:
    """Each sample by name and worker, over all other labels together."""
    found: dict[tuple[str, str], float] = {}
    text = (await issuer.send("GET", "/metrics")).body.decode()
    names = [line for line in text.splitlines() if line.startswith("# TYPE ")]
    assert len(names) == len(set(names)), "each family once"
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, sample.labels["worker"])
            found[key] = found.get(key, 0.0) + sample.value
    return found


async def up(issuer: IssuerProcess) -> float:
    return sum(value for (name, _), value in (await samples(issuer)).items() if name == "tocsin_worker_up")


def lives(pid: int) -> bool:
    return any(process.pid == pid and not process.is_zombie for process in processes())


@on_every_store
async def test_workers_share_a_port_and_everything_that_was_answered_by_any_of_them_holds(
    tmp_path: Path, store_url: str
) -> None:
    installation = await Installation.create(tmp_path, store=store_url)
    async with IssuerProcess.started(installation, workers=WORKERS) as issuer:
        assert len(descendants(issuer.process.pid)) == WORKERS
        operators = await issuer.token(installation.operator)
        tokens = [await issuer.token(installation.demo) for _ in range(TOKENS)]
        untouched = [await issuer.token(installation.demo)]
        answered: list[str] = []
        await revoke_until_the_end([issuer], tokens, operators, answered)

        await check(installation, answered, untouched)
        assert sorted(answered) == sorted(tokens)
        found = await samples(issuer)
        assert {worker for name, worker in found if name == "tocsin_worker_up"} == {"0", "1"}
        assert await up(issuer) == WORKERS
        assert sum(value for (name, _), value in found.items() if name == "tocsin_http_answers_total") >= 2 * TOKENS
        assert await issuer.stop() == 0
    told = [json.loads(line) for line in issuer.log]
    assert {line["worker"] for line in told if line["event"] == "request"} <= {0, 1}
    assert sum(line["event"] == "relay_leading" for line in told) == 1, "one relay by lease"


async def test_a_worker_that_is_killed_is_started_again_and_the_others_go_on(installation: Installation) -> None:
    async with IssuerProcess.started(installation, workers=WORKERS) as issuer:
        before = descendants(issuer.process.pid)
        os.kill(before[0], signal.SIGKILL)
        await until(lambda: any("worker_died" in line for line in issuer.log), "the parent has noticed")

        await until(
            lambda: (
                len(descendants(issuer.process.pid)) == WORKERS and before[0] not in descendants(issuer.process.pid)
            ),
            "there is another",
            60,
        )
        assert before[1] in descendants(issuer.process.pid)

        async def all_are_up() -> bool:
            return await up(issuer) == WORKERS

        await until(all_are_up, "all tell their metrics", 60)
        await issuer.token(installation.demo)
        assert await issuer.stop() == 0


async def test_workers_do_not_outlive_their_parent(installation: Installation) -> None:
    async with IssuerProcess.started(installation, workers=WORKERS) as issuer:
        workers = descendants(issuer.process.pid)
        await issuer.kill()

        await until(lambda: not any(map(lives, workers)), "all have ended", 60)


async def test_sigterm_ends_all_of_them_and_the_sockets_are_gone(installation: Installation, tmp_path: Path) -> None:
    async with IssuerProcess.started(installation, workers=WORKERS) as issuer:
        workers = descendants(issuer.process.pid)
        assert await issuer.stop() == 0
        assert not any(map(lives, workers))
    faults = [line for line in map(json.loads, issuer.log) if line["level"] not in ("debug", "info")]
    assert faults == []


def environment(installation: Installation, **more: object) -> dict[str, str]:
    settings = installation.settings
    own = {"issuer": settings.issuer, "store": settings.store, "log": settings.log, "kek_file": settings.kek_file}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    return inherited | {f"TOCSIN_{name.upper()}": str(value) for name, value in {**own, **more}.items()}


async def run(installation: Installation, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tocsin", "issuer"]
    return await asyncio.to_thread(
        subprocess.run,
        command,
        env=environment(installation, **more),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


async def test_a_second_installation_of_workers_does_not_come_in_at_the_same_port(installation: Installation) -> None:
    async with IssuerProcess.started(installation, workers=WORKERS) as issuer:
        port = issuer.url.rpartition(":")[2]

        second = await run(installation, workers=WORKERS, port=port)

        assert second.returncode == 1
        assert f"cannot listen on 127.0.0.1:{port}" in second.stderr


async def test_what_is_wrong_with_a_worker_from_the_start_is_told_and_ends_all(installation: Installation) -> None:
    ended = await run(installation, workers=WORKERS, port=free_ports(1)[0], kek_file="/nowhere")

    assert ended.returncode == 2
    assert "/nowhere" in ended.stderr
    assert "worker 0 ended with exit code 2 before it listened" in ended.stderr
