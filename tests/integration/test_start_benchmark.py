"""The benchmark of starts, on next to nothing."""

from pathlib import Path

import msgspec

from benchmarks import start


def test_agents_start_from_their_folder_and_by_replay(tmp_path: Path) -> None:
    kept = tmp_path / "measured.json"
    start.BENCHMARK.main(["--digests", "300", "--selectors", "20", "--runs", "1", "--json", str(kept)])
    document = msgspec.json.decode(kept.read_bytes())

    assert {way: runs[0]["from"] for way, runs in document["runs"].items()} == {"disk": "disk", "sqlite": "log"}
    assert all((run["digests"], run["selectors"]) == (300, 20) for runs in document["runs"].values() for run in runs)
    assert len(start.BENCHMARK.tables(document)) == 2
