"""Attacks on agents by whoever answers in place of the issuer's feed: each one named after what it tries."""

import asyncio
import gzip
import logging
import traceback
from collections.abc import AsyncIterator, Callable

import pytest

from events import EventKey, EventSigner, LogError, LogUnavailable, RefusalCode, Stream, pack
from events.errors import LogMisconfigured
from events.log import EventLog
from events.log.feed_access import MAX_ANSWER
from events.log.server_sent import MAX_ID, MAX_LINE
from tests.security.hostile_feed import LEVEL, SECRET, TOKEN, Handler, HostileFeed, events
from tests.simulator import FakeClock, IssuerSimulator, Listener, signing_key

SOON = 60.0
HELD = 8 * 1024 * 1024
"""Octets that the kernel and the server hold between them before anybody has to take them."""


@pytest.fixture
async def hostile() -> AsyncIterator[HostileFeed]:
    async with HostileFeed.running() as server:
        yield server


async def heard(log: EventLog, stream: Stream = Stream.REVOCATIONS) -> list[tuple[int, bytes]]:
    async with asyncio.timeout(SOON):
        return [(position, bytes(data)) for _, position, data in await log.read({stream: None}, wait=0.2)]


@pytest.mark.parametrize(
    "piece",
    [b"x" * 65_536, b"data: x\n" * 8192, b"id: " + b"1" * 65_536, b"event: " + b"e" * 65_536],
    ids=["line", "event", "id", "name"],
)
async def test_what_never_ends_fills_no_memory(hostile: HostileFeed, piece: bytes) -> None:
    hostile.feed = hostile.says_for_ever(b"data: ", piece)
    async with hostile.log() as log:
        with pytest.raises(LogUnavailable, match="more than"):
            await heard(log)

    assert hostile.sent < MAX_LINE + HELD


@pytest.mark.parametrize("cursor", ["", "1", "k1.1", "r1.1\0", "r1.1 ", "r01.1", "r1.0", "é", "r1.1_k1.1"])
async def test_an_event_without_a_position_of_ours_is_not_taken(hostile: HostileFeed, cursor: str) -> None:
    hostile.feed = hostile.says(events(("revocations", cursor, "forged"), *LEVEL))
    async with hostile.log() as log:
        with pytest.raises(LogUnavailable, match="without its position"):
            await heard(log)


async def test_an_id_that_is_too_long_is_not_taken(hostile: HostileFeed) -> None:
    hostile.feed = hostile.says(events(("revocations", "r1.1" + "0" * MAX_ID, "forged"), *LEVEL))
    async with hostile.log() as log:
        with pytest.raises(LogUnavailable, match="an id has more than"):
            await heard(log)


async def test_streams_that_nobody_asked_for_are_passed_over(hostile: HostileFeed) -> None:
    said = [("keys", "k1.1", "keys"), ("agents", "r1.1", "agents"), ("", "r1.1", "none"), ("Revocations", "r1.1", "x")]
    hostile.feed = hostile.says(events(*said, ("revocations", "r1.1", "asked for"), *LEVEL))
    async with hostile.log() as log:
        assert await heard(log) == [(pack(1, 1), b"asked for")]


async def test_what_was_told_already_is_not_told_again(hostile: HostileFeed) -> None:
    said = [("revocations", f"r1.{number}", f"{number}") for number in (5, 4, 5, 6, 1, 6)]
    hostile.feed = hostile.says(events(*said, *LEVEL))
    async with hostile.log() as log:
        assert await heard(log) == [(pack(1, 5), b"5"), (pack(1, 6), b"6")]


