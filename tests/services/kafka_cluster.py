"""Three Kafka nodes of one cluster (KRaft), each broker and controller, as programs of this machine."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.services.kafka import Kafka
from tests.services.ports import free_ports
from tests.services.program import Launch, Place, Program
from tests.services.program_service import ProgramService
from tests.services.service import Service

NODES: Final = (1, 2, 3)
CLUSTER_ID: Final = "dG9jc2luLWNsdXN0ZXItMQ"
"""16 octets in base64url, as Kafka has it."""


class ClusterNode:
    """One node's program: that of a single broker, told of the others."""

    user = None

    def __init__(self, alone: Program, node: int, controllers: Mapping[int, int]) -> None:
        """Set up.

        Args:
            alone: the program of a single broker.
            node: its number.
            controllers: the port of each node's controller.
        """
        self.port_count = alone.port_count
        self._alone = alone
        self._node = node
        self._controllers = controllers

    def prepare(self, place: Place) -> None:
        """See ``Program.prepare``."""
        self._alone.prepare(place)
        replicas = len(self._controllers)
        voters = ",".join(f"{node}@127.0.0.1:{port}" for node, port in self._controllers.items())
        clients = f"PLAINTEXT://127.0.0.1:{place.ports[0]}"
        _change(
            place.data / "server.properties",
            {
                "node.id": str(self._node),
                "controller.quorum.voters": voters,
                "listeners": f"{clients},CONTROLLER://127.0.0.1:{self._controllers[self._node]}",
                "advertised.listeners": clients,
                "offsets.topic.replication.factor": str(replicas),
            },
        )
        _change(place.data / "log" / "meta.properties", {"node.id": str(self._node), "cluster.id": CLUSTER_ID})

    def launch(self, place: Place) -> Launch:
        """See ``Program.launch``."""
        return self._alone.launch(place)


class KafkaCluster:
    """Running nodes.

    Attributes:
        nodes: each as a service of its own, by its number.
    """

    def __init__(self, kind: Kafka) -> None:
        controllers = dict(zip(NODES, free_ports(len(NODES)), strict=True))
        self.nodes: dict[int, Service] = {
            node: ProgramService(kind, ClusterNode(kind.program(), node, controllers)) for node in NODES
        }

    @property
    def address(self) -> str:
        """All brokers, as a URL names them."""
        return ",".join(service.address for service in self.nodes.values())

    @contextmanager
    def running(self) -> Iterator["KafkaCluster"]:
        """All nodes, started at once: none answers before there is a quorum."""
        try:
            with ThreadPoolExecutor(len(self.nodes)) as threads:
                list(threads.map(lambda service: service.start(), self.nodes.values()))
            yield self
        finally:
            for service in self.nodes.values():
                service.close()


def _change(file: Path, values: Mapping[str, str]) -> None:
    lines = [line for line in file.read_text().splitlines() if line.partition("=")[0] not in values]
    file.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in values.items()), ""]))
