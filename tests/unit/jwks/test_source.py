"""Where documents come from, and what is made of each answer."""

import asyncio

import pytest

from tests.unit.jwks.foreign_issuer import (
    ISSUER,
    JWKS_URI,
    OAUTH_METADATA,
    OIDC_METADATA,
    FakeFetcher,
    jwks,
    metadata,
)
from verifier_agent.jwks import Answer, FailureCode, ForeignIssuer, JwksFailed
from verifier_agent.jwks.discovery import MAX_METADATA_BYTES
from verifier_agent.jwks.document import MAX_BYTES
from verifier_agent.jwks.source import METADATA_SECONDS, JwksSource

AWAY = JwksFailed(FailureCode.UNREACHABLE, "away")
MOVED = "https://login.example/elsewhere"


@pytest.fixture
def fetcher() -> FakeFetcher:
    """An issuer whose keys are where the settings say."""
    made = FakeFetcher()
    made.put(JWKS_URI, jwks("one"), etag='"1"', cache_control="max-age=300")
    return made


@pytest.fixture
def source(fetcher: FakeFetcher) -> JwksSource:
    """Asks there."""
    return JwksSource(ForeignIssuer(issuer=ISSUER, jwks_uri=JWKS_URI), fetcher)


@pytest.fixture
def discovering(fetcher: FakeFetcher) -> JwksSource:
    """Asks the issuer's metadata first."""
    fetcher.put(OIDC_METADATA, metadata())
    return JwksSource(ForeignIssuer(issuer=ISSUER), fetcher)


async def code_of(source: JwksSource, now: float = 0.0) -> FailureCode:
    """Why a load fails."""
    with pytest.raises(JwksFailed) as failed:
        await source.load(now)
    return failed.value.code


# -- the document


async def test_a_load_brings_the_document_and_for_how_long_it_is_fresh(source: JwksSource) -> None:
    loaded = await source.load(0.0)

    assert loaded.document is not None
    assert set(loaded.document.keys) == {"one"}
    assert loaded.max_age == 300


async def test_the_second_load_asks_only_for_what_is_new(source: JwksSource, fetcher: FakeFetcher) -> None:
    await source.load(0.0)
    fetcher.put(JWKS_URI, b"", 304, cache_control="max-age=60")

    assert await source.load(0.0) == (None, 60)
    assert fetcher.asked == [(JWKS_URI, None), (JWKS_URI, '"1"')]


async def test_not_modified_without_having_asked_so_is_a_failure(source: JwksSource, fetcher: FakeFetcher) -> None:
    fetcher.put(JWKS_URI, b"", 304)

    assert await code_of(source) is FailureCode.REDIRECTED


async def test_after_a_failure_the_whole_is_asked_for(source: JwksSource, fetcher: FakeFetcher) -> None:
    await source.load(0.0)
    fetcher.put(JWKS_URI, b"<html>")
    assert await code_of(source) is FailureCode.NOT_JWKS
    fetcher.put(JWKS_URI, jwks("two"))
    await source.load(0.0)

    assert [etag for _, etag in fetcher.asked] == [None, '"1"', None]


@pytest.mark.parametrize("etag", ["", '"' + "e" * 300 + '"', '"\r\nX: y"'])
async def test_an_odd_etag_is_not_sent_back(source: JwksSource, fetcher: FakeFetcher, etag: str) -> None:
    fetcher.put(JWKS_URI, jwks("one"), etag=etag)
    await source.load(0.0)
    await source.load(0.0)

    assert fetcher.asked[-1] == (JWKS_URI, None)


@pytest.mark.parametrize(
    ("status", "code"),
    [(301, FailureCode.REDIRECTED), (307, FailureCode.REDIRECTED)]
    + [(status, FailureCode.BAD_STATUS) for status in (100, 201, 204, 206, 404, 429, 500, 503)],
)
async def test_only_200_brings_a_document(
    source: JwksSource, fetcher: FakeFetcher, status: int, code: FailureCode
) -> None:
    fetcher.put(JWKS_URI, jwks("one"), status, location=MOVED)

    assert await code_of(source) is code
    assert [url for url, _ in fetcher.asked] == [JWKS_URI]


