"""The chain of event keys: which key may have signed what, in whatever order that is heard."""

from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import (
    EventKey,
    EventOpener,
    EventRefused,
    EventSigner,
    IssuerTrust,
    RefusalCode,
    Revoke,
    Selector,
    SignedEvent,
    Stream,
    Succession,
    base64url,
    pack,
)
from events.records import Heartbeat
from events.streams import FOLLOWED, SEQUENCED
from events.trust import ENDING, MOST_KEYS
from tests.simulator import NOON, IssuerSimulator, SigningKey, heir_key, signing_key

EVERYTHING = Revoke(selector=Selector(), expires_at=NOON + 60)
STRANGER = heir_key("ES256", 1000)


@pytest.fixture
def issuer() -> IssuerSimulator:
    return IssuerSimulator()


@pytest.fixture
def opener(issuer: IssuerSimulator) -> EventOpener:
    return EventOpener(issuer.trust)


def opened(opener: EventOpener, event: SignedEvent) -> str:
    """Why an event is refused, or ``good``."""
    try:
        opener.open(event.text, event.stream)
    except EventRefused as refused:
        return refused.code
    return "good"


def by(key: SigningKey, stream: Stream, seq: int, record: Any = EVERYTHING) -> SignedEvent:
    """An event in a place of the test's choice."""
    signer = EventSigner("https://issuer.example", EventKey(key.jwk(private=True)))
    return signer.sign(stream, seq, record, time=NOON, txn="t")


def test_the_heir_signs_from_the_succession_on(issuer: IssuerSimulator, opener: EventOpener) -> None:
    before = issuer.revoke(Selector.of(sub="alice"))
    first, event = issuer.event_key, issuer.succeed()
    after = issuer.revoke(Selector.of(sub="bob"))

    assert opened(opener, after) is RefusalCode.UNKNOWN_KEY
    assert opened(opener, event) == "good"
    assert [opened(opener, each) for each in (after, before, issuer.beat(), event)] == ["good"] * 4
    assert [link.kid for link in opener.keys.links] == [first.kid, issuer.event_key.kid]
    assert opener.keys.heir == issuer.heir.kid


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256"])
def test_every_algorithm_may_succeed(alg: str) -> None:
    issuer = IssuerSimulator(alg=alg)
    opener = EventOpener(issuer.trust)

    assert opened(opener, issuer.succeed()) == "good"
    assert opened(opener, issuer.beat()) == "good"


def test_the_old_key_may_not_sign_above_its_end(issuer: IssuerSimulator, opener: EventOpener) -> None:
    old, last = issuer.event_key, issuer.revoke(Selector.of(sub="alice"))
    event = issuer.succeed()
    opened(opener, event)

    assert opened(opener, by(old, Stream.REVOCATIONS, last.seq)) == "good"
    assert opened(opener, by(old, Stream.REVOCATIONS, last.seq + 1)) is RefusalCode.KEY_ENDED
    assert opened(opener, by(old, Stream.REVOCATIONS, pack(2, 1))) is RefusalCode.KEY_ENDED


def test_the_new_key_may_not_sign_at_or_below_the_end_of_the_old_one(
    issuer: IssuerSimulator, opener: EventOpener
) -> None:
    last = issuer.revoke(Selector.of(sub="alice"))
    opened(opener, issuer.succeed())

    assert opened(opener, by(issuer.event_key, Stream.REVOCATIONS, last.seq)) is RefusalCode.KEY_TOO_EARLY
    assert opened(opener, by(issuer.event_key, Stream.REVOCATIONS, last.seq + 1)) == "good"


def test_heartbeats_of_the_old_key_end_with_it(issuer: IssuerSimulator, opener: EventOpener) -> None:
    beat = issuer.beat()
    assert opened(opener, beat) == "good"

    opened(opener, issuer.succeed())

    assert opened(opener, beat) is RefusalCode.KEY_ENDED
    assert opened(opener, issuer.beat()) == "good"


def test_an_event_that_ended_keys_have_signed_is_known_as_such(issuer: IssuerSimulator, opener: EventOpener) -> None:
    revoked = issuer.revoke(Selector.of(sub="alice"))
    event = issuer.succeed()

    assert not opener.open(event.text, Stream.KEYS).has_ended
    assert opener.open(revoked.text, Stream.REVOCATIONS).has_ended
    assert not opener.open(issuer.beat().text, Stream.HEARTBEATS).has_ended


def test_several_successions_are_taken_in_their_order(issuer: IssuerSimulator, opener: EventOpener) -> None:
    events = [issuer.succeed() for _ in range(3)]

    assert opened(opener, events[2]) is RefusalCode.UNKNOWN_KEY
    assert [opened(opener, event) for event in events] == ["good"] * 3
    assert [record.heir for record in opener.keys.since(1)] == [event.record.heir for event in events[1:]]  # type: ignore[attr-defined]
    assert opener.keys.since(3) == []


def test_without_a_pinned_successor_nothing_succeeds(issuer: IssuerSimulator) -> None:
    opener = EventOpener(msgspec.structs.replace(issuer.trust, successor=""))

    assert opened(opener, issuer.succeed()) is RefusalCode.BAD_SUCCESSION
    assert opener.keys.generation == 0


