"""An issuer in memory: it says what a real one would say, with real signatures, by a clock that tests set."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from msgspec import UNSET

from events import (
    Baseline,
    EventKey,
    EventSigner,
    Heartbeat,
    IssuerTrust,
    KeySet,
    KeyState,
    Lift,
    PublishedKey,
    Record,
    RefusalCode,
    Revoke,
    RevokeDigests,
    Selector,
    SignedEvent,
    Stream,
    StreamHead,
    Succession,
    pack,
    token_digest,
    unpack,
)
from events.digests import pack_digests
from events.log import EventLog
from events.streams import SEQUENCED
from events.succession import succession
from events.thumbprint import thumbprint
from events.trust import ENDING
from verifier_agent import Claims, Outcome, RejectionCode, TokenRejected, VerificationPolicy, Verifier
from verifier_agent.policy import Audience

ISSUER: Final = "https://issuer.example"
AUDIENCE: Final = "orders"
NOON: Final = 1_800_000_000.0
HOUR: Final = 3600.0


class FakeClock:
    """A ``verifier_agent.clocks.Clock`` that stands still until a test moves it."""

    def __init__(self, now: float = NOON, boot: float = 5000.0) -> None:
        self.wall = now
        self.uptime = boot

    def now(self) -> float:
        """Wall clock, seconds since the epoch."""
        return self.wall

    def boot(self) -> float:
        """Boot-time clock, seconds."""
        return self.uptime

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.wall += seconds
        self.uptime += seconds


@dataclass(frozen=True)
class SigningKey:
    """A private key with its name and its one algorithm."""

    kid: str
    alg: str
    private: Any

    def jwk(self, *, private: bool = False) -> dict[str, str]:
        """The key as a JWK with ``kid`` and ``alg``; the public half unless the private one is asked for."""
        key = self.private if private else self.private.public_key()
        members = json.loads(jwt.get_algorithm_by_name(self.alg).to_jwk(key))
        texts = {name: value for name, value in members.items() if isinstance(value, str)}
        return texts | {"kid": self.kid, "alg": self.alg}

    def jws(self, header: Mapping[str, Any], payload: bytes) -> str:
        """A compact JWS with exactly this header, whatever it says."""
        signing_input = f"{b64(json.dumps(header).encode())}.{b64(payload)}"
        signature = jwt.get_algorithm_by_name(self.alg).sign(signing_input.encode(), self.private)
        return f"{signing_input}.{b64(signature)}"

    def published(self, state: KeyState = KeyState.ACTIVE) -> PublishedKey:
        """The key as a key event shows it."""
        return PublishedKey(kid=self.kid, alg=self.alg, state=state, jwk=self.jwk())


def heir_key(alg: str, number: int) -> SigningKey:
    """An event key that succeeds another, named by its thumbprint as it must be; the same one for a number."""
    key = signing_key(alg, f"heir-{number}")
    return SigningKey(thumbprint(key.jwk()), alg, key.private)


@cache
def signing_key(alg: str, kid: str) -> SigningKey:
    """The one key of this name in this test run; RSA keys are slow to make."""
    if alg == "RS256":
        return SigningKey(kid, alg, rsa.generate_private_key(public_exponent=65537, key_size=2048))
    if alg == "EdDSA":
        return SigningKey(kid, alg, ed25519.Ed25519PrivateKey.generate())
    return SigningKey(kid, alg, ec.generate_private_key(ec.SECP256R1()))


def b64(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """What ``b64`` wrote."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class IssuerSimulator:
    """Numbers and signs events, and mints tokens.

    Attributes:
        clock: issuer time, and that of the listeners.
        said: every event on a sequenced stream, in the order in which they were decided.
        keys: token keys as the next key set will show them, by ``kid``.
        key: the token key that signs.
        event_key: signs the events.
        heir: the key that is to succeed it.
        successions: of event keys, so far.
    """

    def __init__(self, issuer: str = ISSUER, *, clock: FakeClock | None = None, alg: str = "ES256") -> None:
        """Open both streams with a baseline and publish one active key."""
        self.issuer = issuer
        self.clock = clock or FakeClock()
        self.alg = alg
        self.event_key = self._pinned = signing_key(alg, "event-key")
        self.heir = self._first_heir = heir_key(alg, 1)
        self.successions: list[SignedEvent] = []
        self.signer = EventSigner(issuer, EventKey(self.event_key.jwk(private=True)))
        self.said: list[SignedEvent] = []
        self.keys: dict[str, PublishedKey] = {}
        self.key = signing_key(alg, f"{alg}-key")
        self._next = {stream: pack(1, 1) for stream in Stream}
        self._minted = 0
        for stream in SEQUENCED:
            self.say(stream, Baseline())
        self.publish_key(self.key)

    @property
    def trust(self) -> IssuerTrust:
        """What agents pin: the first event key, and the thumbprint of its heir."""
        return IssuerTrust(issuer=self.issuer, event_keys=(self._pinned.jwk(),), successor=self._first_heir.kid)

    # -- events

    def say(self, stream: Stream, record: Record, *, time: float | None = None) -> SignedEvent:
        """Decide ``record`` as the next event of ``stream``."""
        seq = self._next[stream]
        event = self.signer.sign(
            stream, seq, record, time=self.clock.now() if time is None else time, txn=f"txn-{len(self.said)}"
        )
        self._next[stream] = seq + 1
        if stream in SEQUENCED:
            self.said.append(event)
        return event

    def publish_key(self, key: SigningKey, state: KeyState = KeyState.ACTIVE) -> SignedEvent:
        """Say the key set with this key in this state; of a revoked or retired key the name alone."""
        gone = state in (KeyState.REVOKED, KeyState.RETIRED)
        self.keys[key.kid] = PublishedKey(kid=key.kid, alg=key.alg, state=state, jwk=None if gone else key.jwk())
        return self.publish_keys()

    def publish_keys(self) -> SignedEvent:
        """Say the key set as it stands in ``keys``."""
        return self.say(Stream.KEYS, KeySet(keys=tuple(self.keys.values())))

    def revoke(
        self, selector: Selector, *, life: float = HOUR, issued_before: float | None = None, time: float | None = None
    ) -> SignedEvent:
        """Revoke what the selector hits; ``life`` seconds on the revocation is forgotten."""
        record = Revoke(selector=selector, expires_at=self.clock.now() + life, issued_before=issued_before)
        return self.say(Stream.REVOCATIONS, record, time=time)

    def revoke_tokens(self, *tokens: str, life: float = HOUR) -> SignedEvent:
        """Revoke tokens one by one."""
        digests = pack_digests(map(token_digest, tokens))
        return self.say(Stream.REVOCATIONS, RevokeDigests(digests=digests, expires_at=self.clock.now() + life))

    def lift(self, event: SignedEvent) -> SignedEvent:
        """Take one revocation back."""
        assert isinstance(event.record, Revoke | RevokeDigests)
        return self.say(Stream.REVOCATIONS, Lift(target=event.seq, expires_at=event.record.expires_at))

    def succession(self, *, stolen: bool = False, **changes: Any) -> Succession:
        """The record by which the heir succeeds the event key now, countersigned; ``changes`` are what it is to say."""
        ends = {str(stream): self._next[stream] - (stream is not Stream.KEYS) for stream in ENDING}
        said: dict[str, Any] = {
            "predecessor": self.event_key.jwk(),
            "successor": EventKey(self.heir.jwk(private=True)),
            "heir": heir_key(self.alg, len(self.successions) + 2).kid,
            "ends": ends,
            "time": self.clock.now(),
        }
        return succession(self.issuer, **said | changes, stolen=stolen)

    def succeed(self, *, stolen: bool = False) -> SignedEvent:
        """Have the heir sign from now on, and say the key set again."""
        event = self.say(Stream.KEYS, self.succession(stolen=stolen))
        self.successions.append(event)
        self.event_key, self.heir = self.heir, heir_key(self.alg, len(self.successions) + 1)
        self.signer = EventSigner(self.issuer, EventKey(self.event_key.jwk(private=True)))
        self.publish_keys()
        return event

    def open_incarnation(self, follows: Mapping[Stream, SignedEvent] = MappingProxyType({})) -> list[SignedEvent]:
        """Go on in the next incarnation, as after a recovery: after what is named, or else after everything."""
        baselines = []
        for stream in SEQUENCED:
            head = follows.get(stream) or self._head(stream)
            self._next[stream] = pack(unpack(self._next[stream])[0] + 1, 1)
            baselines.append(self.say(stream, Baseline(follows=head.seq, follows_digest=head.digest)))
        self._next[Stream.HEARTBEATS] = pack(unpack(self._next[Stream.HEARTBEATS])[0] + 1, 1)
        return baselines

    def beat(self) -> SignedEvent:
        """A heartbeat with the heads and floors of this moment."""
        heads = {
            str(stream): StreamHead(head=head.seq, digest=head.digest, floor=self._floor(stream))
            for stream, head in ((stream, self._head(stream)) for stream in SEQUENCED)
        }
        return self.say(Stream.HEARTBEATS, Heartbeat(time=self.clock.now(), heads=heads))

    def sign(self, stream: Stream, seq: int, record: Record) -> SignedEvent:
        """An event in a place of the test's choice; the simulator does not remember it."""
        return self.signer.sign(stream, seq, record, time=self.clock.now(), txn="txn")

    def _head(self, stream: Stream) -> SignedEvent:
        return next(event for event in reversed(self.said) if event.stream is stream)

    def _floor(self, stream: Stream) -> int:
        live = [event.seq for event in self.said if event.stream is stream and self._lives(event)]
        if stream is Stream.KEYS:
            live = live[-1:]
        return live[0] if live else self._head(stream).seq + 1

    def _lives(self, event: SignedEvent) -> bool:
        match event.record:
            case Revoke(expires_at=end) | RevokeDigests(expires_at=end) | Lift(expires_at=end):
                return end > self.clock.now()
            case KeySet():
                return True
            case _:
                return False

    # -- tokens

    def token(
        self,
        members: Mapping[str, Any] = MappingProxyType({}),
        /,
        *,
        key: SigningKey | None = None,
        header: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """An access token (RFC 9068). Members given here replace the usual ones; ``None`` leaves one out.

        ``members`` is for claims whose names are arbitrary, and might be those of the parameters.
        """
        key = key or self.key
        self._minted += 1
        now = int(self.clock.now())
        usual = {
            "iss": self.issuer,
            "sub": "alice",
            "aud": AUDIENCE,
            "client_id": "web",
            "iat": now,
            "exp": now + 600,
            "jti": f"token-{self._minted}",
            "scope": "orders:read orders:write",
            "rsq": self._next[Stream.REVOCATIONS] - 1,
        }
        return key.jws(
            _without_none({"alg": key.alg, "kid": key.kid, "typ": "at+jwt"} | dict(header or {})),
            json.dumps(_without_none(usual | dict(members) | claims)).encode(),
        )


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


class Listener:
    """A verifier that shares the clock of a simulated issuer."""

    def __init__(self, issuer: IssuerSimulator, policy: VerificationPolicy | None = None) -> None:
        """Start knowing nothing."""
        self.issuer = issuer
        self.clock = issuer.clock
        self.verifier = Verifier(issuer.trust, policy or VerificationPolicy(audience=AUDIENCE))

    @classmethod
    def caught_up(cls, issuer: IssuerSimulator, policy: VerificationPolicy | None = None) -> "Listener":
        """One that has heard everything."""
        listener = cls(issuer, policy)
        listener.catch_up()
        return listener

    def catch_up(self) -> None:
        """Hear everything said so far, and then a heartbeat."""
        self.hear(*self.issuer.said, self.issuer.beat())

    def hear(self, *events: SignedEvent) -> list[Outcome | RefusalCode]:
        """What became of each event, heard on its own stream."""
        return [self.hear_raw(event.stream, event.text) for event in events]

    def hear_raw(self, stream: Stream, text: bytes) -> Outcome | RefusalCode:
        """What became of an event as it stands in a log."""
        return self.verifier.apply(stream, text, received=self.clock.boot())

    def verify(
        self,
        token: str,
        *,
        audience: Audience = UNSET,
        scope: str | None = None,
        max_staleness: float | None = None,
    ) -> Claims:
        """As ``Verifier.verify``, at this moment."""
        now, boot = self.clock.now(), self.clock.boot()
        return self.verifier.verify(
            token, now=now, boot=boot, audience=audience, scope=scope, max_staleness=max_staleness
        )

    def rejection(self, token: str, *, audience: Audience = UNSET, scope: str | None = None) -> RejectionCode | None:
        """Why the token is rejected; ``None`` when it is accepted."""
        try:
            self.verify(token, audience=audience, scope=scope)
        except TokenRejected as rejected:
            return rejected.code
        return None

    @property
    def freshness(self) -> float | None:
        """Seconds since everything was known."""
        return self.verifier.freshness(self.clock.now(), self.clock.boot())


async def publish(event_log: EventLog, *events: SignedEvent) -> None:
    """Append events to their streams."""
    for event in events:
        await event_log.append(event.stream, [event.text])
