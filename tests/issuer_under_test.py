"""A real issuer for tests: its store, keys and two clients in a folder, served over HTTP in this process."""

import asyncio
import inspect
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import jwt
import msgspec
import pytest
from aiohttp import ClientSession, ClientTimeout, encode_basic_auth, web
from multidict import CIMultiDictProxy

from events import EventKey, EventOpener, EventSigner, IssuerTrust, Stream, VerifiedEvent
from events.log import EventLog, open_log
from issuer.app import create_app
from issuer.clients import Client, ClientStore
from issuer.endpoints.admin import SCOPES
from issuer.endpoints.services import SERVICES, Services
from issuer.keys.event_chain import EventSigners
from issuer.keys.generation import PrivateJwk, generate, public
from issuer.keys.sealing import KeyEncryptionKey
from issuer.keys.succession import Chain
from issuer.offline import initialise, succession_of
from issuer.outbox.outbox import Outbox
from issuer.settings import IssuerSettings
from issuer.store.database import Database
from issuer.store.migration import migrate
from tests.services.ports import free_ports
from verifier_agent import Agent, AgentSettings, RejectionCode, TokenRejected
from verifier_agent.clocks import Clock, SystemClock

AUDIENCE: Final = "orders"
OTHER_AUDIENCE: Final = "billing"
ANSWER_SECONDS: Final = 30.0
ENOUGH_SECONDS: Final = 60.0
"""Longest wait for what happens within milliseconds on an idle machine."""

on_every_store = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
"""For tests whose outcome the store has a part in; the others run on SQLite."""


class Credentials(NamedTuple):
    """A client and its secret."""

    client_id: str
    secret: str


class Answer(NamedTuple):
    """What came back over HTTP, read to its end."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    def json(self) -> Any:
        """The body, which must be JSON and say so."""
        assert self.headers["Content-Type"].startswith("application/json"), self
        return msgspec.json.decode(self.body)


async def until(holds: Callable[[], Awaitable[object] | object], what: str, seconds: float = ENOUGH_SECONDS) -> None:
    """Wait until ``holds`` gives something true; fail, saying what did not come about, after ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = holds()
                if inspect.isawaitable(found):
                    found = await found
                if found:
                    return
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"not within {seconds:.0f} s: {what}")


@contextmanager
def background_tasks_must_not_fail() -> Iterator[None]:
    """Turn the signal by which an issuer stops its process, when a task of its own fails, into the test's failure."""
    raised: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: raised.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not raised, "a background task of the issuer failed; the log says which"


class ShiftedClock:
    """This machine's clock, and by how many seconds a test has put the wall clock forward."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead = ahead
        self._machine = SystemClock()

    def now(self) -> float:
        """Wall clock, seconds since the epoch."""
        return self._machine.now() + self.ahead

    def boot(self) -> float:
        """Boot-time clock, seconds; nobody shifts it."""
        return self._machine.boot()


class IssuerClient:
    """An issuer as its clients see it, over HTTP.

    Attributes:
        url: where it listens.
    """

    def __init__(self, url: str, session: ClientSession, operator: Credentials) -> None:
        self.url = url
        self._session = session
        self._operator = operator

    async def send(self, method: str, path: str, **how: Any) -> Answer:
        """Any request; ``how`` is aiohttp's."""
        async with self._session.request(method, self.url + path, **how) as response:
            return Answer(response.status, response.headers, await response.read())

    async def form(self, path: str, by: Credentials | None, **parameters: str) -> Answer:
        """Post a form, the client authenticated by HTTP Basic."""
        headers = {} if by is None else {"Authorization": encode_basic_auth(*by)}
        return await self.send("POST", path, data=parameters, headers=headers)

    async def token(self, by: Credentials, **parameters: str) -> str:
        """A new access token by the client credentials grant."""
        answer = await self.form("/oauth2/token", by, grant_type="client_credentials", **parameters)
        assert answer.status == 200, answer
        token: str = answer.json()["access_token"]
        return token

    async def admin(
        self, method: str, path: str, body: object = None, *, token: str | None = None, **headers: str
    ) -> Answer:
        """A call of the admin API: with the token that is given, or else with a new one of the operator's."""
        bearer = token if token is not None else await self.token(self._operator)
        sent = {"Authorization": f"Bearer {bearer}", **{name.replace("_", "-"): text for name, text in headers.items()}}
        return await self.send(method, f"/admin/v1{path}", headers=sent, json=body)

    async def revoke(self, **body: object) -> Any:
        """Decide a revocation; the answer, which must be 201."""
        answer = await self.admin("POST", "/revocations", {"reason": "a test", **body})
        assert answer.status == 201, answer
        return answer.json()

    async def active(self, token: str, by: Credentials) -> bool:
        """Whether introspection finds the token active."""
        answer = await self.form("/oauth2/introspect", by, token=token)
        assert answer.status == 200, answer
        active: bool = answer.json()["active"]
        return active


