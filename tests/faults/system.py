"""A whole installation, with a relay in every line between its parts.

::

    worker one, worker two ── agents-kafka ──▶ Kafka ◀── issuer-kafka ── issuer ── issuer-store ──▶ PostgreSQL
               │ │                                                         ▲
               │ └────────────────── agents-issuer ────────────────────────┘
               ├── agents-redis ──▶ Redis
               └── agents-consul ──▶ Consul

Worker one has the agents ``plain`` (Kafka alone) and ``strict`` (which denies when it is staler than 3 s); worker two
has ``warm`` (a folder, the issuer's snapshots) and ``shared`` (Redis). All but ``plain`` have the issuer's feed to fall
back to, and those of worker two their configuration in Consul.
"""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import msgspec
from aiohttp import ClientSession, ClientTimeout

from events.log import Retention
from events.log.kafka_settings import KafkaSettings
from events.log.kafka_topics import KafkaTopics
from tests.faults.broker import RelayedKafka
from tests.faults.child import Child, ChildFailed
from tests.faults.footprint import Footprint
from tests.faults.relay import Mode
from tests.faults.seen import AgentSeen, WorkerSeen
from tests.issuer_under_test import Installation, IssuerClient
from tests.services.cache import Cache
from tests.services.consul import Consul
from tests.services.ports import free_ports
from tests.services.postgresql import PostgreSQL, fresh_database
from tests.services.program_service import ProgramService
from tests.services.redis import Redis
from verifier_agent.redis.servers import MAX_CONNECTIONS

STRICT_SECONDS: Final = 3.0
START_SECONDS: Final = 2.0
WATCH_SECONDS: Final = 0.25
SETTLE_SECONDS: Final = 60.0
POOLED: Final = 10
KAFKA_TASKS: Final = (
    "AIOKafkaClient._md_synchronizer",
    "Fetcher._fetch_requests_routine",
    "Fetcher._proc_fetch_request",
    "NoGroupCoordinator._reset_committed_routine",
    "Event.wait",
)
"""Of a client that reads. The last is of that coordinator, too."""
LOCK_FILE: Final = "tocsin.lock"
LINES: Final = ("agents-kafka", "issuer-kafka", "agents-redis", "agents-consul", "agents-issuer", "issuer-store")


