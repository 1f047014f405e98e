"""The benchmark of delivery, on next to nothing, and the parts that it is made of."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import redis

from benchmarks import delivery, goals, report
from benchmarks.benchmark import Document
from tests.services.service import Service
from tocsin.delivery.goals import delivery_goals
from tocsin.delivery.silence import BLACK_HOLE, HUNG, Silence
from tocsin.delivery.start import WAYS

LITTLE = {
    "agents": 4,
    "warm-up": 1,
    "rounds": 3,
    "rest-seconds": 0.2,
    "strain-seconds": 0.6,
    "digests": 300,
    "selectors": 5,
    "runs": 1,
}
SOON = 60.0
NOT_SO_SOON = 0.3


@pytest.fixture
def measured(tmp_path: Path, kafka: Service, redis_server_of_its_own: Service) -> Document:
    """What the benchmark has kept, with everything that it can measure."""
    kept = tmp_path / "measured.json"
    options = [text for name, value in LITTLE.items() for text in (f"--{name}", str(value))]
    services = ["--kafka", f"kafka://{kafka.address}", "--redis", redis_server_of_its_own.address]
    delivery.BENCHMARK.main([*options, *services, "--json", str(kept)])
    document: Document = msgspec.json.decode(kept.read_bytes())
    return document


def test_every_figure_is_measured_and_judged_and_redis_left_as_it_was(
    measured: Document, redis_server_of_its_own: Service
) -> None:
    assert {name: result["refusals"] for name, result in measured["reach"].items()} == {
        "sqlite": 12,
        "feed": 12,
        "kafka": 12,
    }
    assert set(measured["rest"]) == {"sqlite", "feed", "kafka", "state_dir", "redis"}
    assert {name: result["fault"] for name, result in measured["strain"].items()} == {
        "redis": HUNG,
        "kafka": BLACK_HOLE,
    }
    started = {way: runs[0]["from"] for way, runs in measured["start"]["runs"].items()}
    assert started == dict.fromkeys(WAYS, "log") | {"disk": "disk", "redis": "redis", "disk kafka": "disk"}
    assert len(list(delivery_goals(measured))) == 3 + 5 + 2 + 3

    page = (
        "<!-- figures: delivery_goals -->\n<!-- end of figures --><!-- figures: delivery -->\n<!-- end of figures -->"
    )
    written = report.written(page, {"delivery": measured})
    assert "by the last of 4 agents through Kafka, p99 | ≤ 20 ms |" in written
    assert "| Kafka | answered → refused, the last |" in written
    with redis.Redis.from_url(redis_server_of_its_own.address) as client:
        assert client.dbsize() == 0


def tocsin_bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """``tocsin bench delivery`` as it is typed."""
    command = [sys.executable, "-m", "tocsin", "bench", "delivery", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("how", [["--feed"], ["--alone"]])
def test_the_command_measures_some_agents_and_revocations(how: list[str]) -> None:
    ran = tocsin_bench("--agents", "3", "--processes", "2", "--warm-up", "1", "--rounds", "2", "--json", *how)
    answer = msgspec.json.decode(ran.stdout)

    assert (answer["agents"], answer["processes"], answer["rounds"], answer["refusals"]) == (3, 2, 2, 6)
    assert (answer["log"], answer["sharing"]) == ("feed" if how == ["--feed"] else "sqlite", how != ["--alone"])


def test_the_feed_in_place_of_a_log_is_not_asked_for_beside_a_log() -> None:
    ran = tocsin_bench("--feed", "--log", "kafka://127.0.0.1:9092")

    assert ran.returncode == 2
    assert "--feed is in place of --log" in ran.stderr


@pytest.mark.parametrize(("p99", "met"), [(20.0, True), (20.1, False)])
def test_a_missed_goal_of_delivery_is_called_missed(p99: float, met: bool) -> None:
    spread = {"least": 1.0, "p50": 2.0, "p99": p99, "most": 99.0}
    figures = {
        "extent": {"agents": 100, "processes": 2},
        "reach": {"sqlite": {"last": spread, "answer": spread}},
        "rest": {"sqlite": {"percent": p99 / 40, "seconds": 20.0}},
        "strain": {"redis": {"ratio": 1.1 * p99 / 20, "healthy": 100, "silent": 110, "calls": 1}},
        "start": {"digests": 9, "runs": {"kafka": [{"ready": p99 / 4}], "disk": [{"ready": p99 / 20}]}},
    }

    assert [goal.met for goal in delivery_goals(figures)] == [met] * 5
    assert ("**missed**" in report.markdown(goals.delivery_table({"delivery": figures}))) is not met


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Of a server that says what it hears."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def _asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"there?\n")
    return await reader.readline()


@pytest.mark.parametrize("fault", [HUNG, BLACK_HOLE])
async def test_nothing_is_heard_of_what_is_silent_until_it_is_back(port: int, fault: str) -> None:
    silence = Silence(asyncio.get_running_loop())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await _asked(reader, writer) == b"there?\n"
    with silence.of(port, fault):
        asking = asyncio.create_task(_asked(reader, writer))
        await asyncio.wait([asking], timeout=NOT_SO_SOON)
        assert not asking.done()

    assert await asyncio.wait_for(asking, SOON) == b"there?\n"
    writer.close()


async def test_connections_come_about_to_what_hangs_and_not_into_a_black_hole(port: int) -> None:
    silence = Silence(asyncio.get_running_loop())
    with silence.of(port, HUNG):
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), SOON)
        asking = asyncio.create_task(_asked(reader, writer))
        await asyncio.wait([asking], timeout=NOT_SO_SOON)
        assert not asking.done()
    assert await asyncio.wait_for(asking, SOON) == b"there?\n"
    writer.close()

    with silence.of(port, BLACK_HOLE), pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), NOT_SO_SOON)
