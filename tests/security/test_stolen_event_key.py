"""What a thief of an event key attempts, before and after another has succeeded it; and a thief of the offline one."""

from hashlib import sha256

import msgspec
import pytest

from events import (
    Baseline,
    EventKey,
    EventSigner,
    Heartbeat,
    IssuerTrust,
    KeySet,
    KeyState,
    Lift,
    RefusalCode,
    Revoke,
    Selector,
    Snapshot,
    Stream,
    StreamHead,
    pack,
)
from events.opened_once import OpenedOnce
from events.streams import SEQUENCED
from events.trust import ENDING
from tests.sealed import sealed_snapshot
from tests.simulator import AUDIENCE, HOUR, NOON, IssuerSimulator, Listener, SigningKey, heir_key
from verifier_agent import Outcome, RejectionCode, VerificationPolicy, VerificationUnavailable, Verifier
from verifier_agent.errors import SnapshotInvalid
from verifier_agent.saved import SealedSnapshot

ACCOMPLICE = heir_key("ES256", 500)
FAR = pack(1, 1 << 39)


class Thief:
    """Has the event key of the moment at which he came."""

    def __init__(self, issuer: IssuerSimulator) -> None:
        self.issuer = issuer
        self.key = issuer.event_key
        self._signer = EventSigner(issuer.issuer, EventKey(self.key.jwk(private=True)))

    def say(
        self,
        stream: Stream,
        seq: int,
        record: Revoke | Lift | KeySet | Heartbeat | Baseline | Snapshot,
        time: float = NOON,
    ) -> bytes:
        """Anything, anywhere."""
        return self._signer.sign(stream, seq, record, time=time, txn="t").text

    def appoint(self, heir: SigningKey) -> bytes:
        """A succession by an heir of his own."""
        record = self.issuer.succession(successor=EventKey(heir.jwk(private=True)), heir=ACCOMPLICE.kid)
        return self._signer.sign(Stream.KEYS, record.ends[Stream.KEYS], record, time=NOON, txn="t").text

    def beat(self, seq: int, time: float = NOON) -> bytes:
        """A heartbeat that calls everything complete."""
        heads = {str(stream): StreamHead(head=1, digest="", floor=FAR) for stream in SEQUENCED}
        return self.say(Stream.HEARTBEATS, seq, Heartbeat(time=time, heads=heads), time)


@pytest.fixture
def thief(issuer: IssuerSimulator) -> Thief:
    return Thief(issuer)


@pytest.fixture
def revoked(issuer: IssuerSimulator, listener: Listener) -> str:
    """A token that is revoked, and the agent knows it."""
    token = issuer.token(sub="mallory")
    issuer.revoke(Selector.of(sub="mallory"))
    listener.catch_up()
    assert listener.rejection(token) is RejectionCode.REVOKED
    return token


# -- an heir


def test_thief_appoints_an_heir_of_his_own(listener: Listener, thief: Thief) -> None:
    assert listener.hear_raw(Stream.KEYS, thief.appoint(ACCOMPLICE)) is RefusalCode.BAD_SUCCESSION
    assert listener.verifier.event_keys.generation == 0


def test_thief_appoints_the_stolen_key_itself_to_escape_its_end(
    issuer: IssuerSimulator, listener: Listener, thief: Thief
) -> None:
    assert listener.hear_raw(Stream.KEYS, thief.appoint(issuer.event_key)) is RefusalCode.BAD_SUCCESSION


def test_thief_moves_the_end_of_a_genuine_succession(issuer: IssuerSimulator, listener: Listener, thief: Thief) -> None:
    genuine = issuer.succession()
    longer = msgspec.structs.replace(genuine, ends=dict.fromkeys(ENDING, FAR))
    raw = thief._signer.sign(Stream.KEYS, FAR, longer, time=NOON, txn="t").text

    assert listener.hear_raw(Stream.KEYS, raw) is RefusalCode.BAD_SUCCESSION


