"""A folder for development: keys, clients, configuration, and the embedded store and log."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from issuer.app import initialise
from issuer.clients import Client, ClientStore
from issuer.endpoints.admin import SCOPES
from issuer.errors import Conflict
from issuer.keys.sealing import KeyEncryptionKey
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from tocsin.settings import Credentials

OPERATOR: Final = "operator"
DEMO_CLIENT: Final = "demo"
DEMO_AUDIENCE: Final = "demo-api"
DEMO_SCOPES: Final = ("demo:read", "demo:write")


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
    def operator(self) -> Path:
        """The operator client's credentials."""
        return self.folder / "operator.json"

    @property
    def demo_client(self) -> Path:
        """The demo client's credentials."""
        return self.folder / "demo-client.json"

    async def set_up(
        self,
        issuer: str | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        sidecar_port: int = 0,
        store: str | None = None,
        log: str | None = None,
        demo: bool = True,
    ) -> list[Path]:
        """Make what is missing, and leave what is there; the files that were made.

        Args:
            issuer: the issuer's identifier and URL; by default the address that it listens on.
            host: where the issuer listens.
            port: where the issuer listens; 0 for any free port.
            sidecar_port: where the sidecar listens; 0 for any free port.
            store: URL of the store; a file in this folder when absent.
            log: URL of the event log; a file in this folder when absent.
            demo: whether to make the demo client.

        Raises:
            SettingInvalid: a URL cannot be used, or a file that is there is no good.
            StoreUnavailable: the store does not answer.
        """
        folder = self.folder.resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = []
        settings = IssuerSettings(
            issuer=issuer or f"http://{host}:{port}",
            store=store or f"sqlite:///{folder}/store.db",
            log=log or f"sqlite:///{folder}/events.db",
            kek_file=folder / "kek",
            host=host,
            port=port,
            audience=DEMO_AUDIENCE,
        )
        if not self.kek.exists():
            KeyEncryptionKey.create(self.kek)
            made.append(self.kek)
        trust = await initialise(settings)
        trust.save(self.trust)
        made += await self._clients(settings, demo=demo)
        if not self.config.exists():
            # Private: the store's URL may hold a password.
            _write_private(self.config, _toml(settings, folder, sidecar_port).encode())
            made.append(self.config)
        return [*made, self.trust]

    async def _clients(self, settings: IssuerSettings, *, demo: bool) -> list[Path]:
        wanted = [
            (self.operator, Client(client_id=OPERATOR, name="Operator", scopes=SCOPES, audiences=(settings.issuer,))),
            (self.demo_client, Client(client_id=DEMO_CLIENT, name="Demo", scopes=DEMO_SCOPES)),
        ]
        if not demo:
            del wanted[1]
        database = Database(settings.store)
        store, made = ClientStore(database), []
        try:
            for path, client in wanted:
                if path.exists():
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


def read_credentials(path: Path) -> Credentials:
    """What ``set_up`` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Credentials)


def _write_private(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content + b"\n")


def _toml(settings: IssuerSettings, folder: Path, sidecar_port: int) -> str:
    values = {
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
    }
    lines = [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in values.items()]
    return "\n".join(
        ["# Written by `tocsin init`, for development. Each name is also TOCSIN_… in the environment.", *lines]
    )
