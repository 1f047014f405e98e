"""What must hold for every event. An input says how events are made, so that some get past the signature."""

from collections.abc import Callable
from typing import Final

from events import RefusalCode, Revoke, Selector, Stream, pack
from events.records import KNOWN
from tests.simulator import NOON, IssuerSimulator, Listener, b64
from verifier_agent import Outcome, VerificationUnavailable, Verifier

STREAMS: Final = list(Stream)
RECORDS: Final = list(KNOWN)
MAX_EVENTS: Final = 8
SEPARATOR: Final = b"\n\n"


class EventTarget:
    """An issuer that has said something of each kind, and what a listener knew then."""

    def __init__(self) -> None:
        self.issuer = IssuerSimulator()
        self.tokens = [self.issuer.token(sub=name) for name in ("alice", "bob")]
        self.issuer.lift(self.issuer.revoke(Selector.of(sub="alice")))
        self.issuer.revoke_tokens("lift.me.not")
        self.known = Listener.caught_up(self.issuer).verifier.snapshot()
        self.heartbeat = self.issuer.beat()
        self.header = {"alg": self.issuer.event_key.alg, "kid": self.issuer.event_key.kid, "typ": "secevent+jwt"}
        self.next = self.issuer.say(Stream.REVOCATIONS, self.issuer.revoke(Selector()).record)

    def listener(self) -> Listener:
        """One that knows what had been said."""
        listener = Listener(self.issuer)
        listener.verifier.restore(self.known)
        listener.hear(self.heartbeat)
        return listener

    def check(self, data: bytes) -> None:
        """Each event is applied, known or refused; nothing is applied twice; what comes after it takes effect."""
        listener = self.listener()
        for made in data.split(SEPARATOR)[:MAX_EVENTS]:
            stream = STREAMS[made[0] % len(STREAMS)] if made else Stream.KEYS
            maker = MAKERS[made[1] % len(MAKERS)] if len(made) > 1 else _as_it_is
            raw = maker(self, stream, made[2:])
            outcome = listener.hear_raw(stream, raw)
            assert isinstance(outcome, Outcome | RefusalCode)
            assert maker is not _as_it_is or outcome is not Outcome.APPLIED, "an event that the issuer did not sign"
            again = listener.hear_raw(stream, raw)
            assert again is (Outcome.KNOWN if outcome is Outcome.APPLIED else outcome)
        self._check_state(listener)

    def _check_state(self, listener: Listener) -> None:
        snapshot = listener.verifier.snapshot()
        restored = Verifier(self.issuer.trust)
        restored.restore(snapshot)
        assert restored.snapshot() == snapshot
        for token in self.tokens:
            _accepted(listener, token)
        if listener.hear(self.next) == [Outcome.APPLIED] and not self._undone(listener):
            assert not _accepted(listener, self.tokens[0])

    def _undone(self, listener: Listener) -> bool:
        """Whether the input has lifted what is said next, or let the time come at which it is forgotten."""
        state = listener.verifier.state
        assert isinstance(self.next.record, Revoke)
        lifted = {target for target, _ in state.revocations.dump().lifted}
        return self.next.seq in lifted or state.issuer_time >= self.next.record.expires_at


def _accepted(listener: Listener, token: str) -> bool:
    """Whether it is; an old heartbeat in the input may have made the listener stale."""
    try:
        return listener.rejection(token, audience=None) is None
    except VerificationUnavailable:
        return False


def _as_it_is(_: EventTarget, __: Stream, data: bytes) -> bytes:
    return data


def _signed(target: EventTarget, _: Stream, data: bytes) -> bytes:
    """The claims, under a good header."""
    return target.issuer.event_key.jws(target.header, data).encode()


def _record(target: EventTarget, stream: Stream, data: bytes) -> bytes:
    """First a byte for the type and one for the place; then the record, in an event that is good otherwise."""
    kind, place = RECORDS[data[0] % len(RECORDS)] if data else "", data[1] if len(data) > 1 else 0
    seq = pack(1 + place // 128, 1 + place % 128)
    claims = b'{"iss":"%s","iat":%d,"txn":"t","tocsin":{"stream":"%s","seq":%d},"events":{"%s":%s}}' % (
        target.issuer.issuer.encode(),
        int(NOON),
        stream.encode(),
        seq,
        kind.encode(),
        data[2:],
    )
    return target.issuer.event_key.jws(target.header, claims).encode()


def _three_parts(_: EventTarget, __: Stream, data: bytes) -> bytes:
    return ".".join(map(b64, data.split(b"\n", 2))).encode()


MAKERS: Final[list[Callable[[EventTarget, Stream, bytes], bytes]]] = [
    _as_it_is,
    _signed,
    _record,
    _record,
    _three_parts,
]
