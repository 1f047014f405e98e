"""The text in which a reader of the feed names where it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import Stream, pack
from events.log.cursor import MAX_CURSOR, format_cursor, is_position, parse_cursor
from events.sequence import INCARNATION_BITS, MAX_SEQ, NUMBER_BITS
from events.streams import FOLLOWED

seqs = st.builds(pack, st.integers(1, (1 << INCARNATION_BITS) - 1), st.integers(1, (1 << NUMBER_BITS) - 1))


@given(st.dictionaries(st.sampled_from(FOLLOWED), seqs))
def test_what_is_written_is_read_again_and_short(positions: dict[Stream, int]) -> None:
    text = format_cursor(positions)

    assert parse_cursor(text) == positions
    assert len(text) <= MAX_CURSOR


def test_it_looks_like_this() -> None:
    positions = {Stream.HEARTBEATS: pack(1, 900), Stream.KEYS: pack(1, 5), Stream.REVOCATIONS: pack(2, 42)}

    assert format_cursor(positions) == "k1.5_r2.42_h1.900"
    assert parse_cursor("") == {}


@pytest.mark.parametrize(
    "text",
    [
        "k",
        "1.5",
        "a1.5",
        "x1.5",
        "k1.5_",
        "_k1.5",
        "k1.5_k1.6",
        "r1.5_k1.5",
        "k01.5",
        "k1.05",
        "k1.0",
        "k0.1",
        "k-1.5",
        "k1.5\n",
        " k1.5",
        "k1.5 ",
        "k1.\u0665",
        "k8192.1",
        "k1.1099511627776",
        "k1.5\0",
        "k1.5_r2.42_h1.900" + "_h1.900" * 10,
        "k1.5_r2.42_h1." + "9" * 60,
    ],
)
def test_what_was_never_written_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="position"):
        parse_cursor(text)


@given(st.text(alphabet="krh0123456789._ ", max_size=40))
def test_there_is_one_spelling_of_a_position(text: str) -> None:
    try:
        positions = parse_cursor(text)
    except ValueError:
        return
    assert format_cursor(positions) == text


@pytest.mark.parametrize(
    ("seq", "can_be"),
    [(0, False), (-1, False), (1, False), (pack(1, 0), False), (pack(1, 1), True), (MAX_SEQ, True), (1 << 53, False)],
)
def test_no_event_stands_outside_of_the_numbers(seq: int, can_be: bool) -> None:
    assert is_position(seq) is can_be
