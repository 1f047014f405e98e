"""Server-sent events, read as the standard says, in pieces of any size and within bounds."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.log.server_sent import (
    LINE_COST,
    MAX_ID,
    MAX_LINE,
    EventStreamBroken,
    EventStreamParser,
    ServerSentEvent,
    encode_event,
)


def parsed(*pieces: bytes) -> list[ServerSentEvent]:
    parser = EventStreamParser()
    return [event for piece in pieces for event in parser.feed(piece)]


@pytest.mark.parametrize(
    ("text", "events"),
    [
        # WHATWG HTML, section 9.2.6: the standard's own examples.
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [(b"message", b"", b"YHOO\n+2\n10")]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [
                (b"message", b"1", b"first event"),
                (b"message", b"", b"second event"),
                (b"message", b"", b" third event"),
            ],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [(b"message", b"", b""), (b"message", b"", b"\n")]),
        (b"data:test\n\ndata: test\n\n", [(b"message", b"", b"test")] * 2),
        # Further rules of section 9.2.6.
        (b"\xef\xbb\xbfdata: x\n\n", [(b"message", b"", b"x")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\n", []),
        (b"event: keys\ndata: x\n\ndata: y\n\n", [(b"keys", b"", b"x"), (b"message", b"", b"y")]),
        (b"event: keys\n\ndata: y\n\n", [(b"message", b"", b"y")]),
        (b"id: 7\ndata: x\n\ndata: y\n\n", [(b"message", b"7", b"x"), (b"message", b"7", b"y")]),
        (b"id: 7\n\ndata: y\n\n", [(b"message", b"7", b"y")]),
        (b"id: 7\nid: 8\0\ndata: x\n\n", [(b"message", b"7", b"x")]),
        (b"Data: x\nretry: 5\nretry: x\nnobody: knows\ndata: y\n\n", [(b"message", b"", b"y")]),
        (b"data: x\r\n\r\ndata: y\r\rdata: z\n\n", [(b"message", b"", text) for text in (b"x", b"y", b"z")]),
        (b"data: x\n", []),
        (b"data: x\n\ndata: cut", [(b"message", b"", b"x")]),
    ],
)
def test_a_stream_says_what_the_standard_says(text: bytes, events: list[tuple[bytes, bytes, bytes]]) -> None:
    assert parsed(text) == events
    assert parsed(*(text[at : at + 1] for at in range(len(text)))) == events


lines = st.sampled_from([b"data: x", b"data", b"id: 1", b"event: e", b": comment", b"", b"junk", b"data:\xff"])
ends = st.sampled_from([b"\n", b"\r", b"\r\n"])


@given(st.lists(st.tuples(lines, ends), max_size=12), st.lists(st.integers(0, 80), max_size=6))
def test_where_it_is_cut_into_pieces_does_not_matter(text: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    whole = b"".join(line + end for line, end in text)
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    pieces = [whole[start:stop] for start, stop in itertools.pairwise(places)]

    assert parsed(*pieces) == parsed(whole)


@given(st.from_regex(rb"[\x21-\x7e]{1,200}", fullmatch=True))
def test_what_is_encoded_is_parsed(data: bytes) -> None:
    text = encode_event("keys", data, "k1.5") + encode_event("level", b"{}")

    assert parsed(text) == [(b"keys", b"k1.5", data), (b"level", b"k1.5", b"{}")]


def test_the_longest_line_is_read() -> None:
    data = b"x" * (MAX_LINE - LINE_COST)

    assert parsed(b"data: " + data + b"\n\n") == [(b"message", b"", data)]


@pytest.mark.parametrize(
    "piece",
    [b"x" * 65_536, b"data: x\n" * 8192, b"data:" + b"x" * 1019 + b"\n"],
    ids=["a line without end", "an event without end", "long lines without end"],
)
def test_what_never_ends_is_refused_within_bounds(piece: bytes) -> None:
    parser = EventStreamParser()

    def feed_on() -> None:
        for _ in range(2 * MAX_LINE // len(piece) * 8):
            parser.feed(piece)

    with pytest.raises(EventStreamBroken):
        feed_on()
    assert len(parser._pending) + parser._size <= 2 * MAX_LINE + len(piece)


def test_an_id_that_is_too_long_is_refused() -> None:
    assert parsed(b"id: " + b"1" * MAX_ID + b"\ndata: x\n\n")

    with pytest.raises(EventStreamBroken, match="id"):
        parsed(b"id: " + b"1" * (MAX_ID + 1) + b"\n")
