"""The stack of ``docker-compose.yml``, under a project name, ports and a password of its own."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
NO_ENVIRONMENT = Path(__file__).with_name("no.env")
PROJECT = "tocsin-check"
IMAGE = "tocsin:dev"
SERVICES = ("agent", "consul", "issuer", "kafka", "postgresql", "redis")
"""Those that stay up; ``setup`` ends."""
BUILD_SECONDS = 900
UP_SECONDS = 180
CALL_SECONDS = 60


class StackFailed(Exception):
    """A step did not hold; the message says which fact."""


class Stack:
    """Compose and the engine behind it.

    Attributes:
        issuer_port: on 127.0.0.1.
        sidecar_port: on 127.0.0.1.
        description: the versions, for the reader.
    """

    def __init__(self, compose: list[str], version: str, engine: str) -> None:
        self.issuer_port, self.sidecar_port = _port(8080), _port(8081)
        self.description = f"Compose {version}, Docker engine {engine}; ports {self.issuer_port}, {self.sidecar_port}"
        self._modern = not version.startswith("1.")
        # Neither a developer's .env nor an override file is part of what is checked.
        own = ["--project-name", PROJECT, "--project-directory", str(ROOT), "--env-file", str(NO_ENVIRONMENT)]
        self._compose = [*compose, "--file", str(ROOT / "docker-compose.yml"), *own]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TOCSIN_", "COMPOSE_"))}
        self._environment = kept | {
            "TOCSIN_ISSUER": f"http://127.0.0.1:{self.issuer_port}",
            "TOCSIN_PORT": str(self.issuer_port),
            "TOCSIN_SIDECAR_PORT": str(self.sidecar_port),
            "POSTGRES_PASSWORD": secrets.token_urlsafe(24),
        }

    @classmethod
    def find(cls) -> Self:
        """Compose in either form, on an engine that answers.

        Raises:
            StackFailed: one is missing.
        """
        if shutil.which("docker") is None:
            raise StackFailed("no docker on PATH; install Docker, or see make demo, which needs none")
        try:
            engine = _run(["docker", "version", "--format", "{{.Server.Version}}"]).stdout.strip()
        except StackFailed as error:
            raise StackFailed(f"no Docker engine answers (DOCKER_HOST, or the default socket): {error}") from error
        for compose in (["docker", "compose"], ["docker-compose"]):
            with suppress(StackFailed, OSError):
                return cls(compose, _run([*compose, "version", "--short"]).stdout.strip().lstrip("v"), engine)
        raise StackFailed("there is neither `docker compose` nor docker-compose")

    def build(self) -> None:
        """Build the image."""
        self._call("build", "setup", "issuer", "agent", seconds=BUILD_SECONDS)

    def up(self) -> None:
        """Start everything, and wait until every service is healthy.

        Raises:
            StackFailed: one is not, in time.
        """
        wait = ["--wait", "--wait-timeout", str(UP_SECONDS)] if self._modern else []
        self._call("up", "--detach", *wait, seconds=UP_SECONDS + CALL_SECONDS)
        self.wait_healthy(SERVICES)

    def wait_healthy(self, services: Collection[str]) -> None:
        """Wait until these are healthy.

        Raises:
            StackFailed: one is not, in time.
        """
        deadline = time.monotonic() + UP_SECONDS
        while True:
            states = {name: self.inspect(name)["State"].get("Health", {}).get("Status") for name in services}
            if all(state == "healthy" for state in states.values()):
                return
            if time.monotonic() > deadline:
                raise StackFailed(f"not healthy after {UP_SECONDS} s: {states}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop everything, and keep containers and volumes."""
        self._call("stop")

    def down(self) -> None:
        """Remove containers, networks and volumes.

        Raises:
            StackFailed: some are still there.
        """
        self._call("down", "--volumes", "--remove-orphans", seconds=2 * CALL_SECONDS)
        for kind in (["ps", "--all"], ["volume", "ls"], ["network", "ls"]):
            label = f"label=com.docker.compose.project={PROJECT}"
            if left := self.docker(*kind, "--quiet", "--filter", label).split():
                raise StackFailed(f"still there: {kind[0]} {' '.join(left)}")

    def execute(self, service: str, *command: str, codes: Collection[int] = (0,)) -> str:
        """What a command says inside a service's container.

        Raises:
            StackFailed: it ends with an exit code that is not among ``codes``.
        """
        return _run(["docker", "exec", self.container(service), *command], codes=codes).stdout

    def container(self, service: str) -> str:
        """The identifier of a service's container, running or not."""
        labels = {"project": PROJECT, "service": service}
        filters = [f"--filter=label=com.docker.compose.{name}={value}" for name, value in labels.items()]
        found = self.docker("ps", "--all", "--quiet", *filters).split()
        if len(found) != 1:
            raise StackFailed(f"{service} has {len(found)} containers")
        return found[0]

    def inspect(self, service: str) -> Any:
        """What the engine knows of a service's container."""
        return json.loads(self.docker("inspect", self.container(service)))[0]

    def docker(self, *arguments: str, given: str | None = None) -> str:
        """What a command of the engine says; ``given`` is its standard input."""
        return _run(["docker", *arguments], given=given).stdout

    def logs(self) -> str:
        """The last lines of every service."""
        with suppress(StackFailed):
            return self._call("logs", "--no-color", "--tail", "30").stdout
        return ""

    def stand_ins(self) -> dict[str, str]:
        """Images of the stack that say of themselves, by the label ``stand-in``, that they are not the real ones."""
        lines = (ROOT / "docker-compose.yml").read_text().splitlines()
        images = {line.partition(":")[2].strip() for line in lines if line.strip().startswith("image:")}
        form = '{{index .Config.Labels "stand-in"}}'
        labels = {image: self.docker("image", "inspect", "--format", form, image).strip() for image in sorted(images)}
        return {image: label for image, label in labels.items() if label not in ("", "<no value>")}

    def _call(self, *arguments: str, seconds: float = CALL_SECONDS) -> subprocess.CompletedProcess[str]:
        return _run([*self._compose, *arguments], seconds=seconds, environment=self._environment)


def _run(
    command: list[str],
    *,
    seconds: float = CALL_SECONDS,
    codes: Collection[int] = (0,),
    environment: dict[str, str] | None = None,
    given: str | None = None,
) -> subprocess.CompletedProcess[str]:
    shown = " ".join(command[:2])
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, env=environment, input=given, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise StackFailed(f"{shown} … took longer than {seconds:.0f} s") from error
    if ended.returncode not in codes:
        words = " / ".join((ended.stderr or ended.stdout).strip().splitlines()[-3:])
        raise StackFailed(f"{shown} … ended with {ended.returncode}: {words}")
    return ended


def _port(wanted: int) -> int:
    """That port of 127.0.0.1, or a free one when somebody has it."""
    for port in (wanted, 0):
        with socket.socket() as trial, suppress(OSError):
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(("127.0.0.1", port))
            return int(trial.getsockname()[1])
    raise StackFailed("no free port on 127.0.0.1")
