"""One text for one value, both ways."""

from base64 import urlsafe_b64encode

from hypothesis import given
from hypothesis import strategies as st

from events import base64url


@given(st.binary(max_size=100))
def test_what_is_spelt_is_read_again_and_is_what_others_spell(data: bytes) -> None:
    assert base64url.decode(base64url.encode(data)) == data
    assert base64url.encode(data) == urlsafe_b64encode(data).rstrip(b"=")
