"""Kafka with a relay before it for each who uses it: it tells clients the address of their own relay."""

from collections.abc import Mapping

from tests.services.cache import Cache
from tests.services.kafka import Kafka
from tests.services.program import Launch, Place, Program


class RelayedKafka(Kafka):
    """As ``Kafka``, with further listeners."""

    def __init__(self, cache: Cache, listeners: Mapping[str, tuple[int, int]]) -> None:
        """Set up.

        Args:
            cache: where Kafka stands.
            listeners: by name, in capitals: the port to listen on, and the port of its relay.
        """
        super().__init__(cache)
        self._listeners = listeners

    def program(self) -> Program:
        """See ``Kind.program``."""
        return _RelayedProgram(super().program(), self._listeners)


class _RelayedProgram:
    port_count = 2
    user = None

    def __init__(self, plain: Program, listeners: Mapping[str, tuple[int, int]]) -> None:
        self._plain = plain
        self._listeners = listeners

    def prepare(self, place: Place) -> None:
        self._plain.prepare(place)
        properties = place.data / "server.properties"
        lines = dict(line.split("=", 1) for line in properties.read_text().splitlines())
        for name, (port, relay) in self._listeners.items():
            lines["listeners"] += f",{name}://127.0.0.1:{port}"
            lines["advertised.listeners"] += f",{name}://127.0.0.1:{relay}"
            lines["listener.security.protocol.map"] += f",{name}:PLAINTEXT"
        properties.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def launch(self, place: Place) -> Launch:
        return self._plain.launch(place)
