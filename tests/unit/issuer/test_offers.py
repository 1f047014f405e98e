"""What a process has just committed, handed to its relay in order."""

import pytest

from events import EventKey, EventSigner, Revoke, Selector, SignedEvent, Stream, pack
from issuer.keys.generation import generate
from issuer.outbox.offers import MOST_WAITING, Offers

MARK = pack(1, 10)


@pytest.fixture(scope="module")
def signer() -> EventSigner:
    return EventSigner("https://issuer.example", EventKey(generate("ES256")))


def event(signer: EventSigner, number: int) -> SignedEvent:
    record = Revoke(selector=Selector(), expires_at=4e9)
    return signer.sign(Stream.REVOCATIONS, MARK + number, record, time=1.8e9, txn="txn")


def taken(offers: Offers, mark: int = MARK) -> list[int]:
    return [stored.seq - MARK for stored in offers.take(Stream.REVOCATIONS, mark)]


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 2, 1, 3)])
def test_offers_are_taken_once_and_in_the_order_of_their_numbers(signer: EventSigner, order: tuple[int, ...]) -> None:
    offers = Offers()
    for number in order:
        offers.put(event(signer, number))

    assert taken(offers) == [1, 2, 3]
    assert taken(offers, MARK + 3) == []
    assert not offers.gap(Stream.REVOCATIONS)


def test_what_lies_beyond_a_gap_waits_and_the_gap_is_told(signer: EventSigner) -> None:
    offers = Offers()
    for number in (1, 3):
        offers.put(event(signer, number))

    assert taken(offers) == [1]
    assert offers.gap(Stream.REVOCATIONS)
    assert taken(offers, MARK + 2) == [3]
    assert not offers.gap(Stream.REVOCATIONS)


def test_what_has_been_published_meanwhile_is_dropped(signer: EventSigner) -> None:
    offers = Offers()
    for number in (1, 2):
        offers.put(event(signer, number))

    assert taken(offers, MARK + 2) == []
    assert not offers.gap(Stream.REVOCATIONS)


def test_a_process_that_is_not_the_relay_does_not_pile_up_offers(signer: EventSigner) -> None:
    offers, same = Offers(), event(signer, 0)
    for number in range(3 * MOST_WAITING):
        offers.put(
            SignedEvent(
                stream=same.stream,
                seq=MARK + number,
                txn="txn",
                time=same.time,
                record=same.record,
                text=same.text,
                digest=same.digest,
            )
        )

    assert sum(map(len, offers._waiting.values())) <= MOST_WAITING


def test_large_offers_pile_up_less_and_what_was_taken_makes_room(
    signer: EventSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [event(signer, number) for number in range(1, 7)]
    monkeypatch.setattr("issuer.outbox.offers.MOST_WAITING_BYTES", 3 * len(events[-1].text))
    offers = Offers()
    for each in events[:3]:
        offers.put(each)
        offers.put(each)
    assert taken(offers) == [1, 2, 3]

    for each in events[3:6]:
        offers.put(each)
    assert taken(offers, MARK + 3) == [4, 5, 6]
    for each in events[:4]:
        offers.put(each)
    assert taken(offers) == []
    assert taken(offers, MARK + 3) == [4]


def test_streams_do_not_mix(signer: EventSigner) -> None:
    offers = Offers()
    offers.put(event(signer, 1))

    assert offers.take(Stream.KEYS, MARK) == []
    assert taken(offers) == [1]


def test_large_events_are_taken_a_few_at_a_time_and_one_at_least(
    signer: EventSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    offers = Offers()
    events = [event(signer, number) for number in (1, 2, 3)]
    for each in events:
        offers.put(each)
    monkeypatch.setattr("issuer.outbox.offers.MOST_BYTES", len(events[0].text) + len(events[1].text))
    assert taken(offers) == [1, 2]

    monkeypatch.setattr("issuer.outbox.offers.MOST_BYTES", 1)
    assert taken(offers, MARK + 2) == [3]
