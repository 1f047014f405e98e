"""One text for one value, both ways."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import base64url


@given(st.binary(max_size=100))
def test_what_is_spelt_is_read_again_and_is_what_others_spell(data: bytes) -> None:
    assert base64url.decode(base64url.encode(data)) == data
    assert base64url.encode(data) == urlsafe_b64encode(data).rstrip(b"=")


def is_canonical(text: bytes) -> bool:
    """Whether the text is what the lenient reader of the standard library would have written."""
    try:
        return urlsafe_b64encode(urlsafe_b64decode(text + b"===")).rstrip(b"=") == text
    except binascii.Error:
        return False


@given(st.binary(max_size=24) | st.text('Aw_-=+/\\"u0. \n\t', max_size=24).map(str.encode))
def test_no_other_text_is_read_than_the_one_that_would_be_written(text: bytes) -> None:
    if is_canonical(text):
        assert base64url.encode(base64url.decode(text)) == text
    else:
        with pytest.raises(ValueError, match="base64url"):
            base64url.decode(text)


@pytest.mark.parametrize("place", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("byte", sorted({*range(256)} - {*b"-_"} - {*range(48, 58), *range(65, 91), *range(97, 123)}))
def test_no_byte_that_is_foreign_to_base64url_is_read_wherever_it_stands(byte: int, place: int) -> None:
    text = bytearray(b"QUJDREVG")
    text[place] = byte

    with pytest.raises(ValueError, match="base64url"):
        base64url.decode(bytes(text))


@pytest.mark.parametrize("text", [rb"\u0041BCD", rb"QUJD\nQUI", b'QUJD"QUJ', b'QQ","QQ"', b"QUI=QUJD", b"QUJD\r\nQU"])
def test_what_json_would_read_as_something_else_is_not_read(text: bytes) -> None:
    with pytest.raises(ValueError, match="base64url"):
        base64url.decode(text)