OTHER_ANSWERS: dict[str, tuple[Callable[[HostileFeed], Handler], type[LogError]]] = {
    "a page": (lambda feed: feed.answers(200, b"<html>", Content_Type="text/html"), LogMisconfigured),
    "nothing": (lambda feed: feed.answers(204), LogMisconfigured),
    "JSON": (lambda feed: feed.answers(200, b"{}", Content_Type="application/json"), LogMisconfigured),
    "compressed": (
        lambda feed: feed.answers(
            200, gzip.compress(b"x" * 1_000_000), Content_Type="text/event-stream", Content_Encoding="gzip"
        ),
        LogMisconfigured,
    ),
    "gone": (lambda feed: feed.answers(410, b'{"stream": "keys"}'), LogMisconfigured),
    "gone, and why": (lambda feed: feed.answers(410, b"[" * 100_000), LogMisconfigured),
    "bad request": (lambda feed: feed.answers(400, b'{"error": "x\\n\\u001b[31m"}'), LogMisconfigured),
    "away": (lambda feed: feed.answers(503, b"x", Retry_After="9" * 4000), LogUnavailable),
    "an error without end": (lambda feed: feed.says_for_ever(b"", b"x" * 65_536, "text/plain"), LogMisconfigured),
    "its end": (lambda feed: feed.says(b": hello\n\n", end=True), LogUnavailable),
    "half an event": (lambda feed: feed.says(b"event: revocations\nid: r1.1\ndata: x\n", end=True), LogUnavailable),
}


@pytest.mark.parametrize("name", OTHER_ANSWERS)
async def test_any_other_answer_is_an_error_with_words_that_can_be_shown(hostile: HostileFeed, name: str) -> None:
    make, error = OTHER_ANSWERS[name]
    hostile.feed = make(hostile)
    async with hostile.log() as log:
        with pytest.raises(error) as caught:
            await heard(log)
        assert type(caught.value) is error
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("where", ["feed", "token"])
async def test_redirects_lead_neither_the_secret_nor_the_token_astray(hostile: HostileFeed, where: str) -> None:
    async with HostileFeed.running() as elsewhere, hostile.log(credentials=True) as log:
        setattr(hostile, where, hostile.answers(307, Location=f"{elsewhere.origin}/events"))
        with pytest.raises(LogError):
            await heard(log)
        assert elsewhere.asked == []


async def test_a_feed_that_takes_no_token_is_not_asked_for_ever(hostile: HostileFeed) -> None:
    hostile.feed = hostile.answers(401, b'{"error": "invalid_token"}')
    async with hostile.log(credentials=True) as log:
        with pytest.raises(LogMisconfigured, match="takes no token"):
            await heard(log)

    assert [path for path, _ in hostile.asked] == ["/oauth2/token", "/events"] * 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"access_token": 1}',
        b'{"access_token": ""}',
        b'{"access_token": "a b"}',
        b'{"access_token": "a\\r\\nX-Injected: yes"}',
        b'{"access_token": "a", "expires_in": 0}',
        b'{"access_token": "a", "expires_in": -5}',
        b'{"access_token": "a", "expires_in": NaN}',
        b'{"access_token": "' + b"a" * 20_000 + b'"}',
        b"[" * 60_000,
    ],
)
async def test_a_token_that_is_none_is_not_used(hostile: HostileFeed, body: bytes) -> None:
    hostile.token = hostile.answers(200, body)
    async with hostile.log(credentials=True) as log:
        with pytest.raises(LogUnavailable, match="something else than a token"):
            await heard(log)

    assert [path for path, _ in hostile.asked] == ["/oauth2/token"]


async def test_a_token_answer_without_end_fills_no_memory(hostile: HostileFeed) -> None:
    hostile.token = hostile.says_for_ever(b"{", b" " * 65_536)
    async with hostile.log(credentials=True) as log:
        with pytest.raises(LogUnavailable):
            await heard(log)

    assert hostile.sent < MAX_ANSWER + HELD


