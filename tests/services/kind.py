"""What there is to know about one sort of service, and the tools that build one."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.services.program import Program
from tests.services.service import ServiceMissing

LAST_LINES = 15


class BuildFailed(Exception):
    """A tool that fetches or builds a service went wrong; the message has the end of its output."""


@dataclass(frozen=True, kw_only=True)
class ContainerPlan:
    """How a service runs in a container.

    In the environment's values, `{host}` and `{port}` stand for where clients outside the container reach it.
    """

    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)


class Kind(Protocol):
    """One sort of service: Kafka, Redis, Consul, PostgreSQL."""

    name: str
    variable: str  # the environment variable that holds the address of one
    image: str  # for Docker
    container: ContainerPlan

    def probe(self, address: str) -> None:
        """Return if one answers there, raise NotReady or OSError if not. Takes a few seconds at most."""
        ...

    def address(self, host: str, port: int) -> str:
        """Give the address that clients use."""
        ...

    def program(self) -> Program:
        """Give the program on this machine.

        Raises:
            ServiceMissing: there is none; the message says what is missing and how to get it.
        """
        ...

    def work_ahead(self) -> str | None:
        """Say what `build` will have to do that takes long, None if there is nothing.

        Raises:
            ServiceMissing: as `build`.
        """
        ...

    def build(self) -> str:
        """Fetch or build the program if it is not there yet, and say in a few words what is there then.

        Raises:
            ServiceMissing: what fetches or builds it is missing.
            BuildFailed: it is there but went wrong.
        """
        ...


def tool(name: str, *, purpose: str, get_it: str) -> str:
    """Find a program on PATH. Raises ServiceMissing, saying what it is for and how to get it."""
    found = shutil.which(name)
    if not found:
        raise ServiceMissing(f"no `{name}` on PATH, {purpose} ({get_it})")
    return found


def run_tool(
    command: list[str], *, cwd: Path, timeout_seconds: float, environment: Mapping[str, str] | None = None
) -> str:
    """Run a tool to its end and return what it wrote. Raises BuildFailed."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildFailed(f"{command[0]}: {error}") from error
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-LAST_LINES:])
        raise BuildFailed(f"`{' '.join(command[:3])} …` ended with {done.returncode}:\n{last}")
    return done.stdout