def test_thief_names_another_heir_in_a_genuine_succession(
    issuer: IssuerSimulator, listener: Listener, thief: Thief
) -> None:
    genuine = issuer.succession()
    raw = thief._signer.sign(
        Stream.KEYS, genuine.ends["keys"], msgspec.structs.replace(genuine, heir=ACCOMPLICE.kid), time=NOON, txn="t"
    ).text

    assert listener.hear_raw(Stream.KEYS, raw) is RefusalCode.BAD_SUCCESSION


def test_thief_uses_the_counter_signature_of_another_issuer(
    issuer: IssuerSimulator, listener: Listener, thief: Thief
) -> None:
    elsewhere = IssuerSimulator("https://elsewhere.example", clock=issuer.clock)
    elsewhere.event_key, elsewhere.heir = issuer.event_key, issuer.heir
    record = elsewhere.succession(ends=issuer.succession().ends)
    raw = thief._signer.sign(Stream.KEYS, record.ends["keys"], record, time=NOON, txn="t").text

    assert listener.hear_raw(Stream.KEYS, raw) is RefusalCode.BAD_SUCCESSION


def test_thief_of_the_offline_key_takes_over_in_silence(issuer: IssuerSimulator, listener: Listener) -> None:
    record = issuer.succession()
    signer = EventSigner(issuer.issuer, EventKey(issuer.heir.jwk(private=True)))
    raw = signer.sign(Stream.KEYS, record.ends["keys"], record, time=NOON, txn="t").text

    assert listener.hear_raw(Stream.KEYS, raw) is RefusalCode.UNKNOWN_KEY
    later = signer.sign(
        Stream.REVOCATIONS, FAR, Revoke(selector=Selector(), expires_at=NOON + HOUR), time=NOON, txn="t"
    )
    assert listener.hear(later) == [RefusalCode.UNKNOWN_KEY]


def test_thief_of_an_ended_key_appoints_another_heir(issuer: IssuerSimulator, listener: Listener, thief: Thief) -> None:
    raw = thief.appoint(ACCOMPLICE)
    issuer.succeed()
    listener.catch_up()

    assert listener.hear_raw(Stream.KEYS, raw) is RefusalCode.BAD_SUCCESSION
    assert not listener.verifier.state.forks()
    assert listener.freshness == 0.0


def test_thief_cuts_the_chain_and_begins_one_of_his_own(issuer: IssuerSimulator, thief: Thief) -> None:
    snapshot = sealed_snapshot(issuer)
    forged = SealedSnapshot(thief.appoint(ACCOMPLICE) + b" " + snapshot.seal, snapshot.data)
    listener = Listener(issuer)

    listener.verifier.restore_sealed(forged, now=NOON, boot=5000.0, max_age=60.0)

    assert listener.verifier.event_keys.generation == 0


# -- the present, after the end


def test_thief_lifts_and_revokes_after_the_end(
    issuer: IssuerSimulator, listener: Listener, thief: Thief, revoked: str
) -> None:
    good, target = issuer.token(), issuer.said[-1].seq
    issuer.succeed()
    listener.catch_up()
    for seq in (target + 1, target + 500, FAR, pack(2, 1), pack(8000, 1)):
        for record in (
            Lift(target=target, expires_at=NOON + HOUR),
            Revoke(selector=Selector(), expires_at=NOON + HOUR),
        ):
            assert listener.hear_raw(Stream.REVOCATIONS, thief.say(Stream.REVOCATIONS, seq, record)) is (
                RefusalCode.KEY_ENDED
            )

    assert listener.rejection(revoked) is RejectionCode.REVOKED
    assert listener.rejection(good) is None
    assert listener.freshness == 0.0


def test_thief_publishes_a_token_key_after_the_end(issuer: IssuerSimulator, listener: Listener, thief: Thief) -> None:
    issuer.succeed()
    listener.catch_up()
    mine = KeySet(keys=(ACCOMPLICE.published(),))

    assert listener.hear_raw(Stream.KEYS, thief.say(Stream.KEYS, FAR, mine)) is RefusalCode.KEY_ENDED
    assert listener.rejection(issuer.token(key=ACCOMPLICE)) is RejectionCode.UNKNOWN_KEY


