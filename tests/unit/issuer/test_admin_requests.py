"""How requests to the admin API say how long they wait, how much they want, and which revocation they mean."""

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from events import format_seq, pack
from issuer.endpoints.admin import query_number, wait_seconds
from issuer.errors import NotFound, OAuthError
from issuer.revocations import parse_id


def wait_of(*headers: str) -> float:
    given = CIMultiDict([("Prefer", value) for value in headers])
    return wait_seconds(make_mocked_request("POST", "/", headers=given))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=3", 3.0),
        ("WAIT=3", 3.0),
        ("respond-async, wait=3", 3.0),
        ("wait = 3", 3.0),
        ('wait="3"', 3.0),
        ("wait=3; foo=bar", 3.0),
        ("wait=30", 30.0),
        ("wait=31", 30.0),
        ("wait=" + "9" * 400, 30.0),
        ("wait=0", 0.0),
    ],
)
def test_the_wait_that_a_caller_prefers_is_read_and_bounded(header: str, seconds: float) -> None:
    assert wait_of(header) == seconds


@pytest.mark.parametrize("header", ["", "wait", "wait=", "wait=-1", "wait=1.5", "wait=soon", "wait=²", "await=3"])
def test_a_preference_that_says_no_time_is_passed_over(header: str) -> None:
    assert wait_of(header) == 0.0


def test_preferences_may_come_in_several_headers() -> None:
    assert wait_of("respond-async", "wait=3") == 3.0


@pytest.mark.parametrize("identifier", ["1.1", "1.42", "8191.1099511627775"])
def test_an_id_names_one_sequence_and_is_written_in_one_way(identifier: str) -> None:
    assert format_seq(parse_id(identifier)) == identifier


def test_an_id_is_incarnation_and_number() -> None:
    assert parse_id("2.42") == pack(2, 42)


@pytest.mark.parametrize(
    "identifier",
    [
        "",
        "1",
        "1.",
        ".1",
        "1.2.3",
        "0.1",
        "-1.1",
        "1.-1",
        "8192.1",
        "1.1099511627776",
        "one.two",
        "1.0x1",
        " 1.1",
        "+1.1",
        "1.1_0",
        "01.1",
        "1.01",
        "1.\N{ARABIC-INDIC DIGIT ONE}",
        "1." + "9" * 5000,
    ],
)
def test_any_other_text_names_no_revocation(identifier: str) -> None:
    with pytest.raises(NotFound):
        parse_id(identifier)


@pytest.mark.parametrize(("query", "number"), [("", 100), ("?limit=1", 1), ("?limit=1000", 1000)])
def test_a_number_in_the_query_is_read_within_its_bounds(query: str, number: int) -> None:
    assert query_number(make_mocked_request("GET", f"/{query}"), "limit", 100, most=1000) == number


@pytest.mark.parametrize("text", ["0", "1001", "-1", "1.5", "many", "", "%20", "%C2%B2", "9" * 5000])
def test_any_other_number_in_the_query_is_refused_by_name(text: str) -> None:
    with pytest.raises(OAuthError, match="limit") as refused:
        query_number(make_mocked_request("GET", f"/?limit={text}"), "limit", 100, most=1000)

    assert refused.value.error == "invalid_request"
