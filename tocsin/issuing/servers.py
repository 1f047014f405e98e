"""Issuers to measure, each a process of its own: ours, and the least that one on aiohttp can be."""

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from issuer.clients import Client, ClientStore
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from issuer.users import Passwords, UserStore
from tocsin.issuing.bare import WAYS
from tocsin.processes import Program
from tocsin.settings import Credentials
from tocsin.workspace import DEMO_SCOPES, Workspace
from verifier_agent import Sources

OURS: Final = "tocsin"
QUIET: Final = "tocsin-quiet"
ALGORITHMS: Final = ("ES256", "RS256")
SETTINGS: Final = """
signing_algorithms = ["ES256", "RS256"]
password_grant = true
client_token_rate = "1000000/s burst 1000000"
"""
"""The limit of one client is high, and not off: what it costs is counted."""
PASSWORD: Final = "correct horse battery staple"  # noqa: S105 - of users made for the occasion
LOGIN_CLIENT: Final = "logs-in"
BURST_CLIENT: Final = "never-seen"


@dataclass(frozen=True)
class Server:
    """A running issuer.

    Attributes:
        process: its identifier.
        port: of this machine.
        clients: who may have tokens, by what for.
    """

    process: int
    port: int
    clients: dict[str, Credentials]

    def request(self, client: str, **parameters: str) -> bytes:
        """A token request by that client, as it is sent."""
        body = urlencode(parameters or {"grant_type": "client_credentials"}).encode()
        credentials = self.clients[client]
        by = base64.b64encode(f"{credentials.client_id}:{credentials.client_secret}".encode()).decode()
        head = (
            f"POST /oauth2/token HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: Basic {by}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


Started = Callable[[Path, str], AbstractAsyncContextManager[Server]]
"""Starts one, in an empty folder, whose client named like the algorithm gets tokens signed with that."""


@asynccontextmanager
async def ours(folder: Path, *_alg: str, settings: str = "", people: int = 0) -> AsyncIterator[Server]:
    """``tocsin issuer`` as it is, on SQLite files.

    Args:
        folder: for everything of it.
        settings: lines for its configuration.
        people: who can log in, each by ``username`` and ``PASSWORD``.

    Raises:
        CommandFailed: it does not start.
    """
    workspace = Workspace(folder)
    await workspace.set_up(port=0, sidecar_port=0, demo=False)
    with workspace.config.open("a") as config:
        config.write(SETTINGS + settings)
    clients = await _register(Sources.find({}, workspace.config).read(IssuerSettings), people)
    program = Program(OURS, ["tocsin", "--config", str(workspace.config), "issuer", "--json"], folder)
    async with program:
        yield Server(program.pid, program.announcement["port"], clients)


def username(number: int) -> str:
    """Of one of the people who can log in."""
    return f"person-{number}"


async def _register(settings: IssuerSettings, people: int) -> dict[str, Credentials]:
    wanted = [
        *(Client(client_id=f"client-{alg}", scopes=DEMO_SCOPES, token_alg=alg) for alg in ALGORITHMS),
        Client(client_id=LOGIN_CLIENT, scopes=DEMO_SCOPES, grants=("password",)),
        Client(client_id=BURST_CLIENT, scopes=DEMO_SCOPES),
    ]
    database, passwords = Database(settings.store), Passwords()
    try:
        store = ClientStore(database)
        made = {client.client_id.removeprefix("client-"): (client, await store.add(client)) for client in wanted}
        if people:
            users, kept = UserStore(database, passwords), await passwords.hash(PASSWORD)
            for number in range(people):
                await users.add(username(number), None, password_hash=kept)
    finally:
        passwords.close()
        await database.close()
    return {name: Credentials(client.client_id, secret.reveal()) for name, (client, secret) in made.items()}


def quiet(folder: Path, *_alg: str) -> AbstractAsyncContextManager[Server]:
    """Ours, as the bare one is: without the access log."""
    return ours(folder, settings="access_log = false\n")


def bare(way: str, *options: str) -> Started:
    """See ``tocsin.issuing.bare``."""

    @asynccontextmanager
    async def started(folder: Path, alg: str) -> AsyncIterator[Server]:
        async with Program(f"bare-{way}", ["tocsin.issuing.bare", way, alg, *options], folder) as program:
            yield announced(program, alg)

    return started


def announced(program: Program, alg: str) -> Server:
    """What a program says of itself on its first line."""
    said = program.announcement
    return Server(program.pid, said["port"], {alg: Credentials(said["client_id"], said["client_secret"])})


WHAT: Final = {
    OURS: "Tocsin",
    QUIET: "Tocsin, access_log = false",
    "pyjwt": "a bare handler of aiohttp and PyJWT",
    "pyjwt-logged": "a bare handler with aiohttp's access log",
    "by-hand": "a bare handler, the token put together by hand",
}
STARTED: Final[dict[str, Started]] = {
    OURS: ours,
    QUIET: quiet,
    **{way: bare(way) for way in WAYS},
    "pyjwt-logged": bare("pyjwt", "logged"),
}
