"""The command line: `python -m tests.services build`."""

import os
import sys

from tests.services.build import build_all
from tests.services.cache import Cache
from tests.services.consul import Consul
from tests.services.docker_engine import DockerEngine
from tests.services.kafka import Kafka
from tests.services.kind import Kind
from tests.services.postgresql import PostgreSQL
from tests.services.redis import Redis
from tests.services.search import FromDocker, FromEnvironment, Source

USAGE = "usage: python -m tests.services build\n"


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    if arguments != ["build"]:
        sys.stderr.write(USAGE)
        return 2
    cache = Cache.of(os.environ)
    kinds: list[Kind] = [Kafka(cache), Redis(), Consul(cache), PostgreSQL()]
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
