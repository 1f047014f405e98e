"""The main job, end to end: issue, verify, revoke, refused, on the embedded log and on a real Kafka."""

import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from tests.services.ports import free_ports
from tests.services.service import Service


def _without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}


def _demo(*arguments: str, **environ: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tocsin", "demo", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        env=_without_settings() | environ,
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


def test_the_demonstration_leaves_alone_what_the_shell_has_settings_for(tmp_path: Path) -> None:
    theirs = {
        "TOCSIN_LOG": f"sqlite:///{tmp_path}/theirs.db",
        "TOCSIN_STORE": f"sqlite:///{tmp_path}/theirs-too.db",
        "TOCSIN_TRUST": f"{tmp_path}/no-trust.json",
    }

    figures = _demo("--agents", "1", **theirs)

    assert _shows_every_revocation_refused_everywhere(figures, 1)
    assert list(tmp_path.iterdir()) == []


def test_the_demonstration_holds_on_kafka(kafka: Service) -> None:
    figures = _demo("--agents", "2", "--log", f"kafka://{kafka.address}?prefix=demo-{uuid.uuid4().hex}.")

    assert _shows_every_revocation_refused_everywhere(figures, 2)


def test_what_stays_up_is_where_the_configuration_says(tmp_path: Path) -> None:
    port, sidecar_port = free_ports(2)
    tocsin = [sys.executable, "-m", "tocsin"]
    ports = ["--port", str(port), "--sidecar-port", str(sidecar_port)]
    subprocess.run([*tocsin, "init", *ports], cwd=tmp_path, env=_without_settings(), check=True, capture_output=True)
    trust = (tmp_path / ".tocsin" / "trust.json").read_bytes()

    stay = [*tocsin, "demo", "--stay", "--json"]
    with subprocess.Popen(stay, cwd=tmp_path, env=_without_settings(), stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        answer = json.loads(running.stdout.readline())
        running.send_signal(signal.SIGINT)

    assert answer["issuer"] == f"http://127.0.0.1:{port}"
    assert answer["sidecar"] == f"http://127.0.0.1:{sidecar_port}"
    assert (tmp_path / ".tocsin" / "trust.json").read_bytes() == trust
    assert running.returncode == 0


def test_what_cannot_stay_up_because_a_port_is_taken_says_which_and_how_to_take_another(tmp_path: Path) -> None:
    tocsin = [sys.executable, "-m", "tocsin"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        init = [*tocsin, "init", "--port", str(port), "--sidecar-port", "0"]
        subprocess.run(init, cwd=tmp_path, env=_without_settings(), check=True, capture_output=True)

        stay = [*tocsin, "demo", "--stay"]
        ran = subprocess.run(
            stay, cwd=tmp_path, env=_without_settings(), check=False, capture_output=True, text=True, timeout=60
        )

    assert ran.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in ran.stderr
    assert "tocsin init --port" in ran.stderr
