"""What of a stream has been applied, what is missing, and when a stream contradicts itself."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import StreamHead, StreamSequence, format_seq, pack, unpack
from events.sequence import FORK_MARGIN, MAX_SEQ, RECALLED_DIGESTS, Arrival, Intervals

NOON = 1_800_000_000.0


def digest_of(seq: int) -> str:
    return f"digest-{seq}"


def head_at(seq: int, floor: int = 1, digest: str | None = None) -> StreamHead:
    return StreamHead(head=seq, digest=digest_of(seq) if digest is None else digest, floor=floor)


def sequence_of(seqs: Iterable[int], time: float = NOON) -> StreamSequence:
    sequence = StreamSequence()
    for seq in seqs:
        sequence.record(seq, digest_of(seq), time)
    return sequence


# -- seq


@given(st.integers(1, 2**13 - 1), st.integers(0, 2**40 - 1))
def test_a_packed_seq_unpacks_to_its_parts_and_stays_exact_in_json(incarnation: int, number: int) -> None:
    seq = pack(incarnation, number)

    assert unpack(seq) == (incarnation, number)
    assert 0 < seq <= MAX_SEQ < 2**53
    assert format_seq(seq) == f"{incarnation}.{number}"


pairs = st.tuples(st.integers(1, 2**13 - 1), st.integers(0, 2**40 - 1))


@given(pairs, pairs)
def test_seqs_are_ordered_like_incarnation_and_number(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (pack(*one) < pack(*other)) == (one < other)


@pytest.mark.parametrize(("incarnation", "number"), [(0, 1), (-1, 1), (2**13, 1), (1, -1), (1, 2**40)])
def test_parts_out_of_range_are_no_seq(incarnation: int, number: int) -> None:
    with pytest.raises(ValueError, match=f"incarnation {incarnation} and number {number}"):
        pack(incarnation, number)


# -- intervals

ranges = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8)).map(lambda pair: (pair[0], sum(pair))), max_size=20)


@given(ranges, st.integers(0, 50), st.integers(0, 50))
def test_intervals_behave_like_a_set_of_numbers(added: list[tuple[int, int]], start: int, end: int) -> None:
    model = {number for low, high in added for number in range(low, high + 1)}
    intervals = Intervals(added)

    assert {number for low, high in intervals for number in range(low, high + 1)} == model
    assert [number in intervals for number in range(60)] == [number in model for number in range(60)]
    missing = [number for low, high in intervals.missing(start, end) for number in range(low, high + 1)]
    assert missing == [number for number in range(start, end + 1) if number not in model]
    for number in range(60):
        following = next((later for later in range(number, 80) if later not in model), 0)
        assert intervals.end_of(number) == (following - 1 if number in model else None)


@given(ranges)
def test_intervals_are_sorted_apart_and_one_form_for_one_set(added: list[tuple[int, int]]) -> None:
    intervals = list(Intervals(added))

    assert all(low <= high for low, high in intervals)
    assert all(one[1] + 1 < other[0] for one, other in pairwise(intervals))
    assert intervals == list(Intervals(reversed(added)))


# -- holes and floor


def test_what_was_not_applied_between_floor_and_head_is_a_hole() -> None:
    sequence = sequence_of([1, 2, 4, 7])

    assert sequence.holes(head_at(8)) == [(3, 3), (5, 6), (8, 8)]
    assert sequence.holes(head_at(8, floor=5)) == [(5, 6), (8, 8)]
    assert sequence.contiguous() == 2


def test_a_hole_closes_when_its_event_arrives_late() -> None:
    sequence = sequence_of([1, 3])
    sequence.record(2, digest_of(2), NOON)

    assert sequence.holes(head_at(3)) == []
    assert sequence.contiguous() == 3


def test_nothing_is_missing_when_the_floor_lies_above_the_head() -> None:
    assert StreamSequence().holes(head_at(9, floor=10)) == []


def test_what_lies_below_the_floor_need_not_arrive_and_has_no_effect_if_it_does() -> None:
    sequence = sequence_of([5])
    sequence.advance_floor(5)

    assert sequence.holes(head_at(5)) == []
    assert sequence.contiguous() == 5
    assert sequence.judge(3, digest_of(3)) is Arrival.KNOWN


def test_the_floor_never_goes_down() -> None:
    sequence = sequence_of([5])
    sequence.advance_floor(5)
    sequence.advance_floor(2)

    assert sequence.judge(4, digest_of(4)) is Arrival.KNOWN


def test_judging_changes_nothing() -> None:
    sequence = StreamSequence()

    assert [sequence.judge(1, digest_of(1)) for _ in range(2)] == [Arrival.NEW, Arrival.NEW]
    sequence.record(1, digest_of(1), NOON)
    assert sequence.judge(1, digest_of(1)) is Arrival.KNOWN


# -- incarnations


def test_a_baseline_joins_two_incarnations() -> None:
    sequence = sequence_of([])
    sequence.record(pack(1, 1), digest_of(pack(1, 1)), NOON, follows=0)
    sequence.record(pack(1, 2), digest_of(pack(1, 2)), NOON)
    assert sequence.holes(head_at(pack(2, 1))) == [(pack(1, 3), pack(2, 1))]

    sequence.record(pack(2, 1), digest_of(pack(2, 1)), NOON, follows=pack(1, 2))

    assert sequence.holes(head_at(pack(2, 1))) == []
    assert sequence.contiguous() == pack(2, 1)


def test_a_baseline_does_not_hide_what_is_missing_before_it() -> None:
    sequence = sequence_of([])
    sequence.record(pack(1, 1), digest_of(pack(1, 1)), NOON, follows=0)
    sequence.record(pack(2, 1), digest_of(pack(2, 1)), NOON, follows=pack(1, 3))

    assert sequence.holes(head_at(pack(2, 1))) == [(pack(1, 2), pack(1, 3))]


# -- forks


def test_two_events_with_one_seq_are_a_fork_that_stays() -> None:
    sequence = sequence_of([1, 2])

    assert sequence.judge(2, "another") is Arrival.FORKED
    assert sequence.fork == "two different events have sequence 0.2"
    assert sequence.judge(3, digest_of(3)) is Arrival.NEW
    assert sequence.fork is not None


def test_an_event_other_than_the_one_a_baseline_follows_is_a_fork() -> None:
    sequence = StreamSequence()
    sequence.record(pack(2, 1), "baseline", NOON, follows=pack(1, 7), follows_digest="seventh")

    assert sequence.judge(pack(1, 7), "seventh") is Arrival.NEW
    assert sequence.judge(pack(1, 7), "another") is Arrival.FORKED


def test_a_head_with_another_digest_than_the_applied_event_is_a_fork() -> None:
    sequence = sequence_of([1, 2])
    sequence.check_head(head_at(2, digest="another"), NOON)

    assert sequence.fork == "the issuer's head 0.2 is another event than the one applied"


@pytest.mark.parametrize(("margin", "forked"), [(0.0, False), (FORK_MARGIN, False), (FORK_MARGIN + 0.001, True)])
def test_a_head_below_what_was_applied_is_a_fork_only_past_the_margin(margin: float, forked: bool) -> None:
    sequence = sequence_of([1, 2, 3])
    sequence.check_head(head_at(2), NOON + margin)

    assert (sequence.fork is not None) is forked


def test_a_head_at_or_above_what_was_applied_is_no_fork() -> None:
    sequence = sequence_of([1, 2])
    sequence.check_head(head_at(2), NOON + 1000)
    sequence.check_head(head_at(7), NOON + 1000)

    assert sequence.fork is None


@given(st.permutations(range(1, 12)))
def test_the_highest_event_decides_about_a_fork_in_any_order_of_arrival(order: list[int]) -> None:
    sequence = StreamSequence()
    for seq in order:
        sequence.record(seq, digest_of(seq), NOON + seq)

    assert sequence.highest == 11
    sequence.check_head(head_at(10), NOON + 11 + FORK_MARGIN)
    assert sequence.fork is None
    sequence.check_head(head_at(10), NOON + 11 + FORK_MARGIN + 0.001)
    assert sequence.fork is not None


@pytest.mark.parametrize("backwards", [False, True])
def test_the_digests_of_the_newest_events_are_recalled_in_any_order_of_arrival(backwards: bool) -> None:
    seqs = range(1, RECALLED_DIGESTS + 11)
    sequence = sequence_of(reversed(seqs) if backwards else seqs)

    assert sequence.judge(seqs[-1], "another") is Arrival.FORKED
    assert sequence.judge(11, "another") is Arrival.FORKED
    assert sequence.judge(10, "another") is Arrival.KNOWN


# -- abandoned history


def recovered(sequence: StreamSequence, follows: int, incarnation: int = 2) -> int:
    """Hear the baseline of a recovery; its ``seq``."""
    baseline = pack(incarnation, 1)
    sequence.record(baseline, digest_of(baseline), NOON + 60, follows=follows, follows_digest=digest_of(follows))
    return baseline


FIRST = pack(1, 1)


def test_what_a_baseline_abandons_need_not_arrive_and_has_no_effect_if_it_does() -> None:
    sequence = sequence_of([FIRST, FIRST + 1])
    baseline = recovered(sequence, FIRST + 1)

    assert sequence.holes(head_at(baseline, floor=FIRST)) == []
    assert sequence.judge(FIRST + 2, digest_of(FIRST + 2)) is Arrival.KNOWN
    assert sequence.is_abandoned(FIRST + 2)
    assert not sequence.is_abandoned(FIRST + 1)
    assert not sequence.is_abandoned(baseline)


def test_a_fork_above_what_a_baseline_follows_ends_with_it() -> None:
    sequence = sequence_of(range(FIRST, FIRST + 4))
    sequence.judge(FIRST + 2, "another")
    assert sequence.fork is not None

    recovered(sequence, FIRST + 1)

    assert sequence.fork is None
    assert sequence.judge(FIRST + 2, "another") is Arrival.KNOWN
    assert sequence.fork is None


def test_a_fork_below_what_a_baseline_follows_stays_until_one_follows_less() -> None:
    sequence = sequence_of(range(FIRST, FIRST + 4))
    sequence.judge(FIRST + 1, "another")

    recovered(sequence, FIRST + 3)
    assert sequence.fork is not None

    baseline = recovered(sequence, 0, incarnation=3)
    assert sequence.fork is None
    assert sequence.holes(head_at(baseline)) == []


def test_a_head_that_lay_below_what_was_applied_is_forgiven_by_any_baseline() -> None:
    sequence = sequence_of(range(FIRST, FIRST + 4))
    sequence.check_head(head_at(FIRST), NOON + 1000)
    assert sequence.fork is not None

    recovered(sequence, FIRST + 3)

    assert sequence.fork is None


def test_an_older_baseline_heard_again_forgives_nothing_that_came_after_it() -> None:
    sequence = sequence_of([FIRST])
    baseline = recovered(sequence, FIRST)
    sequence.record(baseline + 1, digest_of(baseline + 1), NOON)
    sequence.check_head(head_at(baseline), NOON + 1000)
    assert sequence.fork is not None

    recovered(sequence, FIRST)

    assert sequence.fork is not None


def test_a_baseline_that_was_abandoned_itself_joins_nothing() -> None:
    sequence = sequence_of([FIRST, FIRST + 1])
    recovered(sequence, FIRST + 3, incarnation=3)
    recovered(sequence, FIRST, incarnation=2)

    assert sequence.holes(head_at(pack(3, 1), floor=FIRST)) == [(FIRST + 2, FIRST + 3)]


def test_a_fork_ends_when_all_that_it_may_hide_has_expired() -> None:
    sequence = sequence_of(range(1, 6))
    sequence.judge(2, "another")

    sequence.advance_floor(5)
    assert sequence.fork is not None  # what stood at 5 may have been exchanged too
    sequence.advance_floor(6)
    assert sequence.fork is None


def test_merging_takes_over_what_is_abandoned() -> None:
    one, other = sequence_of(range(FIRST, FIRST + 4)), sequence_of([FIRST])
    one.judge(FIRST + 2, "another")
    recovered(other, FIRST)
    other.merge(sequence_of(range(FIRST, FIRST + 4)).dump())
    assert other.judge(FIRST + 2, "another") is Arrival.KNOWN

    one.merge(other.dump())

    assert one.fork is None
    assert one.judge(FIRST + 2, "another") is Arrival.KNOWN


# -- dump and merge


@given(st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)), st.integers(0, 10))
def test_merging_adds_what_was_applied_elsewhere(here: set[int], there: set[int], floor: int) -> None:
    one, other = sequence_of(sorted(here)), sequence_of(sorted(there))
    other.advance_floor(floor)
    one.merge(other.dump())

    both = sequence_of(sorted(here | there))
    both.advance_floor(floor)
    assert one.dump() == both.dump()
    assert one.highest == max(here | there, default=0)


def test_a_dump_is_a_copy() -> None:
    sequence = sequence_of([1])
    dump = sequence.dump()
    sequence.record(2, digest_of(2), NOON)
    other = StreamSequence()
    other.merge(dump)

    assert other.highest == 1
    assert other.holes(head_at(2)) == [(2, 2)]


def test_a_merge_that_contradicts_what_was_applied_is_a_fork() -> None:
    one, other = sequence_of([1]), StreamSequence()
    other.record(1, "another", NOON)
    one.merge(other.dump())

    assert one.fork == "two different events have sequence 0.1"
