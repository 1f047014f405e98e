"""Events that several in one process would open."""

import pytest

from events import EventOpener, EventRefused, RefusalCode, Selector, Stream, VerifiedEvent
from events.log import SharedLog
from events.log.memory import MemoryLog
from events.opened_once import OpenedOnce
from tests.simulator import IssuerSimulator


@pytest.fixture
def issuer() -> IssuerSimulator:
    """Who signs."""
    return IssuerSimulator()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What has really been opened."""
    texts: list[bytes] = []
    whole = EventOpener.open

    def noting(self: EventOpener, raw: bytes, stream: Stream) -> VerifiedEvent:
        texts.append(raw)
        return whole(self, raw, stream)

    monkeypatch.setattr(EventOpener, "open", noting)
    return texts


def test_an_event_is_opened_once(issuer: IssuerSimulator, opened: list[bytes]) -> None:
    event = issuer.revoke(Selector.of(sub="alice"))
    opener = OpenedOnce(issuer.trust)

    assert [opener.open(bytes(bytearray(event.text)), event.stream).seq for _ in range(3)] == [event.seq] * 3
    assert opened == [event.text]


def test_an_event_that_was_good_is_refused_when_it_is_tampered_with_or_misplaced(issuer: IssuerSimulator) -> None:
    event = issuer.revoke(Selector.of(sub="alice"))
    opener = OpenedOnce(issuer.trust)
    opener.open(event.text, event.stream)
    payload_changed = event.text.replace(b".", b".e", 1)
    for _ in range(2):
        with pytest.raises(EventRefused):
            opener.open(payload_changed, event.stream)
        with pytest.raises(EventRefused) as refused:
            opener.open(event.text, Stream.KEYS)
        assert refused.value.code is RefusalCode.WRONG_STREAM


def test_what_is_refused_is_not_remembered(issuer: IssuerSimulator, opened: list[bytes]) -> None:
    opener = OpenedOnce(issuer.trust)
    for _ in range(2):
        with pytest.raises(EventRefused):
            opener.open(b"x.y.z", Stream.KEYS)

    assert len(opened) == 2


def test_the_oldest_are_forgotten(
    issuer: IssuerSimulator, opened: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [issuer.revoke(Selector.of(sub=str(number))) for number in range(4)]
    monkeypatch.setattr("events.opened_once.MOST_BYTES", 2 * len(events[0].text))
    opener = OpenedOnce(issuer.trust)
    for event in [*events, events[3], events[2], events[0]]:
        opener.open(event.text, event.stream)

    assert opened == [event.text for event in [*events, events[0]]]


def test_an_event_greater_than_all_that_is_remembered_is_opened(
    issuer: IssuerSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.opened_once.MOST_BYTES", 1)
    opener = OpenedOnce(issuer.trust)
    events = [issuer.revoke(Selector.of(sub="alice")), issuer.revoke(Selector.of(sub="alice"))]

    assert [opener.open(event.text, event.stream).seq for event in events] == [event.seq for event in events]


def test_only_who_pins_the_same_keys_goes_by_what_another_has_opened(issuer: IssuerSimulator) -> None:
    shared = SharedLog(MemoryLog)
    other = IssuerSimulator("https://other.example")

    assert shared.opener(issuer.trust) is shared.opener(issuer.trust)
    assert shared.opener(issuer.trust) is not shared.opener(other.trust)
    event = issuer.revoke(Selector.of(sub="alice"))
    shared.opener(issuer.trust).open(event.text, event.stream)
    with pytest.raises(EventRefused):
        shared.opener(other.trust).open(event.text, event.stream)