async def test_a_fetcher_that_brings_too_much_is_not_believed(source: JwksSource, fetcher: FakeFetcher) -> None:
    fetcher.put(JWKS_URI, jwks("one") + b" " * MAX_BYTES)

    assert await code_of(source) is FailureCode.OVERSIZED


async def test_an_answer_that_does_not_come_is_not_waited_for(fetcher: FakeFetcher) -> None:
    fetcher.gate.clear()
    source = JwksSource(ForeignIssuer(issuer=ISSUER, jwks_uri=JWKS_URI, timeout=0.01), fetcher)

    assert await code_of(source) is FailureCode.TIMED_OUT


async def test_a_load_can_be_cancelled(source: JwksSource, fetcher: FakeFetcher) -> None:
    fetcher.gate.clear()
    load = asyncio.create_task(source.load(0.0))
    await asyncio.sleep(0)
    load.cancel()

    with pytest.raises(asyncio.CancelledError):
        await load


# -- the place


async def test_the_metadata_say_where_the_keys_are(discovering: JwksSource, fetcher: FakeFetcher) -> None:
    assert (await discovering.load(0.0)).document
    assert [url for url, _ in fetcher.asked] == [OIDC_METADATA, JWKS_URI]


async def test_the_metadata_are_not_read_each_time(discovering: JwksSource, fetcher: FakeFetcher) -> None:
    await discovering.load(0.0)
    await discovering.load(METADATA_SECONDS - 1)
    await discovering.load(METADATA_SECONDS)

    assert [url for url, _ in fetcher.asked].count(OIDC_METADATA) == 2


@pytest.mark.parametrize("body", [None, b"<html>a page for everything</html>", metadata("https://other.example")])
async def test_where_there_is_no_openid_there_may_be_oauth(
    discovering: JwksSource, fetcher: FakeFetcher, body: bytes | None
) -> None:
    fetcher.put(OIDC_METADATA, body or b"", 404 if body is None else 200)
    fetcher.put(OAUTH_METADATA, metadata())

    assert (await discovering.load(0.0)).document
    assert [url for url, _ in fetcher.asked] == [OIDC_METADATA, OAUTH_METADATA, JWKS_URI]


async def test_metadata_of_another_issuer_are_not_followed(discovering: JwksSource, fetcher: FakeFetcher) -> None:
    fetcher.put(OIDC_METADATA, metadata("https://attacker.example", "https://attacker.example/certs"))

    assert await code_of(discovering) is FailureCode.WRONG_ISSUER
    assert "https://attacker.example/certs" not in [url for url, _ in fetcher.asked]


async def test_keys_that_have_moved_are_found_after_a_failure(discovering: JwksSource, fetcher: FakeFetcher) -> None:
    await discovering.load(0.0)
    fetcher.put(OIDC_METADATA, metadata(jwks_uri=MOVED))
    fetcher.put(MOVED, jwks("two"))
    fetcher.put(JWKS_URI, b"", 404)

    assert await code_of(discovering) is FailureCode.BAD_STATUS
    loaded = await discovering.load(0.0)
    assert loaded.document is not None
    assert set(loaded.document.keys) == {"two"}
    assert fetcher.asked[-1] == (MOVED, None)


async def test_an_etag_is_not_sent_to_another_place(discovering: JwksSource, fetcher: FakeFetcher) -> None:
    await discovering.load(0.0)
    fetcher.put(OIDC_METADATA, metadata(jwks_uri=MOVED))
    fetcher.put(MOVED, jwks("two"))
    await discovering.load(METADATA_SECONDS)

    assert fetcher.asked[-1] == (MOVED, None)


async def test_metadata_without_end_are_not_read(discovering: JwksSource, fetcher: FakeFetcher) -> None:
    fetcher.put(OIDC_METADATA, metadata().ljust(MAX_METADATA_BYTES + 1))

    assert await code_of(discovering) is FailureCode.OVERSIZED


@pytest.mark.parametrize("answer", [AWAY, Answer(503, {}, b""), Answer(200, {}, metadata("https://attacker.example"))])
async def test_metadata_that_are_away_take_no_keys_away(
    discovering: JwksSource, fetcher: FakeFetcher, answer: Answer | JwksFailed
) -> None:
    await discovering.load(0.0)
    fetcher.answers[OIDC_METADATA] = answer

    assert await discovering.load(METADATA_SECONDS) is not None
    assert fetcher.asked[-1][0] == JWKS_URI
