"""``tocsin bench mass`` on a small file: it measures what it says."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("way", ["sqlite", "feed"])
async def test_each_milestone_of_a_mass_revocation_is_measured(tmp_path: Path, way: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tocsin", "bench", "mass", "--json", "--tokens", "1000", "--agents", "3"),
        *("--processes", "2", *(["--feed"] if way == "feed" else [])),
        env={name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")},
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(100):
        out, err = await process.communicate()

    assert process.returncode == 0, err
    said = json.loads(out)
    assert (said["tokens"], said["agents"], said["processes"], said["way"]) == (1000, 3, 2, way)
    assert 0 < said["checked"] <= said["answered"] <= said["published"]
    assert 0 < said["first"] <= said["last"]
    assert said["command_cpu"] > 0
    assert said["agent_cpu"] > 0
    assert said["meanwhile"]["most"] >= said["meanwhile"]["least"] > 0