def test_thief_abandons_everything_by_a_baseline_after_the_end(
    issuer: IssuerSimulator, listener: Listener, thief: Thief, revoked: str
) -> None:
    issuer.succeed()
    listener.catch_up()
    raw = thief.say(Stream.REVOCATIONS, pack(9, 1), Baseline())

    assert listener.hear_raw(Stream.REVOCATIONS, raw) is RefusalCode.KEY_ENDED
    assert listener.rejection(revoked) is RejectionCode.REVOKED


def test_thief_goes_on_beating_so_that_a_silenced_agent_looks_fresh(
    issuer: IssuerSimulator, listener: Listener, thief: Thief
) -> None:
    beat = issuer.beat()
    issuer.succeed()
    listener.catch_up()
    issuer.clock.advance(60)
    now = issuer.clock.now()
    for raw in (beat.text, thief.beat(beat.seq, now), thief.beat(FAR, now)):
        assert listener.hear_raw(Stream.HEARTBEATS, raw) is RefusalCode.KEY_ENDED
    assert listener.freshness == 60.0


def test_thief_seals_a_snapshot_after_the_end(issuer: IssuerSimulator, listener: Listener, thief: Thief) -> None:
    data = Verifier(issuer.trust, VerificationPolicy(audience=AUDIENCE)).snapshot()
    heads = {str(stream): StreamHead(head=1, digest="", floor=FAR) for stream in SEQUENCED}
    seal = Snapshot(sha256=sha256(data).hexdigest(), size=len(data), time=NOON, heads=heads)
    forged = SealedSnapshot(thief.say(Stream.HEARTBEATS, FAR, seal), data)
    issuer.succeed()
    listener.catch_up()

    with pytest.raises(SnapshotInvalid, match="key_ended"):
        listener.verifier.restore_sealed(forged, now=NOON, boot=5000.0, max_age=60.0)


# -- the past


def test_thief_puts_another_event_under_a_number_that_was_applied(
    issuer: IssuerSimulator, listener: Listener, thief: Thief, revoked: str
) -> None:
    decided = issuer.said[-1].seq
    issuer.succeed()
    listener.catch_up()
    raw = thief.say(Stream.REVOCATIONS, decided, Lift(target=decided, expires_at=NOON + HOUR))

    assert listener.hear_raw(Stream.REVOCATIONS, raw) is RefusalCode.FORKED
    assert listener.rejection(revoked) is RejectionCode.REVOKED
    issuer._next[Stream.REVOCATIONS] = pack(2, 1)  # as `tocsin recover --force` does
    issuer.say(Stream.REVOCATIONS, Baseline())
    issuer.revoke(Selector.of(sub="mallory"))
    listener.catch_up()
    assert not listener.verifier.state.forks()
    assert listener.hear_raw(Stream.REVOCATIONS, raw) is Outcome.KNOWN
    assert listener.rejection(revoked) is RejectionCode.REVOKED


def test_thief_names_the_issuers_keys_as_revoked_by_an_old_number(
    issuer: IssuerSimulator, listener: Listener, thief: Thief
) -> None:
    numbers = [event.seq for event in issuer.said if event.stream is Stream.KEYS]
    issuer.succeed()
    issuer.clock.advance(1)
    newcomer, silenced = Listener(issuer), Listener(issuer)
    newcomer.hear(*issuer.successions, issuer.said[-1], issuer.beat())
    silenced.hear(*issuer.successions, issuer.said[-1])  # to whom these numbers are new
    for who in (listener, newcomer, silenced):
        for seq in numbers:
            gone = KeySet(keys=(issuer.key.published(KeyState.REVOKED),))
            who.hear_raw(Stream.KEYS, thief.say(Stream.KEYS, seq, gone))
    for who in (newcomer, silenced):
        who.catch_up()
        assert who.rejection(issuer.token()) is None


