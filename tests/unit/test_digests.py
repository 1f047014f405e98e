"""Digests of tokens, and batches of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import TokenDigest, jti_digest, token_digest
from events.digests import BATCH_LIMIT, pack_digests, unpack_digests

digests = st.integers(0, 2**64 - 1).map(TokenDigest)


@given(st.sets(digests, min_size=1, max_size=50))
def test_a_packed_batch_unpacks_to_the_same_digests_in_ascending_order(batch: set[TokenDigest]) -> None:
    assert list(unpack_digests(pack_digests(batch))) == sorted(batch)


@given(st.lists(digests, min_size=1, max_size=20))
def test_one_set_of_digests_has_one_form(batch: list[TokenDigest]) -> None:
    assert pack_digests(batch) == pack_digests(reversed(batch)) == pack_digests(batch * 2)


@pytest.mark.parametrize(
    "packed",
    [b"", b"\0" * 7, b"\0" * 9, b"\0" * 16, bytes(7) + b"\2" + bytes(7) + b"\1", bytes(8 * (BATCH_LIMIT + 1))],
    ids=["empty", "short", "long", "repeated", "descending", "too many"],
)
def test_bytes_that_are_no_sorted_batch_are_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="batch"):
        unpack_digests(packed)


@pytest.mark.parametrize("count", [0, BATCH_LIMIT + 1])
def test_a_batch_out_of_limits_is_not_packed(count: int) -> None:
    with pytest.raises(ValueError, match=f"not {count}"):
        pack_digests(TokenDigest(number) for number in range(count))


def test_a_batch_at_the_limit_is_packed() -> None:
    packed = pack_digests(TokenDigest(number) for number in range(BATCH_LIMIT))
    assert len(packed) == 8 * BATCH_LIMIT
    assert len(unpack_digests(packed)) == BATCH_LIMIT


def test_the_digest_of_a_token_does_not_depend_on_its_signature() -> None:
    assert token_digest("header.payload.signature") == token_digest("header.payload.twin")
    assert token_digest("header.payload.signature") != token_digest("header.payloae.signature")


@pytest.mark.parametrize("text", ["", "no-dot", "hea\u0308der.payload.signature", "\ud800.payload.signature"])
def test_text_that_is_no_compact_jws_has_no_digest(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        token_digest(text)


@given(st.text(alphabet=st.characters()))
def test_every_jti_has_a_digest(jti: str) -> None:
    assert 0 <= jti_digest(jti) < 2**64