# -- what must not be a succession


def test_one_by_the_old_key_alone_is_refused(issuer: IssuerSimulator, opener: EventOpener) -> None:
    record = issuer.succession(successor=EventKey(STRANGER.jwk(private=True)))

    assert opened(opener, issuer.say(Stream.KEYS, record)) is RefusalCode.BAD_SUCCESSION


def test_one_with_the_counter_signature_of_another_key_is_refused(issuer: IssuerSimulator, opener: EventOpener) -> None:
    forged = issuer.succession(successor=EventKey(STRANGER.jwk(private=True)))
    record = msgspec.structs.replace(issuer.succession(), counter_signature=forged.counter_signature)

    assert opened(opener, issuer.say(Stream.KEYS, record)) is RefusalCode.BAD_SUCCESSION


def test_one_by_the_new_key_alone_is_refused(issuer: IssuerSimulator, opener: EventOpener) -> None:
    record = issuer.succession()

    assert opened(opener, by(issuer.heir, Stream.KEYS, record.ends["keys"], record)) is RefusalCode.UNKNOWN_KEY


@pytest.mark.parametrize(
    "changes",
    [
        {"heir": STRANGER.kid},
        {"time": NOON - 1},
        {"stolen": True},
        {"predecessor": STRANGER.kid},
        {"ends": dict.fromkeys(ENDING, pack(1, 500))},
        {"jwk": STRANGER.jwk()},
        {"counter_signature": ""},
        {"counter_signature": "a.b.c"},
    ],
)
def test_one_that_says_something_else_than_the_new_key_signed_is_refused(
    issuer: IssuerSimulator, opener: EventOpener, changes: dict[str, Any]
) -> None:
    record = msgspec.structs.replace(issuer.succession(), **changes)

    assert opened(opener, issuer.say(Stream.KEYS, record)) is RefusalCode.BAD_SUCCESSION
    assert opener.keys.generation == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"heir": "short"},
        {"ends": {"keys": pack(1, 3), "revocations": pack(1, 1)}},
        {"ends": {"keys": pack(1, 4), "revocations": pack(1, 1), "heartbeats": 0}},
        {"ends": {"keys": pack(1, 3), "revocations": -1, "heartbeats": 0}},
        {"ends": {"keys": pack(1, 3), "revocations": 1 << 60, "heartbeats": 0}},
        {"predecessor": STRANGER.jwk()},
        {"successor": EventKey(signing_key("ES256", "heir-1").jwk(private=True))},  # not named by its thumbprint
    ],
)
def test_one_that_both_keys_signed_and_makes_no_sense_is_refused(
    issuer: IssuerSimulator, opener: EventOpener, changes: dict[str, Any]
) -> None:
    event = issuer.say(Stream.KEYS, issuer.succession(**changes))

    assert opened(opener, event) is RefusalCode.BAD_SUCCESSION
    assert opener.keys.generation == 0


def test_one_that_was_moved_to_another_number_is_refused(issuer: IssuerSimulator, opener: EventOpener) -> None:
    record = issuer.succession()

    assert opened(opener, issuer.sign(Stream.KEYS, pack(1, 9), record)) is RefusalCode.BAD_SUCCESSION


def test_a_counter_signature_is_no_event_and_an_event_no_counter_signature(
    issuer: IssuerSimulator, opener: EventOpener
) -> None:
    record = issuer.succession()
    with pytest.raises(EventRefused) as refused:
        opener.open(record.counter_signature.encode(), Stream.KEYS)
    assert refused.value.code is RefusalCode.WRONG_TYPE

    resigned = EventKey(issuer.heir.jwk(private=True)).sign(b"{}").decode()
    event = issuer.say(Stream.KEYS, msgspec.structs.replace(record, counter_signature=resigned))
    assert opened(opener, event) is RefusalCode.BAD_SUCCESSION


def test_a_key_that_was_there_before_does_not_come_back(issuer: IssuerSimulator) -> None:
    named = heir_key("ES256", 77)
    opener = EventOpener(IssuerTrust(issuer=issuer.issuer, event_keys=(named.jwk(),), successor=named.kid))
    issuer.event_key = issuer.heir = named
    issuer.signer = EventSigner(issuer.issuer, EventKey(named.jwk(private=True)))

    assert opened(opener, issuer.say(Stream.KEYS, issuer.succession())) is RefusalCode.BAD_SUCCESSION


# -- forks and replays


def test_of_two_successions_of_one_key_the_first_stays_and_the_second_is_a_fork(
    issuer: IssuerSimulator, opener: EventOpener
) -> None:
    other = issuer.sign(Stream.KEYS, pack(1, 9), issuer.succession(ends=dict.fromkeys(ENDING, pack(1, 9))))
    first = issuer.succeed()

    assert opened(opener, first) == "good"
    assert opened(opener, other) is RefusalCode.FORKED
    assert opener.keys.fork == "event key event-key was succeeded twice"
    assert [link.kid for link in opener.keys.links] == ["event-key", issuer.event_key.kid]
    assert opener.keys.links[0].ends == first.record.ends  # type: ignore[attr-defined]


