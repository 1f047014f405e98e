"""Consul: one server that keeps its data, built from its Go module."""

import json
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from tests.services.cache import Cache
from tests.services.kind import ContainerPlan, run_tool, tool
from tests.services.program import Launch, Place, Program
from tests.services.readiness import NotReady
from tests.services.service import ServiceMissing

VERSION = "1.16.3"  # the last line under the Mozilla Public License
CACHED_AS = f"consul-{VERSION}"
RECIPE = Path(__file__).parent / "consul_build"
PROBE_SECONDS = 2.0
BUILD_SECONDS = 1800.0
AGENT = [
    "agent",
    "-server",  # and not -dev, which forgets all when it stops
    "-bootstrap-expect=1",
    "-bind=127.0.0.1",
    "-node=tests",
    "-log-level=warn",
    "-grpc-port=-1",
    "-grpc-tls-port=-1",
    "-dns-port=-1",
    "-serf-wan-port=-1",
    "-hcl=performance { raft_multiplier = 1 }",  # elects itself in one second instead of five
    "-hcl=disable_update_check = true",
]


class Consul:
    """Consul as a kind of service. Its address is an `http://` URL."""

    name = "Consul"
    variable = "TOCSIN_TEST_CONSUL"
    image = "hashicorp/consul:1.16"
    container = ContainerPlan(port=8500, command=[*AGENT, "-client=0.0.0.0"])

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def address(self, host: str, port: int) -> str:
        return f"http://{host}:{port}"

    def probe(self, address: str) -> None:
        """A consistent read is answered by a leader that has heard itself confirmed, and by nothing less."""
        try:
            with urllib.request.urlopen(f"{address}/v1/kv/?keys&consistent", timeout=PROBE_SECONDS) as answer:  # noqa: S310
                json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 404:  # 404 says that there is no key yet
                    raise NotReady(f"{error.code}: {error.read().decode(errors='replace').strip()}") from error
        except ValueError as error:
            raise NotReady(f"not an answer of Consul: {error}") from error

    def program(self) -> Program:
        if not self._cache.has(CACHED_AS):
            raise ServiceMissing(f"Consul {VERSION} was not built yet (run `make services`)")
        return ConsulProgram(self._cache.path(CACHED_AS) / "consul")

    def work_ahead(self) -> str | None:
        if self._cache.has(CACHED_AS):
            return None
        _go()
        return "building it with Go, once, about 5 minutes"

    def build(self) -> str:
        if not self._cache.has(CACHED_AS):
            go = _go()
            self._cache.make(CACHED_AS, lambda folder: _build(folder, go))
        return f"{VERSION} in {self._cache.path(CACHED_AS)}"


class ConsulProgram:
    """One Consul server as a process of this machine."""

    port_count = 3  # HTTP, RPC and gossip
    user = None

    def __init__(self, consul: Path) -> None:
        self._consul = consul

    def prepare(self, place: Place) -> None:
        place.data.mkdir()

    def launch(self, place: Place) -> Launch:
        http, rpc, gossip = place.ports
        own = ["-client=127.0.0.1", f"-http-port={http}", f"-server-port={rpc}", f"-serf-lan-port={gossip}"]
        return Launch(command=[str(self._consul), *AGENT, *own, f"-data-dir={place.data}"])


def _go() -> str:
    return tool("go", purpose="which builds Consul", get_it="Go 1.20 or newer, https://go.dev/doc/install")


def _build(folder: Path, go: str) -> None:
    """Build with what go.mod and go.sum pin: `-mod=readonly` takes nothing whose sum is not recorded there."""
    module = folder / "module"
    module.mkdir()
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(RECIPE / name, module / name)
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
    command = [go, "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", str(folder / "consul")]
    run_tool(
        [*command, "github.com/hashicorp/consul"], cwd=module, environment=environment, timeout_seconds=BUILD_SECONDS
    )
    shutil.rmtree(module)
