"""A foreign issuer's documents, and a fetcher that brings them without a network."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.simulator import SigningKey, signing_key
from verifier_agent.clocks import SystemClock
from verifier_agent.jwks import (
    Answer,
    ForeignIssuer,
    ForeignKey,
    ForeignKeys,
    JwksDocument,
    JwksFailed,
    JwksFetcher,
    JwksRefresher,
    parse_jwks,
)

ISSUER: Final = "https://login.example/realms/shop"
JWKS_URI: Final = "https://login.example/realms/shop/certs"
OIDC_METADATA: Final = f"{ISSUER}/.well-known/openid-configuration"
OAUTH_METADATA: Final = "https://login.example/.well-known/oauth-authorization-server/realms/shop"


def key(kid: str) -> SigningKey:
    """The issuer's ES256 key of this name."""
    return signing_key("ES256", f"foreign {kid}")


def jwk(kid: str, /, **members: Any) -> dict[str, Any]:
    """Its public JWK; ``members`` are put over those it has, and ``None`` takes one away."""
    made = {**key(kid).jwk(), "kid": kid, "use": "sig", **members}
    return {name: value for name, value in made.items() if value is not None}


def jwks(*keys: Any) -> bytes:
    """A document with these keys: texts are ``kid``s of good ones."""
    return json.dumps({"keys": [jwk(one) if isinstance(one, str) else one for one in keys]}).encode()


def document(*keys: Any) -> JwksDocument:
    """The same, parsed."""
    return parse_jwks(jwks(*keys))


def metadata(issuer: str = ISSUER, jwks_uri: str = JWKS_URI) -> bytes:
    """What an issuer says about itself."""
    return json.dumps({"issuer": issuer, "jwks_uri": jwks_uri, "token_endpoint": f"{issuer}/token"}).encode()


def even() -> float:
    """Chance that always falls on the middle."""
    return 0.5


class KeysOverTime:
    """``ForeignKeys`` by a clock that a test sets; begins with the keys ``one`` and ``two``. The cool-down is 30 s, the
    spacing 2 s.

    Attributes:
        now: boot-time clock, seconds.
        loads: how many refreshes have begun.
    """

    def __init__(self, **settings: Any) -> None:
        self.keys = ForeignKeys(ForeignIssuer(issuer=ISSUER, **settings), even)
        self.now = 1000.0
        self.loads = 0
        self.load("one", "two")

    def load(self, *kids: Any, max_age: float | None = None) -> frozenset[str]:
        """One good refresh that takes no time."""
        self.begin()
        return self.keys.refreshed(document(*kids), max_age, self.now)

    def begin(self) -> None:
        """A refresh starts."""
        self.loads += 1
        self.keys.begin(self.now)

    def fail(self, error: JwksFailed) -> None:
        """One refresh that brings nothing."""
        self.begin()
        self.keys.failed(error, self.now)

    def find(self, kid: str, caller: str | None = None) -> object:
        """What is answered now."""
        return self.keys.find(kid, self.now, caller)

    def serve(self, seconds: float, *kids: str) -> int:
        """Let time pass, half a second at a time, and refresh whenever that is wanted; how often it was."""
        before, end = self.loads, self.now + seconds
        while self.now < end:
            self.now += 0.5
            if self.keys.wants_refresh(self.now):
                self.load(*kids)
        return self.loads - before


def found(answer: object) -> ForeignKey:
    """The key that was found."""
    assert isinstance(answer, ForeignKey)
    return answer


class FakeFetcher:
    """Brings what a test has put there.

    Attributes:
        answers: by URL; what is not there is answered with 404.
        asked: each URL and its ETag, in order.
        gate: while it is closed nothing is answered.
    """

    def __init__(self, **answers: Answer | JwksFailed) -> None:
        self.answers: dict[str, Answer | Exception] = dict(answers)
        self.asked: list[tuple[str, str | None]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def put(self, url: str, body: bytes, status: int = 200, **headers: str) -> None:
        """From now on answer so."""
        self.answers[url] = Answer(status, {name.replace("_", "-"): text for name, text in headers.items()}, body)

    async def fetch(self, url: str, *, limit: int, etag: str | None) -> Answer:  # noqa: ARG002 - of the Protocol
        """See ``JwksFetcher.fetch``."""
        self.asked.append((url, etag))
        await self.gate.wait()
        answer = self.answers.get(url, Answer(404, {}, b""))
        if isinstance(answer, Exception):
            raise answer
        return answer


async def until(condition: Callable[[], object], patience: float = 30.0) -> None:
    """Wait until something has come about; a test fails when it does not."""
    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110 - what is tested tells nobody
            await asyncio.sleep(0.001)


@asynccontextmanager
async def refreshing(
    keys: ForeignKeys, fetcher: JwksFetcher, gone: Callable[[frozenset[str]], None] = lambda _: None
) -> AsyncIterator[JwksRefresher]:
    """A refresher at work."""
    refresher = JwksRefresher(keys, fetcher, SystemClock(), gone)
    task = asyncio.create_task(refresher.run())
    try:
        yield refresher
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
