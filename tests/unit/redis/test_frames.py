"""Events in one value, and what is made of one that somebody else has written to."""

from hypothesis import given
from hypothesis import strategies as st

from events import Stream
from verifier_agent.redis.frames import MAX_EVENT, read_frames, write_frames
from verifier_agent.saved import SavedEvent

EVENTS = st.lists(st.builds(SavedEvent, st.sampled_from(Stream), st.binary(max_size=80)), max_size=8)


@given(EVENTS)
def test_what_was_written_is_read_in_its_order(events: list[SavedEvent]) -> None:
    assert list(read_frames(b"".join(write_frames(events)))) == events


@given(EVENTS, st.binary(max_size=60), EVENTS)
def test_what_stands_between_takes_nothing_away_that_stood_before(
    before: list[SavedEvent], garbage: bytes, after: list[SavedEvent]
) -> None:
    text = b"".join(write_frames(before)) + garbage + b"".join(write_frames(after))

    assert list(read_frames(text))[: len(before)] == before


def test_events_behind_garbage_are_found_again() -> None:
    event = SavedEvent(Stream.KEYS, b"e30.e30.c2ln")
    (frame,) = write_frames([event])
    for garbage in (b"\x00" * 100, b"\ntocsin keys 99999999999\n", b"\ntocsin keys -1\n", b"\ntocsin nothing 3\nabc"):
        assert event in list(read_frames(garbage + frame))


@given(st.binary(max_size=300))
def test_anything_can_be_read(text: bytes) -> None:
    assert all(len(event.data) <= len(text) for event in read_frames(b"\ntocsin keys 3\n" + text))


def test_no_event_is_longer_than_logs_carry() -> None:
    too_long = SavedEvent(Stream.KEYS, b"a" * (MAX_EVENT + 1))

    assert write_frames([too_long]) == []
    assert list(read_frames(b"\ntocsin keys %d\n%s" % (len(too_long.data), too_long.data))) == []