class System:
    """Everything that runs. Use it as a context.

    Attributes:
        kafka: the broker.
        redis: the server.
        consul: the server.
        postgresql: the server; ``None`` when the store is an SQLite file.
        workers: ``one`` and ``two``.
        issuer: the issuer's process.
        client: the way in for clients and operators; no relay is in it.
        installation: keys, clients and settings.
        issuer_restarts: how often the issuer ended by itself and was started again, as whatever keeps it running would.
        kept_down: whether the issuer is to stay down.
    """

    def __init__(self, *, sqlite: bool = False) -> None:
        """Choose ports and make programs ready; nothing runs yet.

        Args:
            sqlite: for an issuer on an SQLite file.

        Raises:
            ServiceMissing: one of the services cannot be had here.
        """
        self._stack = AsyncExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-faults-")))
        relays = free_ports(len(LINES))
        self._relays = dict(zip(LINES, relays, strict=True))
        inner = free_ports(3)
        listeners = {
            "AGENTS": (inner[0], self._relays["agents-kafka"]),
            "ISSUER": (inner[1], self._relays["issuer-kafka"]),
        }
        kind = RelayedKafka(Cache.of(os.environ), listeners)
        self.kafka = ProgramService(kind, kind.program())
        self.redis = ProgramService(Redis(), Redis().program())
        self.consul = ProgramService(Consul(Cache.of(os.environ)), Consul(Cache.of(os.environ)).program())
        self.postgresql = None if sqlite else ProgramService(PostgreSQL(), PostgreSQL().program())
        self._targets = {"agents-kafka": inner[0], "issuer-kafka": inner[1], "agents-issuer": inner[2]}
        self.workers: dict[str, Child] = {}
        self._tokens: dict[str, Any] = {"good": [], "victims": {}}
        self._past: list[WorkerSeen] = []
        self.issuer_restarts = 0
        self.kept_down = False
        self._starting_issuer = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Start everything, and wait until every agent is fresh."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        services = [each for each in (self.kafka, self.redis, self.consul, self.postgresql) if each is not None]
        for service in services:
            self._stack.push_async_callback(asyncio.to_thread, service.close)
        await asyncio.gather(*(asyncio.to_thread(each.start) for each in services))
        self._targets["agents-redis"] = _port(self.redis.address)
        self._targets["agents-consul"] = _port(self.consul.address)
        store = None
        if self.postgresql is not None:
            database = await asyncio.to_thread(fresh_database, self.postgresql.address)
            self._targets["issuer-store"] = _port(database)
            store = database.replace(f":{_port(database)}/", f":{self._relays['issuer-store']}/")
        await self.make_topics()
        lines = {name: (self._relays[name], target) for name, target in self._targets.items()}
        self._relay = await self._child("relays", "tests.faults.relay_process", msgspec.json.encode(lines).decode())
        await self._start_issuer(store)
        await self._start_workers()

    async def make_topics(self) -> None:
        """As the operator of a new broker would."""
        settings = KafkaSettings.parse(f"kafka://{self.kafka.address}")
        await KafkaTopics(settings, Retention()).create()

    async def _child(self, name: str, *arguments: str) -> Child:
        child = Child(name, arguments)
        self._stack.push_async_callback(child.stop)
        await child.start()
        return child

    async def _start_issuer(self, store: str | None) -> None:
        port = self._targets["agents-issuer"]
        self.installation = await Installation.create(
            self.folder,
            store=store,
            log=f"kafka://127.0.0.1:{self._relays['issuer-kafka']}",
            port=port,
            issuer=f"http://127.0.0.1:{port}",
            feed="open",
        )
        settings = self.installation.settings
        names = ("issuer", "store", "log", "kek_file", "port", "audience", "feed")
        config = self._config("issuer", {name: getattr(settings, name) for name in names})
        self.issuer = await self._child("issuer", "tests.faults.issuer_process", str(config))
        session = await self._stack.enter_async_context(ClientSession(timeout=ClientTimeout(total=15)))
        self.client = IssuerClient(settings.issuer, session, self.installation.operator)
        supervising = asyncio.create_task(self._supervise())
        self._stack.callback(supervising.cancel)

    async def _supervise(self) -> None:
        """Start the issuer again when it has ended by itself, as every operator's machinery does."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if not self.issuer.is_running and not self.kept_down:
                self.issuer_restarts += 1
                await self.start_issuer()

    async def start_issuer(self) -> None:
        """Start the issuer, again and again until it does: it needs its store to start."""
        async with self._starting_issuer:
            while not self.issuer.is_running:
                with suppress(ChildFailed):
                    await self.issuer.start()

    async def _start_workers(self) -> None:
        kafka, issuer = f"kafka://127.0.0.1:{self._relays['agents-kafka']}", self._relays["agents-issuer"]
        usual = {
            "log": kafka,
            "trust": self.installation.trust_file,
            "audience": self.installation.settings.audience,
            "cache_size": 50,
            "start_timeout": START_SECONDS,
        }
        safe = usual | {"fallback_log": f"http://127.0.0.1:{issuer}/events"}
        configured = safe | {"consul": f"http://127.0.0.1:{self._relays['agents-consul']}"}
        saved = {"state_dir": self.state_dir, "snapshot_url": f"http://127.0.0.1:{issuer}/snapshot"}
        self._config("plain", usual)
        self._config("strict", safe | {"max_staleness": STRICT_SECONDS})
        self._config("warm", configured | saved)
        self._config("shared", configured | {"redis": f"redis://127.0.0.1:{self._relays['agents-redis']}/0"})
        for name, agents in (("one", ("plain", "strict")), ("two", ("warm", "shared"))):
            configs = {agent: str(self.config(agent)) for agent in agents}
            self.workers[name] = await self._child(
                f"worker {name}", "tests.faults.worker", msgspec.json.encode(configs).decode()
            )
        await self._warmed_up()

    async def renew_workers(self) -> None:
        """Start those anew whose agents have read their second log.

        They remember what happened to the first, and mistrust it the longer the more often it did.
        """
        for name, worker in self.workers.items():
            if any(agent["log_failovers"] for agent in (await worker.ask({"status": {}})).values()):
                await worker.stop()
                await self.start_worker(name)
                await self._warmed_up()

    def children(self) -> dict[str, Child]:
        """The processes under test, by name."""
        return {"issuer": self.issuer, **self.workers}

    async def footprints(self) -> dict[str, Footprint]:
        """What each of them holds."""
        found = {name: await each.ask({"footprint": {}}) for name, each in self.children().items()}
        return {name: msgspec.convert(answer, Footprint) for name, answer in found.items()}

    async def at_rest(self) -> bool:
        """Whether every agent reads its first log alone."""
        answers = await self.ask_workers({"status": {}})
        return all(agent["log_read"] == "log" for answer in answers.values() for agent in answer.values())

    async def _warmed_up(self) -> None:
        """Wait until the agent ``warm`` has its folder open, which it keeps."""

        async def is_open() -> bool:
            footprint = await self.workers["two"].ask({"footprint": {}})
            return LOCK_FILE in footprint["descriptors"]

        await self.until(is_open)

    @property
    def state_dir(self) -> Path:
        """Where the agent ``warm`` saves to."""
        return self.folder / "state"

    def config(self, name: str) -> Path:
        """The configuration file of one part."""
        return self.folder / f"{name}.toml"

    def _config(self, name: str, values: Mapping[str, Any]) -> Path:
        """Write it. JSON's strings and numbers are TOML's too."""
        shown = {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
        lines = [f"{key} = {msgspec.json.encode(value).decode()}\n" for key, value in shown.items()]
        self.config(name).write_text("".join(lines))
        return self.config(name)

    def bounds(self) -> dict[str, int]:
        """What a process may hold by and by: the pools of store and Redis; for each log two clients of Kafka.

        A pool has another connection when two ask at once, and keeps it. Of Kafka's clients one must read on; each has
        a connection to the address that it was given, and one to the broker that this names.
        """
        most = {
            "issuer-store": POOLED,
            "agents-redis": MAX_CONNECTIONS,
            "agents-consul": 2,  # one for each agent of a worker
            "issuer-kafka": 6,
            "agents-kafka": 8,
        }
        sockets = {f"socket port {self._relays[line]}": count for line, count in most.items()}
        return {**dict.fromkeys(KAFKA_TASKS, 4), "AIOKafkaConnection._read": 8, **sockets}

    async def set_lines(self, mode: Mode, *names: str) -> None:
        """Make lines good or bad; those that this installation has."""
        await self._relay.ask({name: mode for name in names if name in self._targets})

    async def ask_workers(self, message: object) -> dict[str, Any]:
        """What each worker answers, by name."""
        answers = await asyncio.gather(*(worker.ask(message) for worker in self.workers.values()))
        return dict(zip(self.workers, answers, strict=True))

    async def ages(self) -> dict[str, float | None]:
        """How old the knowledge of each agent is, in seconds."""
        found: dict[str, float | None] = {}
        for answer in (await self.ask_workers({"ages": {}})).values():
            found |= answer
        return found

    async def begin_load(self, good: list[str], victims: dict[str, str]) -> None:
        """Have the workers verify these tokens from now on, and begin a new account."""
        self._tokens = {"good": good, "victims": victims}
        self._past = []
        await self.ask_workers({"begin": self._tokens})

    async def seen(self) -> list[WorkerSeen]:
        """The workers' accounts, those of lives that have ended included."""
        answers = await self.ask_workers({"seen": {}})
        return [*self._past, *(msgspec.convert(answer, WorkerSeen) for answer in answers.values())]

    async def current(self) -> dict[str, AgentSeen]:
        """How the agents that run now have judged, by name."""
        answers = await self.ask_workers({"seen": {}})
        return {
            name: agent
            for answer in answers.values()
            for name, agent in msgspec.convert(answer, WorkerSeen).agents.items()
        }

    async def kill_worker(self, name: str) -> None:
        """End it at once; what it has seen is not lost."""
        self._past.append(msgspec.convert(await self.workers[name].ask({"seen": {}}), WorkerSeen))
        await self.workers[name].kill()

    async def start_worker(self, name: str) -> None:
        """Start it again; it goes on verifying the same tokens."""
        await self.workers[name].start()
        await self.workers[name].ask({"begin": self._tokens})

    async def until(
        self, holds: Callable[[], Awaitable[bool]], seconds: float = SETTLE_SECONDS, *, pause: float = 0.05
    ) -> bool:
        """Wait until it holds; whether it did within so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not await holds():  # noqa: ASYNC110 - it asks other processes
                    await asyncio.sleep(pause)
                return True
        return False


def _port(address: str) -> int:
    port = urlsplit(address).port
    assert port is not None
    return port
