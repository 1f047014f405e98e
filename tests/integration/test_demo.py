"""The main job, end to end: issue, verify, revoke, refused, on the embedded log and on a real Kafka."""

import json
import os
import subprocess
import sys
import uuid
from typing import Any

from tests.services.service import Service


def _demo(*arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tocsin", "demo", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        env={name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _shows_every_revocation_refused_everywhere(figures: Any, agents: int) -> bool:
    return len(figures["revocations"]) == 4 and all(len(times) == agents for times in figures["revocations"].values())


def test_the_demonstration_holds_on_the_embedded_log() -> None:
    figures = _demo()

    assert figures["agents"] == 3
    assert _shows_every_revocation_refused_everywhere(figures, 3)


def test_the_demonstration_holds_on_kafka(kafka: Service) -> None:
    figures = _demo("--agents", "2", "--log", f"kafka://{kafka.address}?prefix=demo-{uuid.uuid4().hex}.")

    assert _shows_every_revocation_refused_everywhere(figures, 2)