class Replica(IssuerClient):
    """An issuer that runs in this process.

    Attributes:
        services: its inside, for tests that look there.
    """

    def __init__(self, url: str, session: ClientSession, operator: Credentials, services: Services) -> None:
        super().__init__(url, session, operator)
        self.services = services


@dataclass(frozen=True, kw_only=True)
class Installation:
    """What ``tocsin init`` makes: keys and tables, an operator and a demo client."""

    settings: IssuerSettings
    trust: IssuerTrust
    trust_file: Path
    demo: Credentials
    operator: Credentials
    heirs: list[PrivateJwk] = field(default_factory=list)

    @classmethod
    async def create(cls, folder: Path, *, store: str | None = None, log: str | None = None, **changes: Any) -> Self:
        """A new installation in ``folder``, with store and log on its embedded defaults; ``changes`` are settings."""
        port = free_ports(1)[0]
        KeyEncryptionKey.create(folder / "kek")
        usual: dict[str, Any] = {
            "issuer": f"http://127.0.0.1:{port}",
            "store": store or f"sqlite:///{folder}/store.db",
            "log": log or f"sqlite:///{folder}/events.db",
            "kek_file": folder / "kek",
            "port": port,
            "audience": AUDIENCE,
            "jwks_lead_time": 0.0,
        }
        settings = IssuerSettings(**usual | changes)
        heir = generate("ES256")
        trust = await initialise(settings, lambda: heir["kid"])
        trust.save(folder / "trust.json")
        database = Database(settings.store)
        try:
            clients = ClientStore(database)
            demo = Client(
                client_id="demo",
                audiences=(AUDIENCE, OTHER_AUDIENCE),
                scopes=("orders:read", "orders:write"),
            )
            operator = Client(client_id="operator", audiences=(settings.issuer,), scopes=SCOPES)
            secrets = [await clients.add(client) for client in (demo, operator)]
        finally:
            await database.close()
        return cls(
            settings=settings,
            trust=trust,
            trust_file=folder / "trust.json",
            demo=Credentials("demo", secrets[0].reveal()),
            operator=Credentials("operator", secrets[1].reveal()),
            heirs=[heir],
        )

    async def succeed(self, *, stolen: bool = False, force: bool = True) -> Chain:
        """Have the event key succeeded by the one that was kept offline."""
        following = generate("ES256")
        async with succession_of(self.settings) as succession:
            chain = await succession.succeed(
                self.heirs[-1], following["kid"], reason="a test", actor="tests", stolen=stolen, force=force
            )
        self.heirs.append(following)
        return chain

    async def client(self, client_id: str, **values: Any) -> Credentials:
        """Register a further client; the secret of a public one is empty."""
        client, database = Client(client_id=client_id, **values), Database(self.settings.store)
        try:
            if client.public:
                await ClientStore(database).add_without_secret(client)
                return Credentials(client_id, "")
            secret = await ClientStore(database).add(client)
        finally:
            await database.close()
        return Credentials(client_id, secret.reveal())

    @asynccontextmanager
    async def running(self, *, port: int | None = None, clock: Clock | None = None) -> AsyncIterator[Replica]:
        """One issuer process' worth; a second one beside it needs another port, 0 for any."""
        app = create_app(self.settings, clock)
        runner = web.AppRunner(app, shutdown_timeout=1.0, handle_signals=False)
        with background_tasks_must_not_fail():
            await runner.setup()
            try:
                site = web.TCPSite(runner, "127.0.0.1", self.settings.port if port is None else port)
                await site.start()
                url = f"http://127.0.0.1:{runner.addresses[0][1]}"
                async with ClientSession(timeout=ClientTimeout(total=ANSWER_SECONDS)) as session:
                    yield Replica(url, session, self.operator, app[SERVICES])
            finally:
                await runner.cleanup()

    def agent(self, *, clock: Clock | None = None, audience: str = AUDIENCE) -> Agent:
        """An agent of a service, over the log alone."""
        settings = AgentSettings(log=self.settings.log, trust=self.trust_file, audience=audience)
        return Agent(settings, clock=clock)

    async def said(self, stream: Stream) -> list[VerifiedEvent]:
        """Every event of the stream in the log, in the log's order."""
        event_log = open_log(self.settings.log)
        try:
            return await said(event_log, self.trust, stream)
        finally:
            await event_log.close()


