"""Fixtures that every test may ask for. A service starts when the first test asks for it."""

import os
from collections.abc import Iterator

import pytest

from tests.services.cache import Cache
from tests.services.consul import Consul
from tests.services.kafka import Kafka
from tests.services.postgresql import PostgreSQL, drop_database, fresh_database
from tests.services.redis import Redis
from tests.services.search import FromDocker, FromEnvironment, FromMachine, Services, Source, services_are_required
from tests.services.service import Service
from tests.softhsm import SoftHsm, started_softhsm


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """Where the services come from."""
    from tests.services.docker_engine import DockerEngine  # noqa: PLC0415 - slow to import, and most runs need no service

    engine = DockerEngine()
    own: list[Source] = [FromDocker(engine), FromMachine()]
    yield Services(FromEnvironment(os.environ), own, required=services_are_required(os.environ))
    engine.close()


@pytest.fixture(scope="session")
def kafka(services: Services) -> Iterator[Service]:
    """A Kafka broker for all tests; `address` is host:port. It makes no topics by itself. Not to be stopped."""
    with services.shared(Kafka(Cache.of(os.environ))) as service:
        yield service


@pytest.fixture(scope="session")
def redis_server(services: Services) -> Iterator[Service]:
    """A Redis server for all tests; `address` is a redis:// URL. Not to be stopped."""
    with services.shared(Redis()) as service:
        yield service


@pytest.fixture(scope="session")
def consul(services: Services) -> Iterator[Service]:
    """A Consul server for all tests; `address` is an http:// URL. Not to be stopped."""
    with services.shared(Consul(Cache.of(os.environ))) as service:
        yield service


@pytest.fixture(scope="session")
def postgresql(services: Services) -> Iterator[Service]:
    """A PostgreSQL server for all tests; `address` is a URL whose role may create databases. Not to be stopped."""
    with services.shared(PostgreSQL()) as service:
        yield service


@pytest.fixture
def postgresql_url(postgresql: Service) -> Iterator[str]:
    """The postgresql:// URL of an empty database for one test."""
    url = fresh_database(postgresql.address)
    yield url
    drop_database(postgresql.address, url)


@pytest.fixture
def kafka_broker_of_its_own(services: Services) -> Iterator[Service]:
    """A Kafka broker for one test, which may stop, kill, pause and empty it."""
    with services.private(Kafka(Cache.of(os.environ))) as service:
        yield service


@pytest.fixture
def redis_server_of_its_own(services: Services) -> Iterator[Service]:
    """A Redis server for one test, which may stop, kill, pause and empty it."""
    with services.private(Redis()) as service:
        yield service


@pytest.fixture
def consul_of_its_own(services: Services) -> Iterator[Service]:
    """A Consul server for one test, which may stop, kill, pause and empty it."""
    with services.private(Consul(Cache.of(os.environ))) as service:
        yield service


@pytest.fixture
def postgresql_of_its_own(services: Services) -> Iterator[Service]:
    """A PostgreSQL server for one test, which may stop, kill, pause and empty it; `fresh_database` works on it too."""
    with services.private(PostgreSQL()) as service:
        yield service


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    """A PKCS #11 token, of this process: others do not see keys that are made later."""
    yield from started_softhsm(tmp_path_factory.mktemp("softhsm"))
