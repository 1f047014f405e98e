"""A folder for development: keys, clients, configuration, and the embedded store and log."""

import os
import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from issuer.clients import CODE_GRANT, Client, ClientStore
from issuer.endpoints.admin import SCOPES
from issuer.errors import Conflict
from issuer.keys.sealing import KeyEncryptionKey
from issuer.offline import initialise
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from issuer.users import Passwords, UserStore
from tocsin.errors import CommandFailed
from tocsin.offline_key import make_successor
from tocsin.settings import Credentials
from verifier_agent import SettingInvalid, Sources
from verifier_agent.settings import without_secrets
from verifier_agent.sidecar import SidecarSettings

ISSUER_PORT: Final = 8080
SIDECAR_PORT: Final = 8081
OPERATOR: Final = "operator"
DEMO_CLIENT: Final = "demo"
DEMO_AUDIENCE: Final = "demo-api"
AGENTS_CLIENT: Final = "agents"
AGENTS_SCOPES: Final = ("tocsin.agent", "tocsin.events")
DEMO_SCOPES: Final = ("demo:read", "demo:write")
DEMO_APP: Final = "demo-app"
DEMO_CALLBACK: Final = "http://127.0.0.1/callback"
"""Of a program on this machine, at any port (RFC 8252 section 7.3)."""
DEMO_USER: Final = "demo"
PASSWORD_BYTES: Final = 9


@dataclass(frozen=True)
class Workspace:
    """Where everything lies in one folder."""

    folder: Path

    @property
    def config(self) -> Path:
        """The configuration of issuer, agents and operator."""
        return self.folder / "tocsin.toml"

    @property
    def kek(self) -> Path:
        """The key-encryption key."""
        return self.folder / "kek"

    @property
    def trust(self) -> Path:
        """What agents pin."""
        return self.folder / "trust.json"

    @property
    def successor(self) -> Path:
        """The private half of the next event key, which is to be kept offline."""
        return self.folder / "event-key-successor.json"

    @property
    def operator(self) -> Path:
        """The operator client's credentials."""
        return self.folder / "operator.json"

    @property
    def agents(self) -> Path:
        """The credentials that agents enrol with."""
        return self.folder / "agents.json"

    @property
    def demo_client(self) -> Path:
        """The demo client's credentials."""
        return self.folder / "demo-client.json"

    @property
    def demo_user(self) -> Path:
        """The demo user's name and password."""
        return self.folder / "demo-user.json"

    async def set_up(
        self,
        issuer: str | None = None,
        *,
        host: str | None = None,
        port: int | None = None,
        sidecar_port: int | None = None,
        store: str | None = None,
        log: str | None = None,
        demo: bool = True,
    ) -> list[Path]:
        """Make what is missing, and leave what is there; the files that were made.

        Where there is a configuration, its settings hold, and arguments may only repeat them.

        Args:
            issuer: the issuer's identifier and URL; by default http on its port of this machine.
            host: where the issuer listens; 127.0.0.1 when absent.
            port: where the issuer listens; 0 for any free port, 8080 when absent.
            sidecar_port: where the sidecar listens; 0 for any free port, 8081 when absent.
            store: URL of the store; a file in this folder when absent.
            log: URL of the event log; a file in this folder when absent.
            demo: whether to make the demo client, a user and an application to log in to.

        Raises:
            SettingInvalid: a URL cannot be used, a file is no good, or the configuration contradicts an argument.
            CommandFailed: there are credentials of another store.
            StoreUnavailable: the store does not answer.
        """
        folder = self.folder.resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made: list[Path] = []
        configured = self.config.exists()
        if configured:
            settings = self._configured(
                {"issuer": issuer, "host": host, "port": port, "store": store, "log": log}, sidecar_port
            )
        else:
            port = ISSUER_PORT if port is None else port
            settings = IssuerSettings(
                issuer=issuer or f"http://127.0.0.1:{port}",
                store=store or f"sqlite:///{folder}/store.db",
                log=log or f"sqlite:///{folder}/events.db",
                kek_file=folder / "kek",
                host=host or "127.0.0.1",
                port=port,
                audience=DEMO_AUDIENCE,
                jwks_lead_time=0 if demo else 120,  # nobody polls a demonstration, and it rotates at once
            )
        if settings.kek_file is not None and not settings.kek_file.exists():
            KeyEncryptionKey.create(settings.kek_file)
            made.append(settings.kek_file)
        trust = await initialise(settings, lambda: make_successor(self.successor, made))
        before = self.trust.read_bytes() if self.trust.exists() else None
        trust.save(self.trust)
        enrolling = demo and not configured and settings.port != 0  # its agents must know where the issuer will be
        made += await self._clients(settings, demo=demo, enrolling=enrolling)
        if demo:
            made += await self._login(settings)
        if not configured:
            # Private: the store's URL may hold a password.
            port = SIDECAR_PORT if sidecar_port is None else sidecar_port
            enrol_url = _enrol_url(settings.issuer, read_credentials(self.agents)) if enrolling else None
            _write_private(self.config, _toml(settings, folder, port, enrol_url).encode())
            made.append(self.config)
        return made if self.trust.read_bytes() == before else [*made, self.trust]

    def _configured(self, given: dict[str, str | int | None], sidecar_port: int | None) -> IssuerSettings:
        """The configuration's settings; whoever gives others is told, as everything is made from these."""
        sources = Sources.find({}, self.config)
        settings, sidecar = sources.read(IssuerSettings), sources.read(SidecarSettings)
        there = {name: getattr(settings, name) for name in given} | {"sidecar_port": sidecar.sidecar_port}
        for name, value in {**given, "sidecar_port": sidecar_port}.items():
            if value not in (None, there[name]):
                raise SettingInvalid(
                    f"setting {name!r} is {_shown(there[name])} in {self.config}, not {_shown(value)}: "
                    "change it there, or leave the option out"
                )
        return settings

    async def _clients(self, settings: IssuerSettings, *, demo: bool, enrolling: bool) -> list[Path]:
        wanted = [
            (self.operator, Client(client_id=OPERATOR, name="Operator", scopes=SCOPES, audiences=(settings.issuer,))),
            (self.demo_client, Client(client_id=DEMO_CLIENT, name="Demo", scopes=DEMO_SCOPES)),
        ]
        if not demo:
            del wanted[1]
        if enrolling:
            audiences = (settings.issuer,)
            agents = Client(client_id=AGENTS_CLIENT, name="Agents", scopes=AGENTS_SCOPES, audiences=audiences)
            wanted.append((self.agents, agents))
        database = Database(settings.store)
        store, made = ClientStore(database), []
        try:
            known = {client.client_id for client in await store.all()}
            for path, client in wanted:
                if path.exists():
                    _must_be_of(path, known)
                    continue
                try:
                    secret = await store.add(client)
                except Conflict:  # its file was lost: the old secret cannot be read again
                    secret = await store.rotate_secret(client.client_id)
                _write_private(path, msgspec.json.encode(Credentials(client.client_id, secret.reveal())))
                made.append(path)
        finally:
            await database.close()
        return made

    async def _login(self, settings: IssuerSettings) -> list[Path]:
        """A user, and an application on this machine that the user can log in to."""
        app = Client(
            client_id=DEMO_APP,
            name="Demo application",
            grants=(CODE_GRANT, "refresh_token"),
            scopes=("openid", "profile", *DEMO_SCOPES),
            redirect_uris=(DEMO_CALLBACK,),
            public=True,
        )
        database, passwords = Database(settings.store), Passwords()
        users, password = UserStore(database, passwords), secrets.token_urlsafe(PASSWORD_BYTES)
        try:
            with suppress(Conflict):
                await ClientStore(database).add_without_secret(app)
            if self.demo_user.exists():
                return []
            try:
                await users.add(DEMO_USER, password, claims={"name": "Demo User"})
            except Conflict:  # its file was lost
                await users.set_password(DEMO_USER, password)
        finally:
            passwords.close()
            await database.close()
        _write_private(self.demo_user, msgspec.json.encode(Login(DEMO_USER, password)))
        return [self.demo_user]