@pytest.mark.parametrize("where", ["feed", "token"])
async def test_silence_before_the_answer_ends_by_itself(
    hostile: HostileFeed, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.log.feed.CALL_SECONDS", 0.1)
    monkeypatch.setattr("events.log.feed_access.CALL_SECONDS", 0.1)
    setattr(hostile, where, hostile.hangs)
    async with hostile.log(credentials=True) as log:
        for call in (lambda: heard(log), lambda: log.head(Stream.KEYS), log.check):
            with pytest.raises(LogUnavailable, match="does not answer"):
                await call()


@pytest.mark.parametrize("said", [b"", b": comment\n\n", b"event: revocations\nid: r1.1\ndata: never ends"])
async def test_silence_after_the_answer_has_begun_ends_by_itself(
    hostile: HostileFeed, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.log.feed.LEVEL_SECONDS", 0.1)
    hostile.feed = hostile.says(said or b"\n")
    async with hostile.log() as log:
        with pytest.raises(LogUnavailable, match="does not say what it has"):
            await heard(log)


async def test_silence_of_a_feed_that_was_level_ends_by_itself(
    hostile: HostileFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.log.feed.SILENCE_SECONDS", 0.2)
    hostile.feed = hostile.says(events(*LEVEL))
    async with hostile.log() as log:
        with pytest.raises(LogUnavailable, match="silent"):
            await log.read({Stream.REVOCATIONS: None}, wait=SOON)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"cursor": 1}', b'{"cursor": "x"}', b'{"cursor": "r1.0"}', b"[" * 60_000]
)
async def test_heads_that_are_none_are_not_believed(hostile: HostileFeed, body: bytes) -> None:
    hostile.feed = hostile.answers(200, body, Content_Type="application/json")
    async with hostile.log() as log:
        with pytest.raises(LogMisconfigured, match="something else than the heads"):
            await log.head(Stream.REVOCATIONS)


async def test_neither_secret_nor_token_is_in_what_is_told(
    hostile: HostileFeed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = []
    for status in (301, 400, 401, 403, 404, 410, 500, 503):
        for where in ("feed", "token"):
            hostile.feed = hostile.says(events(*LEVEL))
            setattr(hostile, where, hostile.answers(status, b"{}"))
            async with hostile.log(credentials=True) as log:
                with pytest.raises(LogError) as caught:
                    await heard(log)
                told += [*traceback.format_exception(caught.value), repr(log), repr(vars(log))]
    assert SECRET not in "".join(told) + caplog.text
    assert TOKEN not in "".join(told) + caplog.text


async def test_a_feed_can_neither_forge_nor_hide_what_the_issuer_has_said(hostile: HostileFeed) -> None:
    issuer = IssuerSimulator(clock=FakeClock())
    listener = Listener(issuer)
    token = issuer.token()
    said = [*issuer.said, issuer.revoke_tokens(token), issuer.beat()]
    stranger = IssuerSimulator(clock=FakeClock())
    stolen_name = signing_key("ES256", "stranger").jwk(private=True) | {"kid": issuer.event_key.kid}
    stranger.signer = EventSigner(issuer.issuer, EventKey(stolen_name))
    forged = stranger.lift(stranger.revoke_tokens(token))
    sent = [*said[:-2], forged, said[-1]]  # the revocation is left out
    cursors = {Stream.KEYS: "k", Stream.REVOCATIONS: "r", Stream.HEARTBEATS: "h"}
    text = [
        (str(event.stream), f"{cursors[event.stream]}1.{number}", event.text.decode())
        for number, event in enumerate(sent, 1)
    ]
    hostile.feed = hostile.says(events(*text, *LEVEL))
    async with hostile.log() as log:
        for stream, _, data in await log.read(dict.fromkeys(cursors), wait=0.2):
            listener.hear_raw(stream, data)

    assert listener.verifier.refused == {RefusalCode.BAD_SIGNATURE: 1}
    assert listener.freshness is None
    assert listener.verifier.state.holes() == {Stream.REVOCATIONS: [(said[-2].seq, said[-2].seq)]}
