"""A Docker engine, if one answers. Asked once in a run of the tests, and never told to pull anything."""

import os
import socket
from typing import Any
from urllib.parse import urlsplit

import docker.errors
from testcontainers.core.config import testcontainers_config
from testcontainers.core.docker_client import DockerClient, get_docker_host

from tests.services.container_service import ContainerService
from tests.services.kind import Kind
from tests.services.service import Service, ServiceMissing

# The helper container by which testcontainers cleans up is one more image to have; our keepers do without.
RYUK = "TESTCONTAINERS_RYUK_DISABLED"
PING_SECONDS = 2
DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
DOCKER_PORT = 2375


class DockerEngine:
    """The connection to an engine, or the reason why there is none."""

    def __init__(self) -> None:
        self._client: Any = None
        self._absence: str | None = None
        if RYUK not in os.environ:
            testcontainers_config.ryuk_disabled = True

    def require(self, image: str) -> None:
        """Return if an engine answers and has the image; raise ServiceMissing if not."""
        try:
            self._connect().images.get(image)
        except docker.errors.ImageNotFound:
            raise ServiceMissing(f"Docker has no image {image} (docker pull {image})") from None
        except (docker.errors.DockerException, OSError) as error:
            raise ServiceMissing(f"Docker does not answer ({error})") from error

    def service(self, kind: Kind) -> Service:
        """A service of this kind in a container, yet to be started."""
        return ContainerService(kind)

    def close(self) -> None:
        """Give back the connection."""
        if self._client:
            self._client.close()
            self._client = None

    def _connect(self) -> Any:
        if self._absence:
            raise ServiceMissing(self._absence)
        if self._client is None:
            try:
                check_that_somebody_listens(get_docker_host() or DEFAULT_ADDRESS)
                self._client = DockerClient(timeout=PING_SECONDS).client
                self._client.ping()
            except (docker.errors.DockerException, OSError):
                self.close()
                self._absence = "no Docker engine answers"
                raise ServiceMissing(self._absence) from None
        return self._client


def check_that_somebody_listens(address: str) -> None:
    """Raise OSError if not. The `docker` package finds out too, but leaves a socket unclosed and thereby a warning."""
    url = urlsplit(address)
    if url.scheme == "unix":
        with socket.socket(socket.AF_UNIX) as trial:
            trial.settimeout(PING_SECONDS)
            trial.connect(url.path)
    elif url.scheme in ("tcp", "http", "https") and url.hostname:
        socket.create_connection((url.hostname, url.port or DOCKER_PORT), PING_SECONDS).close()
