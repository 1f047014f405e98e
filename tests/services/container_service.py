"""A service run in a container, through testcontainers."""

import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker.errors
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

from tests.services.kept_process import KeptProcess
from tests.services.kind import Kind
from tests.services.ports import free_ports
from tests.services.readiness import wait_until_ready
from tests.services.service import ServiceFailed

STOP_WITHIN_SECONDS = 20
API_SECONDS = 60
LOG_LINES = 30
REMOVE = (
    "import sys; from testcontainers.core.docker_client import DockerClient;"
    " DockerClient().client.containers.get(sys.argv[1]).remove(force=True, v=True)"
)


class ContainerService:
    """One server in one container.

    Its port is chosen before it starts, for two reasons: Kafka must know it to advertise it, and Docker would choose
    another one when the container is started again.
    """

    def __init__(self, kind: Kind) -> None:
        engine = DockerClient(timeout=API_SECONDS)
        host = engine.host()
        engine.client.close()
        self._kind = kind
        self._host = "127.0.0.1" if host == "localhost" else host
        self._port = free_ports(1)[0]
        self._kept: KeptProcess | None = None
        self._started: Any = None
        self._paused = False

    @property
    def origin(self) -> str:
        return f"Docker, image {self._kind.image}"

    @property
    def address(self) -> str:
        return self._kind.address(self._host, self._port)

    def start(self) -> None:
        with self._failing("start"):
            if self._started is None:
                self._create()
            else:
                self._container.start()
        wait_until_ready(lambda: self._kind.probe(self.address), alive=self._check_alive)

    def stop(self) -> None:
        self.resume()
        with self._failing("stop"):
            self._container.stop(timeout=STOP_WITHIN_SECONDS)

    def kill(self) -> None:
        self.resume()
        with self._failing("kill"):
            self._container.kill()
            self._container.wait(timeout=STOP_WITHIN_SECONDS)

    def pause(self) -> None:
        with self._failing("pause"):
            self._container.pause()
        self._paused = True

    def resume(self) -> None:
        if self._paused:
            with self._failing("resume"):
                self._container.unpause()
            self._paused = False

    def restart_empty(self) -> None:
        self.close()
        self.start()

    def close(self) -> None:
        """Have the keeper remove the container, as it would if the tests were killed."""
        self._paused = False
        if self._kept:
            self._kept.close()
            self._kept = None
        if self._started:
            self._started.get_docker_client().client.close()
            self._started = None

    @property
    def _container(self) -> Any:
        return self._started.get_wrapped_container()

    def _create(self) -> None:
        name = f"tocsin-{self._kind.name.lower()}-{uuid.uuid4().hex[:12]}"
        self._kept = KeptProcess(f"{name}-")
        self._kept.afterwards([sys.executable, "-c", REMOVE, name])
        plan = self._kind.container
        reached_at = {"host": self._host, "port": self._port}
        environment = {name: value.format(**reached_at) for name, value in plan.environment.items()}
        container = DockerContainer(self._kind.image, docker_client_kw={"timeout": API_SECONDS}).with_name(name)
        container.with_bind_ports(plan.port, self._port).with_envs(**environment)
        if plan.command:
            container.with_command(plan.command)
        self._started = container
        container.start()

    def _check_alive(self) -> None:
        with self._failing("look at"):
            self._container.reload()
        if self._container.status != "running":
            raise ServiceFailed(f"{self._kind.name}: its container is {self._container.status}\n{self._log_end()}")

    def _log_end(self) -> str:
        return str(self._container.logs(tail=LOG_LINES).decode(errors="replace"))

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        try:
            yield
        except (docker.errors.DockerException, OSError) as error:
            raise ServiceFailed(f"{self._kind.name}: Docker could not {what} it: {error}") from error
