"""Many digests, sorted and each once, whether they fit into memory or not."""

import random
from hashlib import sha256

import pytest

from events.digests import TokenDigest, pack_digests, unpack_digests
from tocsin.mass.sorted_digests import SortedDigests


def packed(digests: list[int]) -> bytes:
    return b"".join(digest.to_bytes(8) for digest in digests)


def some(count: int) -> list[int]:
    chosen = random.Random(7)  # noqa: S311 - the same in each run
    return [chosen.getrandbits(64) for _ in range(count)]


@pytest.mark.parametrize("in_memory", [1 << 20, 1000, 1])
def test_they_come_sorted_and_once_each_in_batches(monkeypatch: pytest.MonkeyPatch, in_memory: int) -> None:
    monkeypatch.setattr("tocsin.mass.sorted_digests.IN_MEMORY", in_memory)
    given = [*some(5000), 0, 2**64 - 1, *some(100)]
    with SortedDigests() as digests:
        for start in range(0, len(given), 700):
            digests.add(packed(given[start : start + 700]))
        digests.sort()

        assert (digests.added, digests.count, digests.batches(1000)) == (5102, 5002, 6)
        batches = [digests.batch(number, 1000) for number in range(6)]
    assert batches[-1] == pack_digests(map(TokenDigest, sorted(set(given))[-2:]))
    assert [digest for batch in batches for digest in unpack_digests(batch)] == sorted(set(given))
    assert digests.fingerprint == sha256(b"".join(batches)).hexdigest()


def test_the_order_and_repetition_of_what_is_added_make_no_difference() -> None:
    given = some(300)
    fingerprints = set()
    for order in (given, sorted(given), given[::-1] * 2):
        with SortedDigests() as digests:
            digests.add(packed(order))
            digests.sort()
            fingerprints.add(digests.fingerprint)
    assert len(fingerprints) == 1


def test_none_are_no_batch() -> None:
    with SortedDigests() as digests:
        digests.sort()
        assert (digests.count, digests.batches(50)) == (0, 0)