async def said(event_log: EventLog, trust: IssuerTrust, stream: Stream) -> list[VerifiedEvent]:
    """Every event of a stream that a log holds, opened, in the log's order."""
    opener = EventOpener(trust)
    return [opener.open(raw, stream) for raw in await raw_events(event_log, stream)]


async def raw_events(event_log: EventLog, stream: Stream) -> list[bytes]:
    """Every event of a stream that a log holds, as it stands there."""
    found: list[bytes] = []
    position, end = None, await event_log.head(stream)
    while end is not None and (position is None or position < end):
        for entry in await event_log.read({stream: position}, wait=5.0):
            position = entry.position
            found.append(entry.data)
    return found


def rejection(agent: Agent, token: str, **how: Any) -> RejectionCode | None:
    """Why the agent rejects the token; ``None`` when it is good."""
    try:
        agent.verify(token, **how)
    except TokenRejected as rejected:
        return rejected.code
    return None


def unverified(token: str) -> dict[str, Any]:
    """The claims of a token, its signature not looked at."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


@dataclass(frozen=True)
class Store:
    """A store with its outbox and nothing else of an issuer; further ones on the same tables are as another process."""

    database: Database
    outbox: Outbox
    signer: EventSigner
    trust: IssuerTrust
    opened: list[Database]

    ISSUER: Final = "https://issuer.example"

    @classmethod
    async def create(cls, url: str) -> Self:
        """Tables, baselines and an event key."""
        database = Database(url)
        await migrate(database)
        jwk = generate("ES256")
        trust = IssuerTrust(issuer=cls.ISSUER, event_keys=(public(jwk),))
        signer = EventSigner(cls.ISSUER, EventKey(jwk))
        store = cls(database, Outbox(database, _only(signer)), signer, trust, [database])
        await store.outbox.initialise()
        return store

    @property
    def opener(self) -> EventOpener:
        """Opens what this store's outbox holds."""
        return EventOpener(self.trust)

    def beside(self) -> "Store":
        """The same store by connections of its own."""
        database = Database(self.database.url.set(drivername=self.database.kind).render_as_string(hide_password=False))
        self.opened.append(database)
        return Store(database, Outbox(database, _only(self.signer)), self.signer, self.trust, self.opened)

    async def close(self) -> None:
        """Close this one and all that stand beside it."""
        for database in self.opened:
            await database.close()


def _only(signer: EventSigner) -> EventSigners:
    return EventSigners(signer.issuer, None, {0: signer})