def test_thief_has_an_agent_abandon_what_lies_below_the_floor(issuer: IssuerSimulator, thief: Thief) -> None:
    for number in range(5):
        issuer.revoke(Selector.of(sub=f"user-{number}"), life=60)
    issuer.succeed()
    issuer.clock.advance(120)
    newcomer = Listener(issuer)
    newcomer.hear(*issuer.successions, issuer.said[-1], issuer.beat())
    before = newcomer.verifier.snapshot()
    raw = thief.say(Stream.REVOCATIONS, pack(1, 4), Baseline())

    assert newcomer.hear_raw(Stream.REVOCATIONS, raw) is Outcome.KNOWN
    assert newcomer.verifier.snapshot() == before


def test_thief_relies_on_what_another_agent_of_the_process_has_opened(issuer: IssuerSimulator, thief: Thief) -> None:
    opener = OpenedOnce(issuer.trust)
    one, other = (Verifier(issuer.trust, VerificationPolicy(audience=AUDIENCE), opener=opener) for _ in range(2))
    raw = thief.say(Stream.REVOCATIONS, FAR, Revoke(selector=Selector(), expires_at=NOON + HOUR))
    assert one.apply(Stream.REVOCATIONS, raw) is Outcome.APPLIED
    one.apply(Stream.KEYS, issuer.succeed().text)

    assert other.apply(Stream.REVOCATIONS, raw) is RefusalCode.KEY_ENDED


def test_thief_says_the_past_in_the_name_of_the_next_key(
    issuer: IssuerSimulator, listener: Listener, revoked: str
) -> None:
    decided = issuer.said[-1].seq
    issuer.succeed()
    later = Thief(issuer)  # this time it is the new key that is stolen
    newcomer = Listener(issuer)
    newcomer.hear(*issuer.successions)
    raw = later.say(Stream.REVOCATIONS, decided, Lift(target=decided, expires_at=NOON + HOUR))

    assert newcomer.hear_raw(Stream.REVOCATIONS, raw) is RefusalCode.KEY_TOO_EARLY


# -- the present, before the end: it is undone


def undone(issuer: IssuerSimulator, listener: Listener, *, stolen: bool = False) -> None:
    """The owner ends the key, and the agent hears all of it."""
    issuer.succeed(stolen=stolen)
    listener.hear(*issuer.successions)
    assert listener.verifier.state.begun_anew == 1
    listener.catch_up()
    assert listener.freshness == 0.0
    assert not listener.verifier.state.forks()


def test_thief_lifts_before_the_end(issuer: IssuerSimulator, listener: Listener, thief: Thief, revoked: str) -> None:
    target = issuer.said[-1].seq
    listener.hear_raw(
        Stream.REVOCATIONS, thief.say(Stream.REVOCATIONS, FAR, Lift(target=target, expires_at=NOON + HOUR))
    )
    assert listener.rejection(revoked) is None

    undone(issuer, listener)
    assert listener.rejection(revoked) is RejectionCode.REVOKED


def test_thief_revokes_everything_before_the_end(issuer: IssuerSimulator, listener: Listener, thief: Thief) -> None:
    raw = thief.say(Stream.REVOCATIONS, FAR, Revoke(selector=Selector(), expires_at=NOON + HOUR))
    listener.hear_raw(Stream.REVOCATIONS, raw)
    assert listener.rejection(issuer.token()) is RejectionCode.REVOKED

    undone(issuer, listener)
    assert listener.rejection(issuer.token()) is None


def test_thief_publishes_a_token_key_before_the_end(issuer: IssuerSimulator, listener: Listener, thief: Thief) -> None:
    mine = KeySet(keys=(ACCOMPLICE.published(), issuer.key.published(KeyState.REVOKED)))
    listener.hear_raw(Stream.KEYS, thief.say(Stream.KEYS, FAR, mine))
    forged = issuer.token(key=ACCOMPLICE)
    assert listener.rejection(forged) is None

    issuer.succeed()
    listener.hear(*issuer.successions)
    with pytest.raises(VerificationUnavailable):  # not for a moment longer
        listener.verify(forged, max_staleness=float("inf"))
    listener.catch_up()
    assert listener.rejection(forged) is RejectionCode.UNKNOWN_KEY
    assert listener.rejection(issuer.token()) is None