class Login(msgspec.Struct, frozen=True):
    """What the demo user logs in with."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Login(username={self.username!r})"


def read_login(path: Path) -> Login:
    """What ``set_up`` wrote of the demo user."""
    return msgspec.json.decode(path.read_bytes(), type=Login)


def _must_be_of(path: Path, known: Collection[str]) -> None:
    """Refuse credentials that are no good because the store was exchanged for another."""
    if (client_id := read_credentials(path).client_id) not in known:
        raise CommandFailed(
            f"{path} is of another store: this one has no client {client_id!r}. Remove the file to have it made anew"
        )


def _shown(value: str | int | None) -> str:
    return repr(without_secrets(value) if isinstance(value, str) else value)


def read_credentials(path: Path) -> Credentials:
    """What ``set_up`` wrote.

    Raises:
        SettingInvalid: it is not that any more.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Credentials)
    except msgspec.MsgspecError as error:
        raise SettingInvalid(f"{path}: {error}") from error


def _write_private(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content + b"\n")


def _enrol_url(issuer: str, who: Credentials) -> str:
    scheme, _, place = issuer.partition("://")
    return f"{scheme}://{quote(who.client_id, safe='')}:{quote(who.client_secret, safe='')}@{place}/agents"


def _toml(settings: IssuerSettings, folder: Path, sidecar_port: int, enrol_url: str | None) -> str:
    values: dict[str, str | int | float] = {
        "issuer": settings.issuer,
        "host": settings.host,
        "port": settings.port,
        "store": settings.store,
        "log": settings.log,
        "kek_file": str(folder / "kek"),
        "trust": str(folder / "trust.json"),
        "audience": settings.audience,
        "sidecar_port": sidecar_port,
        "operator_file": str(folder / "operator.json"),
        "jwks_lead_time": settings.jwks_lead_time,
    }
    if enrol_url is not None:
        values["enrol_url"] = enrol_url
    lines = [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in values.items()]
    return "\n".join(
        ["# Written by `tocsin init`, for development. Each name is also TOCSIN_… in the environment.", *lines]
    )
