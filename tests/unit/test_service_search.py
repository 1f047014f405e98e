"""The order in which a service is looked for, and what happens when there is none."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.build import build_all
from tests.services.cache import Cache
from tests.services.given import GivenService
from tests.services.kind import BuildFailed, ContainerPlan, Kind
from tests.services.program import Program
from tests.services.readiness import NotReady
from tests.services.search import (
    FromDocker,
    FromEnvironment,
    FromMachine,
    Services,
    Source,
    find_service,
    services_are_required,
)
from tests.services.service import NotControlled, Service, ServiceFailed, ServiceMissing

ADDRESS = {"TOCSIN_TEST_BELL": "bell://tower:1"}


class FakeService:
    """A service that notes what is done with it."""

    def __init__(self, origin: str, *, starts: bool = True) -> None:
        self.origin = origin
        self.address = f"bell://{origin}"
        self.done: list[str] = []
        self._starts = starts

    def start(self) -> None:
        self.done.append("start")
        if not self._starts:
            raise ServiceFailed("it cracked")

    def stop(self) -> None:
        self.done.append("stop")

    def kill(self) -> None:
        self.done.append("kill")

    def pause(self) -> None:
        self.done.append("pause")

    def resume(self) -> None:
        self.done.append("resume")

    def restart_empty(self) -> None:
        self.done.append("restart_empty")

    def close(self) -> None:
        self.done.append("close")


class FakeKind:
    """A sort of service that is fetched or built as the test says."""

    name = "Bell"
    variable = "TOCSIN_TEST_BELL"
    image = "bell:1"
    container = ContainerPlan(port=1)

    def __init__(self, problem: Exception | None = None) -> None:
        self._problem = problem
        self.built = 0

    def address(self, host: str, port: int) -> str:
        return f"bell://{host}:{port}"

    def probe(self, address: str) -> None:
        if address.endswith(":2"):
            raise NotReady("it is silent")

    def program(self) -> Program:
        raise ServiceMissing("no bell on this machine")

    def work_ahead(self) -> str | None:
        return "casting it"

    def build(self) -> str:
        self.built += 1
        if self._problem:
            raise self._problem
        return "1.0 in the tower"


class FakeEngine:
    """A Docker engine with some images."""

    def __init__(self, *images: str) -> None:
        self._images = images
        self.asked_for: Kind | None = None

    def require(self, image: str) -> None:
        if image not in self._images:
            raise ServiceMissing(f"Docker has no image {image}")

    def service(self, kind: Kind) -> Service:
        self.asked_for = kind
        return FakeService("docker")


class FakeSource:
    """A place where there is one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.asked_for: Kind | None = None

    def find(self, kind: Kind) -> Service:
        self.asked_for = kind
        return self._service


def in_order(environ: dict[str, str], *images: str, machine: Source | None = None) -> list[Source]:
    return [FromEnvironment(environ), FromDocker(FakeEngine(*images)), machine or FromMachine()]


ON_THE_MACHINE = FakeSource(FakeService("machine"))


@pytest.mark.parametrize(
    ("environ", "images", "origin"),
    [
        (ADDRESS, ["bell:1"], "given by TOCSIN_TEST_BELL"),
        ({}, ["bell:1"], "docker"),
        ({}, ["bell:2"], "machine"),
        ({}, [], "machine"),
    ],
)
def test_the_environment_comes_before_docker_and_docker_before_the_machine(
    environ: dict[str, str], images: list[str], origin: str
) -> None:
    assert find_service(FakeKind(), in_order(environ, *images, machine=ON_THE_MACHINE)).origin == origin


def test_every_reason_why_there_is_none_is_named() -> None:
    with pytest.raises(ServiceMissing) as missing:
        find_service(FakeKind(), in_order({}))
    assert str(missing.value) == (
        "Bell is missing: TOCSIN_TEST_BELL is not set; Docker has no image bell:1; no bell on this machine"
    )


@pytest.mark.parametrize(
    ("environ", "required"),
    [
        ({}, False),
        ({"CI": ""}, False),
        ({"CI": "0"}, False),
        ({"CI": "false"}, False),
        ({"CI": "False"}, False),
        ({"CI": "1"}, True),
        ({"CI": "true"}, True),
        ({"CI": "some-name"}, True),
    ],
)
def test_services_are_required_in_continuous_integration(environ: dict[str, str], required: bool) -> None:
    assert services_are_required(environ) is required


def test_a_missing_service_skips_the_test() -> None:
    services = Services(FromEnvironment({}), [FromMachine()], required=False)
    with pytest.raises(pytest.skip.Exception, match="no bell on this machine"), services.shared(FakeKind()):
        pass


