"""An issuer to measure with: its key, its tokens, and agents that have heard its events without any log."""

import random
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from events import (
    Baseline,
    EventKey,
    EventSigner,
    Heartbeat,
    IssuerTrust,
    KeySet,
    KeyState,
    PublishedKey,
    Record,
    Revoke,
    RevokeDigests,
    Selector,
    SignedEvent,
    Stream,
    StreamHead,
    pack,
)
from events.digests import BATCH_LIMIT, TokenDigest, pack_digests
from events.log import EventLog
from issuer.keys.generation import Jwk, generate, public
from issuer.keys.signing import SigningKey
from verifier_agent import Agent, AgentSettings, VerificationPolicy

ISSUER: Final = "https://issuer.example"
AUDIENCE: Final = "orders"
SCOPE: Final = "orders:read"
ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
TOKEN_LIFE: Final = 3600
CACHE_SIZE: Final = VerificationPolicy().cache_size


class MeasuredIssuer:
    """Signs tokens by one algorithm, and the events that agents go by.

    Attributes:
        alg: of the tokens.
        jwk: the public token key.
        now: seconds since the epoch, when it was made.
        trust: what agents pin.
        opening: the first events: keys, an empty list of revocations, a heartbeat.
        tokens: to be verified, each of a user of its own, in no order.
    """

    def __init__(self, alg: str, tokens: int = 1000) -> None:
        key, event_key = generate(alg), generate("ES256")
        self.alg = alg
        self.jwk: Jwk = public(key)
        self.now = time.time()
        self._key = SigningKey(key)
        self._signer = EventSigner(ISSUER, EventKey(event_key))
        self.trust = IssuerTrust(issuer=ISSUER, event_keys=(public(event_key),))
        self._minted = 0
        self._next = {Stream.KEYS: 1, Stream.REVOCATIONS: 1, Stream.HEARTBEATS: 1}
        published = PublishedKey(kid=self.jwk["kid"], alg=alg, state=KeyState.ACTIVE, jwk=self.jwk)
        keys = self.say(Stream.KEYS, KeySet(keys=(published,)))
        baseline = self.say(Stream.REVOCATIONS, Baseline())
        self.opening = (keys, baseline, self.beat(keys, baseline))
        self.tokens = [self.token() for _ in range(tokens)]
        random.Random(1).shuffle(self.tokens)  # noqa: S311 - an order

    def token(self, **claims: Any) -> str:
        """An access token (RFC 9068) of the usual size; each has a subject and a ``jti`` of its own."""
        self._minted += 1
        usual: dict[str, Any] = {
            "iss": ISSUER,
            "sub": f"user-{self._minted}",
            "aud": AUDIENCE,
            "exp": int(self.now) + TOKEN_LIFE,
            "iat": int(self.now),
            "jti": f"jti-{self._minted}",
            "client_id": "shop",
            "scope": f"{SCOPE} orders:write",
            "rsq": pack(1, 1),
        }
        return self._key.sign({**usual, **claims}, "at+jwt")

    def bad_tokens(self) -> dict[str, str]:
        """Tokens that must be rejected, by what is wrong with them."""
        header, _, signature = self.token().split(".")
        other = self.token().split(".")[1]
        return {
            "a payload that was not signed": f"{header}.{other}.{signature}",
            "a token that has ended": self.token(exp=int(self.now) - TOKEN_LIFE),
            "a token for another audience": self.token(aud="invoices"),
            "a token of another issuer": self.token(iss="https://other.example"),
        }

    def say(self, stream: Stream, record: Record) -> SignedEvent:
        """The next event of a stream."""
        number = self._next[stream]
        self._next[stream] = number + 1
        return self._signer.sign(stream, pack(1, number), record, time=self.now, txn="bench")

    def beat(self, *newest: SignedEvent) -> SignedEvent:
        """A heartbeat that names these events as the heads of their streams, and the first as the floors."""
        heads = {
            str(event.stream): StreamHead(head=event.seq, digest=event.digest, floor=pack(1, 1)) for event in newest
        }
        return self.say(Stream.HEARTBEATS, Heartbeat(time=self.now, heads=heads))

    def unrelated(self) -> SignedEvent:
        """A revocation that hits none of the tokens."""
        subject = f"stranger-{self._next[Stream.REVOCATIONS]}"
        return self.say(Stream.REVOCATIONS, Revoke(selector=Selector.of(sub=subject), expires_at=self.ends))

    def revoke_digests(self, packed: bytes) -> SignedEvent:
        """A revocation of single tokens."""
        return self.say(Stream.REVOCATIONS, RevokeDigests(digests=packed, expires_at=self.ends))

    @property
    def ends(self) -> float:
        """When revocations may be forgotten, seconds since the epoch."""
        return self.now + 2 * TOKEN_LIFE

    def agent(self, *, cache_size: int = CACHE_SIZE) -> Agent:
        """An agent that has heard the key, no revocation, and a heartbeat; it runs on no log."""
        agent = self.deaf_agent("memory:", cache_size=cache_size)
        hear(agent, *self.opening)
        return agent

    def deaf_agent(
        self,
        log: str,
        *,
        cache_size: int = CACHE_SIZE,
        open_event_log: Callable[[], EventLog] | None = None,
    ) -> Agent:
        """An agent that trusts this issuer, and has heard nothing yet."""
        with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
            trust = Path(folder) / "trust.json"
            self.trust.save(trust)
            settings = AgentSettings(
                log=log, trust=trust, audience=AUDIENCE, max_staleness=TOKEN_LIFE, cache_size=cache_size
            )
            return Agent(settings, open_event_log=open_event_log)


def hear(agent: Agent, *events: SignedEvent) -> None:
    """Let an agent's verifier apply events, as its follower does.

    Raises:
        RuntimeError: one took no effect.
    """
    for event in events:
        outcome = agent.verifier.apply(event.stream, event.text, received=time.monotonic())
        if outcome != "applied":
            raise RuntimeError(f"an event was {outcome}")
        while agent.verifier.settle():
            pass


def digest_batches(count: int, seed: int = 1) -> Iterator[bytes]:
    """So many digests, of no token, as packed batches; the same for the same seed."""
    source = random.Random(seed)  # noqa: S311 - figures to look up, not secrets
    while count > 0:
        size = min(count, BATCH_LIMIT)
        yield pack_digests(map(TokenDigest, array("Q", source.randbytes(8 * size))))
        count -= size
