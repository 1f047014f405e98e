"""Redis as sentinels and as a cluster: several servers of the same program, on this machine."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import redis

from tests.services.program import Launch, Place
from tests.services.program_service import ProgramService
from tests.services.redis import Redis

SLOTS = 16384
READY_SECONDS = 30.0


class Variant:
    """The server with further options."""

    port_count = 1
    user = None

    def __init__(self, options: Callable[[Place], Sequence[str]], *, sentinel: str | None = None) -> None:
        self._options = options
        self._sentinel = sentinel

    def prepare(self, place: Place) -> None:
        place.data.mkdir()
        if self._sentinel is not None:  # a sentinel keeps its state in its configuration
            (place.data / "sentinel.conf").write_text(self._sentinel)

    def launch(self, place: Place) -> Launch:
        server = str(Redis().program().launch(place).command[0])
        own = ["--bind", "127.0.0.1", "--port", str(place.ports[0]), "--dir", str(place.data), "--save", ""]
        first = [] if self._sentinel is None else [str(place.data / "sentinel.conf"), "--sentinel"]
        return Launch(command=[server, *first, *own[: 6 if first else None], *self._options(place)])


def port_of(service: ProgramService) -> int:
    return int(service.address.rpartition(":")[2].partition("/")[0])


def ask(service: ProgramService, *words: str | int) -> object:
    with redis.Redis(port=port_of(service), socket_timeout=5, protocol=2) as client:
        return client.execute_command(*words)


def until(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not check():
        assert time.monotonic() < deadline, "the servers did not get ready"
        time.sleep(0.05)


@contextmanager
def started(*programs: Variant) -> Iterator[list[ProgramService]]:
    with ExitStack() as stack:
        services = []
        for program in programs:
            service = ProgramService(Redis(), program)
            stack.callback(service.close)
            service.start()
            services.append(service)
        yield services


@contextmanager
def watched_master() -> Iterator[tuple[ProgramService, ProgramService, list[ProgramService]]]:
    """A master, its replica, and two sentinels that watch them."""
    with (
        started(Variant(lambda _: [])) as (master,),
        started(
            Variant(lambda _: ["--replicaof", "127.0.0.1", str(port_of(master)), "--repl-diskless-sync-delay", "0"])
        ) as (replica,),
    ):
        until(lambda: b"master_link_status:up" in _info(replica))
        watching = "\n".join(
            (
                f"sentinel monitor shop 127.0.0.1 {port_of(master)} 2",
                "sentinel down-after-milliseconds shop 500",
                "sentinel failover-timeout shop 3000",
            )
        )
        with started(*(Variant(lambda _: [], sentinel=watching) for _ in range(2))) as sentinels:
            until(lambda: all(_knows_all(sentinel) for sentinel in sentinels))
            yield master, replica, sentinels


def _info(service: ProgramService) -> bytes:
    with redis.Redis(port=port_of(service), socket_timeout=5, protocol=2) as client:
        return b"\n".join(f"{name}:{value}".encode() for name, value in client.info("replication").items())


def _knows_all(sentinel: ProgramService) -> bool:
    with redis.Redis(port=port_of(sentinel), socket_timeout=5, protocol=2) as client:
        state = client.sentinel_master("shop")
    return bool(state["num-slaves"] == 1 and state["num-other-sentinels"] == 1)


@contextmanager
def cluster() -> Iterator[list[ProgramService]]:
    """Three masters that share the slots."""
    node = Variant(lambda _: ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"])
    with started(node, node, node) as nodes:
        share = SLOTS // len(nodes) + 1
        for number, one in enumerate(nodes):
            ask(one, "CLUSTER", "ADDSLOTS", *range(number * share, min((number + 1) * share, SLOTS)))
            ask(one, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for one in nodes[1:]:
            ask(nodes[0], "CLUSTER", "MEET", "127.0.0.1", port_of(one))
        until(lambda: all(b"cluster_state:ok" in _cluster_info(one) for one in nodes))
        until(lambda: all(len(_slots(one)) == len(nodes) for one in nodes))
        yield nodes


def _cluster_info(node: ProgramService) -> bytes:
    with redis.Redis(port=port_of(node), socket_timeout=5, protocol=2) as client:
        return "\n".join(f"{name}:{value}" for name, value in client.cluster("INFO").items()).encode()


def _slots(node: ProgramService) -> list[object]:
    found = ask(node, "CLUSTER", "SLOTS")
    assert isinstance(found, list | dict)
    return list(found)