def test_a_missing_service_fails_the_test_where_it_is_required() -> None:
    services = Services(FromEnvironment({}), [FromMachine()], required=True)
    with pytest.raises(pytest.fail.Exception, match="no bell on this machine"), services.shared(FakeKind()):
        pass


@contextmanager
def services_of(service: FakeService, environ: dict[str, str] | None = None) -> Iterator[Services]:
    yield Services(FromEnvironment(environ or {}), [FakeSource(service)], required=False)


def test_a_service_is_started_before_the_test_and_closed_after_it() -> None:
    service = FakeService("machine")
    with services_of(service) as services, services.shared(FakeKind()) as running:
        running.pause()
    assert service.done == ["start", "pause", "close"]


def test_a_service_that_does_not_start_is_closed_and_is_a_failure_not_a_skip() -> None:
    service = FakeService("machine", starts=False)
    with services_of(service) as services, pytest.raises(ServiceFailed, match="it cracked"):  # noqa: SIM117
        with services.shared(FakeKind()):
            pass
    assert service.done == ["start", "close"]


def test_a_private_service_is_never_one_that_the_environment_names() -> None:
    with services_of(FakeService("machine"), ADDRESS) as services:
        with services.shared(FakeKind()) as shared:
            assert shared.address == ADDRESS["TOCSIN_TEST_BELL"]
        with services.private(FakeKind()) as private:
            assert private.address == "bell://machine"


@pytest.mark.parametrize("act", ["stop", "kill", "pause", "resume", "restart_empty"])
def test_a_service_of_somebody_else_is_left_alone(act: str) -> None:
    service = GivenService("TOCSIN_TEST_BELL", "bell://tower:1", FakeKind().probe)
    with pytest.raises(NotControlled, match="TOCSIN_TEST_BELL"):
        getattr(service, act)()


def test_a_given_address_where_nothing_answers_is_a_failure_that_keeps_its_password_secret() -> None:
    service = GivenService("TOCSIN_TEST_BELL", "bell://ringer:secret@tower:2", FakeKind().probe)
    with pytest.raises(ServiceFailed, match="TOCSIN_TEST_BELL: NotReady: it is silent") as failure:
        service.start()
    assert "secret" not in str(failure.value)


def build(kind: FakeKind, environ: dict[str, str], *images: str) -> tuple[int, str]:
    written: list[str] = []
    code = build_all([kind], in_order(environ, *images)[:2], environ, written.append)
    return code, "".join(written)


def test_what_is_not_there_is_built() -> None:
    assert build(kind := FakeKind(), {}) == (0, "Bell        casting it … 1.0 in the tower\n")
    assert kind.built == 1


@pytest.mark.parametrize(("environ", "images"), [(ADDRESS, []), ({}, ["bell:1"])])
def test_what_comes_from_elsewhere_is_not_built(environ: dict[str, str], images: list[str]) -> None:
    code, _ = build(kind := FakeKind(), environ, *images)
    assert (code, kind.built) == (0, 0)


@pytest.mark.parametrize("problem", [ServiceMissing("no bronze"), BuildFailed("no bronze"), TimeoutError("no bronze")])
def test_what_cannot_be_built_is_named_and_fails_only_in_continuous_integration(problem: Exception) -> None:
    code, said = build(FakeKind(problem), {})
    assert code == 0
    assert "missing: no bronze" in said
    assert build(FakeKind(problem), {"CI": "true"})[0] == 1


def test_the_cache_keeps_nothing_of_a_build_that_failed(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def crack(folder: Path) -> None:
        (folder / "half").write_text("a bell")
        raise BuildFailed("it cracked")

    with pytest.raises(BuildFailed):
        cache.make("bell-1", crack)
    assert not cache.has("bell-1")
    assert [path.name for path in tmp_path.iterdir()] == ["bell-1.lock"]


def test_the_cache_builds_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.make("bell-1", lambda folder: (folder / "bell").touch())
    cache.make("bell-1", lambda folder: (folder / "another").touch())
    assert [path.name for path in cache.path("bell-1").iterdir()] == ["bell"]


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"TOCSIN_CACHE": "/bells", "XDG_CACHE_HOME": "/cache"}, "/bells/services"),
        ({"XDG_CACHE_HOME": "/cache"}, "/cache/tocsin/services"),
        ({}, f"{Path.home()}/.cache/tocsin/services"),
    ],
)
def test_the_cache_stands_outside_the_checkout(environ: dict[str, str], folder: str) -> None:
    assert str(Cache.of(environ).path("bell-1")) == f"{folder}/bell-1"
