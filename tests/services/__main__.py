"""The command line: build the services, or run a command with some of them started.

`python -m tests.services build`
`python -m tests.services with kafka redis -- COMMAND …`, where `{kafka}` in the command stands for its address.
"""

import os
import subprocess
import sys
from contextlib import ExitStack

from tests.services.build import build_all
from tests.services.cache import Cache
from tests.services.consul import Consul
from tests.services.docker_engine import DockerEngine
from tests.services.kafka import Kafka
from tests.services.kind import Kind
from tests.services.postgresql import PostgreSQL
from tests.services.redis import Redis
from tests.services.search import FromDocker, FromEnvironment, FromMachine, Source, find_service

USAGE = "usage: python -m tests.services build | with SERVICE … -- COMMAND …\n"


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    cache = Cache.of(os.environ)
    kinds: dict[str, Kind] = {
        "kafka": Kafka(cache),
        "redis": Redis(),
        "consul": Consul(cache),
        "postgresql": PostgreSQL(),
    }
    if arguments == ["build"]:
        return _build(list(kinds.values()))
    names, command = _split(arguments)
    if not names or not command or not set(names) <= set(kinds):
        sys.stderr.write(USAGE)
        return 2
    return _run({name: kinds[name] for name in names}, command)


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The services before the two dashes, and the command behind them."""
    if arguments[:1] != ["with"] or "--" not in arguments:
        return [], []
    dashes = arguments.index("--")
    return arguments[1:dashes], arguments[dashes + 1 :]


def _run(kinds: dict[str, Kind], command: list[str]) -> int:
    """Run ``command`` while these services run."""
    with ExitStack() as stack:
        addresses = {}
        for name, kind in kinds.items():
            service = find_service(kind, [FromEnvironment(os.environ), FromMachine()])
            stack.callback(service.close)
            service.start()
            addresses[name] = service.address
        for name, address in addresses.items():
            command = [argument.replace(f"{{{name}}}", address) for argument in command]
        return subprocess.run(command, check=False).returncode


def _build(kinds: list[Kind]) -> int:
    engine = DockerEngine()
    elsewhere: list[Source] = [FromEnvironment(os.environ), FromDocker(engine)]
    try:
        return build_all(kinds, elsewhere, os.environ, _write)
    except KeyboardInterrupt:
        _write("interrupted; nothing unfinished was kept\n")
        return 130
    finally:
        engine.close()


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
