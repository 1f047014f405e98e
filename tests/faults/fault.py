"""The ways in which things break, each with how it is mended."""

import asyncio
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.faults.relay import Mode
from tests.faults.system import System
from tests.services.process_tree import descendants
from tests.services.program_service import ProgramService
from tests.services.service import ServiceFailed

Act = Callable[[System], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """Something that breaks.

    Attributes:
        subject: what: ``kafka``, ``redis``, ``consul``, ``issuer``, ``postgresql``, ``agent``, or two of them.
        name: how.
        begin: breaks it.
        mend: puts it right; when it returns, that part works again.
    """

    subject: str
    name: str
    begin: Act
    mend: Act

    @property
    def cell(self) -> str:
        """Its name in the matrix."""
        return f"{self.subject} {self.name}"

    def __and__(self, other: Self) -> "Fault":
        """Both at once."""

        async def begin(system: System) -> None:
            await asyncio.gather(self.begin(system), other.begin(system))

        async def mend(system: System) -> None:
            await asyncio.gather(self.mend(system), other.mend(system))

        return Fault(f"{self.subject}+{other.subject}", f"{self.name}, {other.name}", begin, mend)


async def nothing(_system: System) -> None:
    """Do nothing."""


def line_faults(subject: str, *lines: str) -> list[Fault]:
    """Whatever a network does between a part and those who use it."""

    def fault(name: str, mode: Mode) -> Fault:
        return Fault(
            subject,
            name,
            lambda system: system.set_lines(mode, *lines),
            lambda system: system.set_lines(Mode.PASS, *lines),
        )

    return [
        fault("black-holed", Mode.BLACK_HOLE),
        fault("reset", Mode.RESET),
        fault("500 ms late", Mode.SLOW),
    ]


def service_faults(subject: str, service: Callable[[System], ProgramService], *lines: str) -> list[Fault]:
    """All that can happen to a server."""

    def doing(method: Callable[[ProgramService], None]) -> Act:
        return lambda system: asyncio.to_thread(method, service(system))

    return [
        Fault(subject, "killed", doing(ProgramService.kill), doing(ProgramService.start)),
        Fault(subject, "hung", doing(ProgramService.pause), doing(ProgramService.resume)),
        *line_faults(subject, *lines),
        Fault(subject, "emptied", doing(ProgramService.kill), doing(ProgramService.restart_empty)),
        Fault(subject, "on a full disk", doing(_fill_disk), doing(_empty_disk)),
    ]


def kafka_faults() -> list[Fault]:
    """Of the broker. One that comes back empty is given its topics, as its operator would."""

    async def restart_empty(system: System) -> None:
        await asyncio.to_thread(system.kafka.restart_empty)
        await system.make_topics()

    faults = service_faults("kafka", lambda system: system.kafka, "agents-kafka", "issuer-kafka")
    return [
        Fault(each.subject, each.name, each.begin, restart_empty) if each.name == "emptied" else each for each in faults
    ]


def redis_faults() -> list[Fault]:
    """Of Redis."""
    return service_faults("redis", lambda system: system.redis, "agents-redis")


def consul_faults() -> list[Fault]:
    """Of Consul. That what it says is followed again is tested elsewhere; here, that nothing else hangs on it."""
    faults = service_faults("consul", lambda system: system.consul, "agents-consul")
    return [each for each in faults if each.name != "on a full disk"]  # it ends, which is being killed


def postgresql_faults() -> list[Fault]:
    """Of the store's server. An empty one is a mistake that is noticed: it gets its data back."""

    def server(system: System) -> ProgramService:
        assert system.postgresql is not None
        return system.postgresql

    faults = [each for each in service_faults("postgresql", server, "issuer-store") if each.name != "emptied"]
    return [
        *faults,
        Fault(
            "postgresql",
            "without its data",
            lambda system: asyncio.to_thread(_misplace, server(system)),
            lambda system: asyncio.to_thread(_find_again, server(system)),
        ),
    ]


def issuer_faults() -> list[Fault]:
    """Of the issuer's process. All it has is in the store, so there is nothing of its own to be emptied."""

    async def kill(system: System) -> None:
        system.kept_down = True
        await system.issuer.kill()

    async def start(system: System) -> None:
        system.kept_down = False
        await system.start_issuer()

    return [
        Fault("issuer", "killed", kill, start),
        Fault("issuer", "hung", *_frozen(lambda system: system.issuer.signal)),
        *line_faults("issuer", "agents-issuer"),
    ]


def agent_faults() -> list[Fault]:
    """Of the process with the agents that save, ``warm`` and ``shared``."""

    async def kill(system: System) -> None:
        await system.kill_worker("two")

    async def start(system: System) -> None:
        await system.start_worker("two")

    async def start_empty(system: System) -> None:
        shutil.rmtree(system.state_dir)
        await system.start_worker("two")

    async def lock(system: System) -> None:
        for path in [system.state_dir, *system.state_dir.iterdir()]:
            path.chmod(0o500 if path.is_dir() else 0o400)

    async def unlock(system: System) -> None:
        for path in [system.state_dir, *system.state_dir.iterdir()]:
            path.chmod(0o700 if path.is_dir() else 0o600)

    async def fill(system: System) -> None:
        _limit_files(system.workers["two"].pid, 0)

    async def empty(system: System) -> None:
        _limit_files(system.workers["two"].pid, resource.RLIM_INFINITY)

    return [
        Fault("agent", "killed", kill, start),
        Fault("agent", "hung", *_frozen(lambda system: system.workers["two"].signal)),
        Fault("agent", "emptied", kill, start_empty),
        Fault("agent", "on a full disk", fill, empty),
        Fault("agent", "on a read-only folder", lock, unlock),
    ]


def sqlite_faults() -> list[Fault]:
    """Of a store that is an SQLite file."""

    async def fill(system: System) -> None:
        _limit_files(system.issuer.pid, 0)

    async def empty(system: System) -> None:
        _limit_files(system.issuer.pid, resource.RLIM_INFINITY)

    return [Fault("sqlite", "on a full disk", fill, empty)]


def _frozen(signalled: Callable[[System], Callable[[signal.Signals], None]]) -> tuple[Act, Act]:
    async def begin(system: System) -> None:
        signalled(system)(signal.SIGSTOP)

    async def mend(system: System) -> None:
        signalled(system)(signal.SIGCONT)

    return begin, mend


def _fill_disk(service: ProgramService) -> None:
    """As a full disk is to a server: no file can grow. Needs Linux."""
    assert service.pid is not None
    for pid in [service.pid, *descendants(service.pid)]:
        _limit_files(pid, 0)


def _empty_disk(service: ProgramService) -> None:
    """Let files grow again; a server that could not live with it is started again."""
    assert service.pid is not None
    with suppress(ProcessLookupError, FileNotFoundError):
        for pid in [service.pid, *descendants(service.pid)]:
            _limit_files(pid, resource.RLIM_INFINITY)
    try:
        service._keeper().check_alive()
    except ServiceFailed:
        service.start()


def _limit_files(pid: int, size: int) -> None:
    """Limit how far files may grow, as the user whose process it is: root in a container may not limit others'."""
    owner = Path(f"/proc/{pid}").stat()
    if owner.st_uid == os.geteuid():
        hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size == resource.RLIM_INFINITY else size, hard))
        return
    soft = "unlimited" if size == resource.RLIM_INFINITY else str(size)
    subprocess.run(
        ["prlimit", "--pid", str(pid), f"--fsize={soft}:"],  # util-linux; the hard limit stays
        user=owner.st_uid,
        group=owner.st_gid,
        extra_groups=[],
        cwd="/",
        check=True,
        timeout=30,
    )


def _misplace(service: ProgramService) -> None:
    assert service.folder is not None
    service.kill()
    (service.folder / "data").rename(service.folder / "kept")
    service.restart_empty()


def _find_again(service: ProgramService) -> None:
    assert service.folder is not None
    service.kill()
    shutil.rmtree(service.folder / "data")
    (service.folder / "kept").rename(service.folder / "data")
    service.start()
