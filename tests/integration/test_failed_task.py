"""An issuer whose background work fails ends, and not as if it had been told to."""

import os
import subprocess
import sys
from pathlib import Path

FAILING = """
from issuer.outbox.relay import Relay
from tocsin.command import main

async def run(self):
    raise RuntimeError("the relay is broken")

Relay.run = run
main()
"""


def test_an_issuer_whose_relay_fails_ends_with_exit_code_1_and_says_so(tmp_path: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    init = [sys.executable, "-m", "tocsin", "init", "--port", "0"]
    subprocess.run(init, cwd=tmp_path, env=inherited, check=True, capture_output=True)

    ended = subprocess.run(
        [sys.executable, "-c", FAILING, "issuer"],
        cwd=tmp_path,
        env=inherited,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ended.returncode == 1
    assert "background_task_failed" in ended.stderr
    assert "tocsin: stopped, because relay failed" in ended.stderr
