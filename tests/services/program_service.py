"""A service run as a program of this machine."""

import shutil
from pathlib import Path

from tests.services.kept_process import KeptProcess
from tests.services.kind import Kind
from tests.services.ports import free_ports
from tests.services.program import Place, Program
from tests.services.readiness import wait_until_ready
from tests.services.service import ServiceFailed

HOST = "127.0.0.1"
STOP_WITHIN_SECONDS = 20.0
KILL_WITHIN_SECONDS = 10.0


class ProgramService:
    """One server process in a folder of its own, on ports of its own."""

    def __init__(self, kind: Kind, program: Program) -> None:
        self._kind = kind
        self._program = program
        self._ports = free_ports(program.port_count)
        self._kept: KeptProcess | None = None
        self._pid: int | None = None
        self._prepared = False

    @property
    def origin(self) -> str:
        return "a program of this machine"

    @property
    def address(self) -> str:
        return self._kind.address(HOST, self._ports[0])

    @property
    def pid(self) -> int | None:
        """The id of the server process that was started last."""
        return self._pid

    @property
    def folder(self) -> Path | None:
        """Where it keeps its data and its log, once it was started."""
        return self._kept.folder if self._kept else None

    def start(self) -> None:
        kept = self._keeper()
        if not self._prepared:
            self._program.prepare(self._place(kept))
            self._prepared = True
        launch = self._program.launch(self._place(kept))
        self._pid = kept.start(
            launch.command,
            environment=dict(launch.environment),
            user=self._program.user,
            cwd=launch.cwd,
            end_signal=launch.end_signal,
        )
        try:
            wait_until_ready(lambda: self._kind.probe(self.address), alive=kept.check_alive)
        except ServiceFailed as failure:
            raise ServiceFailed(f"{self._kind.name} at {self.address}: {failure}") from None

    def stop(self) -> None:
        kept = self._keeper()
        launch = self._program.launch(self._place(kept))
        kept.end(launch.stop_signal, grace_seconds=STOP_WITHIN_SECONDS)

    def kill(self) -> None:
        self._keeper().end("SIGKILL", grace_seconds=KILL_WITHIN_SECONDS)

    def pause(self) -> None:
        self._keeper().pause()

    def resume(self) -> None:
        self._keeper().resume()

    def restart_empty(self) -> None:
        self.kill()
        shutil.rmtree(self._place(self._keeper()).data, ignore_errors=True)
        self._prepared = False
        self.start()

    def close(self) -> None:
        if self._kept:
            self._kept.close()

    def _keeper(self) -> KeptProcess:
        if self._kept is None:
            self._kept = KeptProcess(f"tocsin-{self._kind.name.lower()}-")
            if self._program.user:
                self._kept.own_folder(self._program.user)
        return self._kept

    def _place(self, kept: KeptProcess) -> Place:
        return Place(
            folder=kept.folder, ports=self._ports, run=lambda command: kept.run(command, user=self._program.user)
        )
