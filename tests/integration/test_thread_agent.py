"""Synchronous programs that fork, on the logs that services use."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from events import Selector
from events.log import EventLog, Retention, open_log
from events.log.kafka_settings import KafkaSettings
from events.log.kafka_topics import KafkaTopics
from tests.services.ports import free_ports
from tests.services.service import Service
from tests.simulator import FakeClock, IssuerSimulator, publish

FORKS: Final = 50
SOON: Final = 100.0
"""Seconds within which what is expected happens."""


class RunningIssuer:
    """An issuer that says something all the time."""

    def __init__(self, url: str) -> None:
        self.simulator = IssuerSimulator(clock=FakeClock(now=time.time()))
        self._log: EventLog = open_log(url)
        self._lock = asyncio.Lock()

    async def revoke(self, sub: str) -> None:
        """Publish one revocation and a heartbeat."""
        async with self._lock:
            self.simulator.clock.wall = time.time()
            event = self.simulator.revoke(Selector.of(sub=sub))
            await publish(self._log, event, self.simulator.beat())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Revoke nobody, every few milliseconds."""
        await publish(self._log, *self.simulator.said, self.simulator.beat())
        murmur = asyncio.create_task(self._murmur())
        try:
            yield
        finally:
            murmur.cancel()
            await asyncio.wait([murmur])
            await self._log.close()

    async def _murmur(self) -> None:
        for number in range(1_000_000):
            await self.revoke(f"nobody-{number}")
            await asyncio.sleep(0.02)


@pytest.fixture(params=["sqlite", "kafka"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each log in turn, empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/events.db"
    broker: Service = request.getfixturevalue("kafka")
    url = f"kafka://{broker.address}?prefix=test-{uuid4().hex[:12]}."
    await KafkaTopics(KafkaSettings.parse(url), Retention()).create()
    return url


@pytest.fixture
async def issuer(url: str, tmp_path: Path) -> AsyncIterator[RunningIssuer]:
    made = RunningIssuer(url)
    made.simulator.trust.save(tmp_path / "trust.json")
    async with made.running():
        yield made


Say = Callable[[dict[str, Any]], Any]


async def run(folder: Path, url: str, how: str, hear: Say) -> list[str]:
    """Run the forking service to its end; what it says is heard. Returns what it and its children complain of."""
    program = "tests.integration.forking_service"
    arguments = [how, url, str(folder / "trust.json"), str(folder / "tokens.json")]
    quiet = ["-W", "default::ResourceWarning", "-W", "ignore::DeprecationWarning"]  # 3.12 warns who forks with threads
    with (folder / "complaints").open("wb") as complaints:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *quiet, "-m", program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=complaints
        )
        try:
            async with asyncio.timeout(SOON):
                async for line in process.stdout:  # type: ignore[union-attr]
                    await hear(json.loads(line))
                exited = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert exited == 0
    return (folder / "complaints").read_text().splitlines()


async def test_each_fork_knows_what_its_parent_knew_and_hears_what_is_new(
    url: str, issuer: RunningIssuer, tmp_path: Path
) -> None:
    mint = issuer.simulator.token
    doomed = [mint(sub=f"user-{number}", rsq=1) for number in range(FORKS)]
    (tmp_path / "tokens.json").write_text(json.dumps({"good": [mint() for _ in range(20)], "doomed": doomed}))
    told: list[dict[str, Any]] = []

    async def hear(line: dict[str, Any]) -> None:
        told.append(line)
        if "forked" in line:
            await issuer.revoke(f"user-{line['forked']}")

    assert await run(tmp_path, url, "under_load", hear) == []

    assert [line for line in told if "forked" in line][1:] == [{"forked": n, "shared": []} for n in range(FORKS)]
    assert [line for line in told if "exited" in line] == [{"exited": 0}] * FORKS
    assert told[-1] == {"failures": [], "log_failures": 0, "refused": {}}


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_a_fork_of_a_process_that_hears_by_its_fallback_log_alone_hears_by_that_too(
    url: str, issuer: RunningIssuer, tmp_path: Path
) -> None:
    mint = issuer.simulator.token
    doomed = [mint(sub=f"user-{number}", rsq=1) for number in range(5)]
    (tmp_path / "tokens.json").write_text(json.dumps({"good": [mint() for _ in range(20)], "doomed": doomed}))
    told: list[dict[str, Any]] = []

    async def hear(line: dict[str, Any]) -> None:
        told.append(line)
        if "forked" in line:
            await issuer.revoke(f"user-{line['forked']}")

    nobody = f"kafka://127.0.0.1:{free_ports(1)[0]}"
    complaints = await run(tmp_path, f"{nobody} {url}", "under_load", hear)

    ours = {complaint.split()[1] for complaint in complaints if " event_" in complaint}  # and Kafka's client complains
    assert ours == {"event_log_unreadable", "event_log_failed_over"}
    assert [line for line in told if "forked" in line][1:] == [{"forked": n, "shared": []} for n in range(5)]
    assert [line for line in told if "exited" in line] == [{"exited": 0}] * 5
    assert (told[-1]["failures"], told[-1]["refused"]) == ([], {})


async def test_a_fork_for_which_the_loop_does_not_come_to_rest_is_fresh_when_it_has_heard_itself(
    url: str, issuer: RunningIssuer, tmp_path: Path
) -> None:
    mint = issuer.simulator.token
    doomed = [mint(sub=f"user-{number}", rsq=1) for number in range(5)]
    (tmp_path / "tokens.json").write_text(json.dumps({"good": [mint()], "doomed": doomed}))
    for number in range(5):
        await issuer.revoke(f"user-{number}")
    told: list[dict[str, Any]] = []

    async def hear(line: dict[str, Any]) -> None:
        told.append(line)

    [complaint] = await run(tmp_path, url, "while_blocked", hear)

    assert complaint.endswith("agent_forked_unprepared")
    assert told == [{"knew": None}, {"exited": 0}]