def test_thief_beats_for_next_year_so_that_agents_forget(
    issuer: IssuerSimulator, listener: Listener, thief: Thief, revoked: str
) -> None:
    issuer.beat()
    beat = thief.beat(issuer._next[Stream.HEARTBEATS], NOON + 365 * 86400)
    issuer.beat()  # its number is the issuer's own, too
    listener.hear_raw(Stream.HEARTBEATS, beat)
    assert listener.rejection(revoked) is None

    undone(issuer, listener)
    assert listener.rejection(revoked) is RejectionCode.REVOKED


def test_thief_uses_up_the_numbers_of_heartbeats(issuer: IssuerSimulator, listener: Listener, thief: Thief) -> None:
    listener.hear_raw(Stream.HEARTBEATS, thief.beat(FAR))
    assert listener.hear(issuer.beat()) == [RefusalCode.ROLLED_BACK]

    undone(issuer, listener)


def test_thief_forges_below_the_end_and_the_owner_says_stolen(
    issuer: IssuerSimulator, listener: Listener, thief: Thief, revoked: str
) -> None:
    target = issuer.said[-1].seq
    forged = thief.say(Stream.REVOCATIONS, target + 1, Lift(target=target, expires_at=NOON + HOUR))
    listener.hear_raw(Stream.REVOCATIONS, forged)
    assert listener.rejection(revoked) is None
    issuer.revoke(Selector.of(sub="somebody"))  # takes the number that the thief has used, too

    undone(issuer, listener, stolen=True)
    assert listener.rejection(revoked) is RejectionCode.REVOKED


def test_thief_gives_the_next_revocation_an_early_end(
    issuer: IssuerSimulator, listener: Listener, thief: Thief
) -> None:
    token, selector = issuer.token(sub="mallory"), Selector.of(sub="mallory")
    short = thief.say(
        Stream.REVOCATIONS, issuer._next[Stream.REVOCATIONS], Revoke(selector=selector, expires_at=NOON + 30)
    )
    assert listener.hear_raw(Stream.REVOCATIONS, short) is Outcome.APPLIED
    issuer.revoke(selector)

    undone(issuer, listener, stolen=True)
    issuer.clock.advance(60)
    listener.hear(issuer.beat())
    assert listener.rejection(token) is RejectionCode.REVOKED


def test_who_has_both_keys_forks_the_chain_in_what_comes_with_a_snapshot(
    issuer: IssuerSimulator, listener: Listener
) -> None:
    other = issuer.succession(reason="another")
    signer = EventSigner(issuer.issuer, EventKey(issuer.event_key.jwk(private=True)))
    fork = signer.sign(Stream.KEYS, other.ends[Stream.KEYS], other, time=NOON, txn="t").text
    issuer.succeed()
    listener.catch_up()
    snapshot = sealed_snapshot(issuer)

    listener.verifier.restore_sealed(
        SealedSnapshot(fork + b" " + snapshot.seal, snapshot.data), now=NOON, boot=5000.0, max_age=60.0
    )
    assert "succeeded twice" in listener.verifier.state.forks()[0]
    assert not listener.verifier.state.complete(Heartbeat(time=NOON, heads={}))


def test_an_agent_that_is_set_up_after_a_theft_takes_nothing_of_the_thief(
    issuer: IssuerSimulator, listener: Listener, thief: Thief
) -> None:
    issuer.succeed(stolen=True)
    listener.catch_up()
    trust = listener.verifier.event_keys.trust()
    verifier = Verifier(trust, VerificationPolicy(audience=AUDIENCE))

    assert isinstance(trust, IssuerTrust)
    assert verifier.apply(Stream.HEARTBEATS, thief.beat(FAR)) is RefusalCode.KEY_ENDED
    raw = thief.say(Stream.REVOCATIONS, FAR, Revoke(selector=Selector(), expires_at=NOON + HOUR))
    assert verifier.apply(Stream.REVOCATIONS, raw) is RefusalCode.KEY_ENDED
