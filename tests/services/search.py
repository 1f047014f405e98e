"""Where a service comes from: the environment, Docker, or a program of this machine, in this order."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import pytest

from tests.services.given import GivenService
from tests.services.kind import Kind
from tests.services.program_service import ProgramService
from tests.services.service import Service, ServiceMissing


class Source(Protocol):
    """One place to look for a service."""

    def find(self, kind: Kind) -> Service:
        """Give a service of this kind that is yet to be started. Raises ServiceMissing, saying why there is none."""
        ...


class Engine(Protocol):
    """Runs services in containers."""

    def require(self, image: str) -> None:
        """Return if it can run this image now; raise ServiceMissing if not."""
        ...

    def service(self, kind: Kind) -> Service:
        """A service of this kind in a container, yet to be started."""
        ...


class FromEnvironment:
    """Services whose addresses are in environment variables."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def find(self, kind: Kind) -> Service:
        address = self._environ.get(kind.variable)
        if not address:
            raise ServiceMissing(f"{kind.variable} is not set")
        return GivenService(kind.variable, address, kind.probe)


class FromDocker:
    """Services in containers, where an engine answers and has the image."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, kind: Kind) -> Service:
        self._engine.require(kind.image)
        return self._engine.service(kind)


class FromMachine:
    """Services as programs of this machine, installed or fetched or built."""

    def find(self, kind: Kind) -> Service:
        return ProgramService(kind, kind.program())


def find_service(kind: Kind, sources: Sequence[Source]) -> Service:
    """Ask the sources in turn. Raises ServiceMissing with every reason when none has one."""
    reasons = []
    for source in sources:
        try:
            return source.find(kind)
        except ServiceMissing as missing:
            reasons.append(str(missing))
    raise ServiceMissing(f"{kind.name} is missing: {'; '.join(reasons)}")


def services_are_required(environ: Mapping[str, str]) -> bool:
    """Whether a missing service is a failure, not a reason to skip: in continuous integration, where CI is set."""
    return environ.get("CI", "").lower() not in ("", "0", "false")


class Services:
    """Gives the tests their services."""

    def __init__(self, given: Source, own: Sequence[Source], *, required: bool) -> None:
        self._given = given
        self._own = own
        self._required = required

    @contextmanager
    def shared(self, kind: Kind) -> Iterator[Service]:
        """A running service for many tests, none of which stops it."""
        with self._running(kind, [self._given, *self._own]) as service:
            yield service

    @contextmanager
    def private(self, kind: Kind) -> Iterator[Service]:
        """A running service for one test, which may stop it: never one that the environment names."""
        with self._running(kind, self._own) as service:
            yield service

    @contextmanager
    def _running(self, kind: Kind, sources: Sequence[Source]) -> Iterator[Service]:
        service = self._find(kind, sources)
        try:
            service.start()
            yield service
        finally:
            service.close()

    def _find(self, kind: Kind, sources: Sequence[Source]) -> Service:
        try:
            return find_service(kind, sources)
        except ServiceMissing as missing:
            reason = str(missing)
        if self._required:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
