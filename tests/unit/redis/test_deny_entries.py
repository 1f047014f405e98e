"""Which entries stand for a token, how long they live, and which of them a lift may remove."""

from array import array
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from events import token_digest
from verifier_agent.redis.deny_entries import Batch, NoLongerListed, names, seconds_left, slices

# Few different halves, so that short names are shared often.
DIGESTS = st.builds(lambda high, low: high << 32 | low, st.integers(0, 3), st.integers(0, 3))
BATCHES = st.sets(DIGESTS, min_size=1).map(lambda digests: array("Q", sorted(digests)))


def test_entries_are_named_by_the_first_half_and_by_the_whole_digest() -> None:
    digest = token_digest("e30.e30.c2ln")
    whole = sha256(b"e30.e30").hexdigest()

    assert names("", digest) == (f"revoked:{whole[:8]}", f"revoked:{whole[:16]}")
    assert names("shop:", 0x0000000A0000000B) == ("shop:revoked:0000000a", "shop:revoked:0000000a0000000b")


def test_an_entry_lives_at_least_as_long_as_what_it_stands_for() -> None:
    assert seconds_left(1000.2, 100.0) == 901
    assert seconds_left(100.0, 1000.0) == 1
    assert seconds_left(float("inf"), 0.0) > 10 * 365 * 86_400


@given(st.lists(BATCHES, min_size=1, max_size=5), st.integers(1, 7))
def test_slices_hold_every_digest_once_and_no_more_than_asked_for(batches: list["array[int]"], count: int) -> None:
    cut = list(slices([Batch(float(at), batch) for at, batch in enumerate(batches)], count))

    assert [(part.expires_at, digest) for some in cut for part in some for digest in part.digests] == [
        (float(at), digest) for at, batch in enumerate(batches) for digest in batch
    ]
    assert all(sum(len(part.digests) for part in some) == count for some in cut[:-1])
    assert sum(len(part.digests) for part in cut[-1]) <= count


@given(st.lists(BATCHES, min_size=1, max_size=3), st.lists(BATCHES, max_size=4))
def test_a_lift_removes_what_no_batch_in_force_needs_and_nothing_else(
    lifted: list["array[int]"], in_force: list["array[int]"]
) -> None:
    unneeded = NoLongerListed(lifted)
    for batch in in_force:
        unneeded.keep_what_needs(batch)
    gone = {name for batch in lifted for digest in batch for name in names("", digest)}
    needed = {name for batch in in_force for digest in batch for name in names("", digest)}

    assert sorted(unneeded.names("")) == sorted(gone - needed)


def test_a_few_lifted_digests_are_searched_for_in_a_large_batch() -> None:
    large = array("Q", range(0, 1 << 40, 1 << 24))
    unneeded = NoLongerListed([array("Q", [0, 5, (1 << 33) + 1, 1 << 63])])
    unneeded.keep_what_needs(large)

    # 0 is in it; 5 shares the short name of 0; the third shares that of 1 << 33; nothing is like the last
    assert unneeded.names("") == [
        "revoked:0000000000000005",
        "revoked:0000000200000001",
        "revoked:8000000000000000",
        "revoked:80000000",
    ]
