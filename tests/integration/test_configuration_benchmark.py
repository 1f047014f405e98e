"""``tocsin bench config``: a little of it, on a real Consul."""

import json
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from tests.services.service import Service


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tocsin", "bench", "config", *options, "--json"],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


@pytest.mark.timeout(180)
def test_every_change_has_its_effect_everywhere_and_consul_is_left_as_it_was(consul: Service) -> None:
    ran = bench("--consul", consul.address, "--agents", "3", "--processes", "2", "--rounds", "3")

    assert ran.returncode == 0, ran.stderr
    figures = json.loads(ran.stdout)
    assert (figures["agents"]["least"] > 0, figures["rounds"], figures["processes"]) == (True, 3, 2)
    assert figures["last"]["most"] == figures["agents"]["most"]
    assert min(figures[which]["least"] for which in ("issuer", "keys")) > 0
    with urllib.request.urlopen(f"{consul.address}/v1/kv/?keys&separator=/", timeout=10) as answer:  # noqa: S310 - loopback
        assert not [key for key in json.load(answer) if key.startswith("bench-")]


def test_without_a_consul_it_says_so() -> None:
    ran = bench("--consul", "http://127.0.0.1:1")

    assert ran.returncode == 1
    assert "Consul at http://127.0.0.1:1/bench-" in json.loads(ran.stderr)["detail"]
