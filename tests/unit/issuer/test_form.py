"""Form parameters as RFC 6749 section 3.2 wants them."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from issuer.endpoints.form import MAX_FIELDS, read_form, required
from issuer.errors import OAuthError

FORM = "application/x-www-form-urlencoded"


def request_with(body: bytes, content_type: str | None = FORM) -> web.Request:
    request = make_mocked_request("POST", "/", headers={} if content_type is None else {"Content-Type": content_type})
    request._read_bytes = body  # as if aiohttp had read it
    return request


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b"", {}),
        (b"grant_type=client_credentials&scope=a+b", {"grant_type": "client_credentials", "scope": "a b"}),
        (b"scope=a%20b", {"scope": "a b"}),
        (b"name=%E2%82%AC", {"name": "€"}),
        (b"scope=&token=x", {"token": "x"}),
        (b"token", {}),
        (b"a=1=2", {"a": "1=2"}),
        (b"a=1;b=2", {"a": "1;b=2"}),
    ],
)
async def test_a_form_is_read_and_empty_parameters_count_as_absent(body: bytes, form: dict[str, str]) -> None:
    assert await read_form(request_with(body)) == form


async def test_a_character_set_beside_the_content_type_does_not_matter() -> None:
    assert await read_form(request_with(b"a=%E2%82%AC", f"{FORM}; charset=iso-8859-1")) == {"a": "€"}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"token=a&token=b", "'token' is repeated"),
        (b"token=a&token=a", "'token' is repeated"),
        (b"token=&token=a", "'token' is repeated"),
        (b"t%6fken=a&token=a", "'token' is repeated"),
        (b"name=%ff", "UTF-8"),
        (b"name=%c3", "UTF-8"),
        (b"%ff=a", "UTF-8"),
        ("name=ü".encode(), "UTF-8"),
        (b"name=\xff\xfe", "UTF-8"),
        (b"&".join(b"p%d=1" % number for number in range(MAX_FIELDS + 1)), "no form"),
    ],
)
async def test_a_form_that_cannot_be_read_or_repeats_itself_is_an_invalid_request(body: bytes, why: str) -> None:
    with pytest.raises(OAuthError, match=why) as refused:
        await read_form(request_with(body))

    assert (refused.value.error, refused.value.status) == ("invalid_request", 400)


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain", "multipart/form-data; boundary=x"])
async def test_a_body_of_another_kind_is_an_invalid_request(content_type: str | None) -> None:
    with pytest.raises(OAuthError, match=FORM) as refused:
        await read_form(request_with(b"a=b", content_type))

    assert refused.value.error == "invalid_request"


async def test_what_is_repeated_is_told_in_a_few_words_only() -> None:
    name = b"n" * 5000

    with pytest.raises(OAuthError) as refused:
        await read_form(request_with(name + b"=1&" + name + b"=2"))

    assert len(refused.value.description) < 200


def test_a_missing_parameter_is_named() -> None:
    assert required({"token": "x"}, "token") == "x"
    with pytest.raises(OAuthError, match="'token' is missing"):
        required({}, "token")
