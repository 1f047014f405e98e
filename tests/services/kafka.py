"""Kafka: one node that is broker and controller (KRaft), from the jars that Maven Central has."""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path

from tests.services.cache import Cache
from tests.services.kind import BuildFailed, ContainerPlan, Kind, run_tool, tool
from tests.services.metadata_request import brokers_known_to
from tests.services.program import Launch, Place, Program
from tests.services.program_service import ProgramService
from tests.services.readiness import NotReady
from tests.services.service import ServiceFailed, ServiceMissing

VERSION = "4.1.0"
CACHED_AS = f"kafka-{VERSION}"
LOWEST_JAVA = 17  # https://kafka.apache.org/41/operations/java-version/
RECIPE = Path(__file__).parent / "kafka_build"
CLASSES = "classes.jsa"
# A small heap, the collector and the compiler that start quickest, and only warnings in the log.
JVM = [
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
]
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    # A broker that was killed is let in again only when its former session has run out: 9 s with Kafka's own values.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
}
CONTAINER_SETTINGS = SETTINGS | {
    "controller.quorum.voters": "1@localhost:9093",
    "listeners": "HOST://:29092,INTERNAL://:9092,CONTROLLER://:9093",
    "advertised.listeners": "HOST://{host}:{port},INTERNAL://localhost:9092",
    "listener.security.protocol.map": "HOST:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "INTERNAL",
}
# The image turns KAFKA_A_B=c into a.b=c.
CONTAINER_ENVIRONMENT = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in CONTAINER_SETTINGS.items()}
CONTAINER_ENVIRONMENT |= {"KAFKA_HEAP_OPTS": JVM[0], "KAFKA_JVM_PERFORMANCE_OPTS": " ".join(JVM[1:3])}


class Kafka:
    """Kafka as a kind of service. Its address is `host:port`."""

    name = "Kafka"
    variable = "TOCSIN_TEST_KAFKA"
    image = f"apache/kafka:{VERSION}"
    container = ContainerPlan(port=29092, environment=CONTAINER_ENVIRONMENT)

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def address(self, host: str, port: int) -> str:
        return f"{host}:{port}"

    def probe(self, address: str) -> None:
        if brokers_known_to(address) < 1:
            raise NotReady("no broker has registered yet")

    def program(self) -> Program:
        if not self._cache.has(CACHED_AS):
            raise ServiceMissing(f"Kafka {VERSION} was not fetched yet (run `make services`)")
        return KafkaProgram(self._cache.path(CACHED_AS), _java())

    def work_ahead(self) -> str | None:
        if self._cache.has(CACHED_AS):
            return None
        _java()
        _maven()
        return "fetching its jars with Maven (43 MB) and warming up, once, less than a minute"

    def build(self) -> str:
        java = _java()
        if not self._cache.has(CACHED_AS):
            maven = _maven()
            self._cache.make(CACHED_AS, lambda folder: _fetch(self, folder, maven, java))
        return f"{VERSION} in {self._cache.path(CACHED_AS)}"


class KafkaProgram:
    """One Kafka broker as a process of this machine."""

    port_count = 2  # for clients, and for the controller in the same process
    user = None

    def __init__(self, home: Path, java: str, jvm: list[str] | None = None) -> None:
        self._home = home
        self._java = java
        # The classes as they were laid out in memory when the jars were fetched: halves the time of a start. A JVM that
        # cannot use the file, because it is another one by now, goes on without it.
        self._jvm = jvm or [f"-XX:SharedArchiveFile={CLASSES}", "-Xshare:auto"]

    def prepare(self, place: Place) -> None:
        place.data.mkdir()
        log = place.data / "log"
        shutil.copytree(self._home / "formatted", log)
        (log / "meta.properties").write_text(
            f"version=1\nnode.id=1\ncluster.id={_new_id()}\ndirectory.id={_new_id()}\n"
        )
        (place.data / "server.properties").write_text(_properties(log, place.ports))

    def launch(self, place: Place) -> Launch:
        # Relative to the folder and in a fixed order, as the shared classes are bound to the class path.
        jars = ":".join(str(jar.relative_to(self._home)) for jar in sorted(self._home.glob("libs/*.jar")))
        command = [self._java, *JVM, *self._jvm, "-cp", jars, "kafka.Kafka", str(place.data / "server.properties")]
        return Launch(command=command, cwd=self._home)


def _properties(log: Path, ports: tuple[int, ...]) -> str:
    clients, controller = ports
    settings = SETTINGS | {
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{clients},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{clients}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(log),
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _new_id() -> str:
    """A random id as Kafka writes them: 16 octets in base64url, the first not a dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def _java() -> str:
    get_it = f"Java {LOWEST_JAVA} or newer, for instance https://adoptium.net"
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else tool("java", purpose="which runs Kafka", get_it=get_it)
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr
    except (OSError, subprocess.SubprocessError) as error:
        raise ServiceMissing(f"{java} does not run: {error} ({get_it})") from error
    version = re.search(r'version "(\d+)', said)
    if not version or int(version[1]) < LOWEST_JAVA:
        raise ServiceMissing(f"{java} is too old for Kafka {VERSION}: {said.splitlines()[0]} ({get_it})")
    return java


def _maven() -> str:
    return tool("mvn", purpose="which fetches Kafka's jars", get_it="Maven, https://maven.apache.org/install.html")


def _fetch(kind: Kind, folder: Path, maven: str, java: str) -> None:
    command = [maven, "-q", "-B", "-f", str(RECIPE / "pom.xml"), "dependency:copy-dependencies"]
    options = ["-DincludeScope=runtime", f"-DoutputDirectory={folder / 'libs'}"]
    run_tool([*command, *options], cwd=folder, timeout_seconds=900)
    _compare_sums(folder / "libs")
    _format(folder, java)
    _share_classes(kind, folder, java)


def _compare_sums(libs: Path) -> None:
    expected = {}
    for line in (RECIPE / "jars.sha256").read_text().splitlines():
        digest, name = line.split()
        expected[name] = digest
    got = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in libs.iterdir()}
    if got != expected:
        differing = sorted(name for name in got.keys() | expected.keys() if got.get(name) != expected.get(name))
        raise BuildFailed(f"not the jars whose SHA-256 is recorded: {', '.join(differing)}")


def _format(folder: Path, java: str) -> None:
    """Have Kafka write what a new log starts from. No port stands in it, so every broker can start from a copy."""
    log = folder / "formatted"
    properties = folder / "format.properties"
    properties.write_text(_properties(log, (9092, 9093)))
    storage = ["kafka.tools.StorageTool", "format", "-t", _new_id(), "-c", str(properties)]
    run_tool([java, *JVM, "-cp", f"{folder}/libs/*", *storage], cwd=folder, timeout_seconds=60)
    properties.unlink()


def _share_classes(kind: Kind, folder: Path, java: str) -> None:
    """Let a broker start and stop once and keep the classes it has loaded, for quicker starts."""
    service = ProgramService(kind, KafkaProgram(folder, java, [f"-XX:ArchiveClassesAtExit={CLASSES}"]))
    try:
        service.start()
        service.stop()
    except ServiceFailed as failure:
        raise BuildFailed(f"the fetched Kafka does not run: {failure}") from failure
    finally:
        service.close()