def test_what_a_thief_appoints_after_the_succession_is_no_fork(issuer: IssuerSimulator, opener: EventOpener) -> None:
    record = issuer.succession(successor=EventKey(STRANGER.jwk(private=True)))
    forged = by(issuer.event_key, Stream.KEYS, record.ends["keys"], record)
    opened(opener, issuer.succeed())

    assert opened(opener, forged) is RefusalCode.BAD_SUCCESSION
    assert opener.keys.fork is None


def test_a_succession_that_is_replayed_changes_nothing(issuer: IssuerSimulator, opener: EventOpener) -> None:
    events = [issuer.succeed() for _ in range(2)]

    assert [opened(opener, event) for event in events * 2] == ["good"] * 4
    assert opener.keys.generation == 2


def test_the_chain_has_a_bound(issuer: IssuerSimulator, opener: EventOpener) -> None:
    events = [issuer.succeed() for _ in range(MOST_KEYS)]

    assert [opened(opener, event) for event in events[:-1]] == ["good"] * (MOST_KEYS - 1)
    assert opened(opener, events[-1]) is RefusalCode.BAD_SUCCESSION


# -- what is pinned


def test_a_trust_file_written_from_a_chain_pins_all_of_it(issuer: IssuerSimulator, opener: EventOpener) -> None:
    old, revoked = issuer.event_key, issuer.revoke(Selector.of(sub="alice"))
    event = issuer.succeed()
    opened(opener, event)

    anew = EventOpener(msgspec.json.decode(msgspec.json.encode(opener.keys.trust()), type=IssuerTrust))

    assert [opened(anew, each) for each in (revoked, event, issuer.beat(), issuer.succeed())] == ["good"] * 4
    assert opened(anew, by(old, Stream.REVOCATIONS, revoked.seq + 1)) is RefusalCode.KEY_ENDED
    assert anew.keys.generation == 2


def test_a_succession_that_says_something_else_than_is_pinned_is_a_fork(issuer: IssuerSimulator) -> None:
    opener = EventOpener(issuer.trust)
    other = issuer.sign(Stream.KEYS, pack(1, 9), issuer.succession(ends=dict.fromkeys(ENDING, pack(1, 9))))
    opened(opener, issuer.succeed())

    assert opened(EventOpener(opener.keys.trust()), other) is RefusalCode.FORKED


def test_a_copy_grows_by_itself(issuer: IssuerSimulator, opener: EventOpener) -> None:
    first = issuer.succeed()
    opened(opener, first)
    copy = opener.copy()

    assert opened(copy, issuer.succeed()) == "good"
    assert (opener.keys.generation, copy.keys.generation) == (1, 2)
    assert opened(copy, first) == "good"


# -- any order


@given(st.data())
def test_whatever_the_order_what_is_taken_lies_in_its_keys_own_time(data: st.DataObject) -> None:
    issuer, keys = IssuerSimulator(), []
    for _ in range(3):
        keys.append(issuer.event_key)
        issuer.revoke(Selector.of(sub="alice"))
        issuer.succeed()
    keys.append(issuer.event_key)
    forged = [
        by(key, stream, pack(1, number), EVERYTHING if stream is Stream.REVOCATIONS else Heartbeat(time=NOON, heads={}))
        for key in keys
        for stream in FOLLOWED
        for number in range(1, 12)
        if stream is not Stream.KEYS
    ]
    opener = EventOpener(issuer.trust)
    for event in data.draw(st.permutations([*issuer.said, *forged])):
        if opened(opener, event) != "good":
            continue
        link = next(each for each in opener.keys.links if _signed(event, each.kid))
        assert event.seq > link.begins[event.stream]
        assert link.ends is None or (event.stream in SEQUENCED and event.seq <= link.ends[event.stream])
    known = opener.keys.generation
    for event in issuer.successions:
        opened(opener, event)
    assert opener.keys.generation == 3 >= known
    assert [opened(opener, event) for event in issuer.said] == ["good"] * len(issuer.said)


def test_in_any_order_two_successions_lead_to_the_same_chain_or_wait(issuer: IssuerSimulator) -> None:
    events = [issuer.succeed() for _ in range(2)]
    for order in permutations(events):
        opener = EventOpener(issuer.trust)
        for event in (*order, *order):
            opened(opener, event)
        assert [link.kid for link in opener.keys.links][1:] == [event.record.jwk["kid"] for event in events]  # type: ignore[attr-defined]


def _signed(event: SignedEvent, kid: str) -> bool:
    header: dict[str, str] = msgspec.json.decode(base64url.decode(event.text.split(b".")[0]))
    return header["kid"] == kid


def test_the_record_has_all_that_the_statement_has(issuer: IssuerSimulator) -> None:
    record = issuer.succession(stolen=True)

    assert isinstance(record, Succession)
    assert record.predecessor != issuer.event_key.kid
    assert (record.stolen, record.heir, set(record.ends)) == (True, heir_key("ES256", 2).kid, set(map(str, ENDING)))
