from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import redis

from benchmarks import cores, digests, held, memory
from benchmarks.benchmark import Benchmark, Document, Table
from tests.services.service import Service


def run(benchmark: Benchmark, folder: Path, *arguments: str) -> tuple[Document, Sequence[Table]]:
    """What a benchmark measured, as it is read back from the file that it kept."""
    kept = folder / "measured.json"
    benchmark.main([*arguments, "--json", str(kept)])
    document = msgspec.json.decode(kept.read_bytes())
    return document, benchmark.tables(document)


def test_digests_are_looked_up_beside_redis_which_is_left_as_it_was(
    tmp_path: Path, redis_server_of_its_own: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    address = redis_server_of_its_own.address
    options = ["--count", "2000", "--seconds", "0.01", "--runs", "1", "--redis", address]
    document, tables = run(digests.BENCHMARK, tmp_path, *options)
    assert [row[0] for row in tables[0].rows] == list(digests.WAYS.values())
    assert set(document["bytes_each"]) == {*held.WAYS, "redis"}
    assert len(document["applied"]) == 1
    with redis.Redis.from_url(address) as client:
        assert client.dbsize() == 0
        client.set("somebody", "else")
        with pytest.raises(RuntimeError, match="holds something"):
            run(digests.BENCHMARK, tmp_path, *options)
        assert client.get("somebody") == b"else"
    assert digests.WAYS["redis"] in capsys.readouterr().out


def test_a_missing_redis_is_named(tmp_path: Path) -> None:
    _, tables = run(digests.BENCHMARK, tmp_path, "--count", "300", "--seconds", "0.01", "--runs", "1")
    assert "Redis" in tables[0].title
    assert digests.WAYS["redis"] not in [row[0] for row in tables[0].rows]


def test_agents_of_every_kind_are_weighed(tmp_path: Path) -> None:
    document, tables = run(memory.BENCHMARK, tmp_path)
    assert [row[0] for row in tables[0].rows] == list(memory.WHAT.values())
    assert document["resident"]["python"] < document["resident"]["imported"] < document["resident"]["full"]


def test_processes_verify_side_by_side(tmp_path: Path) -> None:
    document, tables = run(cores.BENCHMARK, tmp_path, "--seconds", "0.03")
    assert {"1", "2"} <= set(document["rates"]["cold"])
    assert len(tables[0].rows) == len(cores.WAYS)
