"""How agents stand, and who has applied what."""

from typing import Any

import pytest

from events import AgentStatus, Stream, pack
from issuer.fleet.member import GRACE_SECONDS, Member, Standing, lag, named, receipt, who_cannot

NOON = 1_800_000_000.0


def member(name: str = "a", *, heard_at: float = NOON, removed_at: float | None = None, **said: Any) -> Member:
    usual: dict[str, Any] = {"max_staleness": 900.0, "freshness": 0.5, "every": 5.0, "applied": {"revocations": 7}}
    status = AgentStatus(agent=name, name=name, time=heard_at, **usual | said)
    return Member(
        id=name, client_id="c", enrolled_at=NOON, heard_at=heard_at, status=status, seq=1, removed_at=removed_at
    )


@pytest.mark.parametrize(
    ("agent", "standing"),
    [
        (member(), Standing.COUNTED),
        (member(heard_at=NOON - 16), Standing.QUIET),
        (member(freshness=None), Standing.STALE),
        (member(freshness=901.0), Standing.STALE),
        (member(freshness=901.0, max_staleness=None), Standing.COUNTED),
        (member(heard_at=NOON - 900 - GRACE_SECONDS), Standing.QUIET),
        (member(heard_at=NOON - 901 - GRACE_SECONDS), Standing.EXPIRED),
        (member(heard_at=0.0, max_staleness=None), Standing.QUIET),
        (member(farewell=True), Standing.LEFT),
        (member(farewell=True, removed_at=NOON), Standing.REMOVED),
    ],
)
def test_how_an_agent_stands(agent: Member, standing: Standing) -> None:
    assert agent.standing(NOON) is standing
    assert agent.counts(agent.heard_at, NOON) is (standing not in (Standing.EXPIRED, Standing.LEFT, Standing.REMOVED))


def test_a_receipt_counts_who_must_apply_it_and_names_who_has_not() -> None:
    members = [
        member("b", applied={"revocations": 6}),
        member("a", applied={}),
        member("c"),
        member("d", farewell=True),
    ]

    found = receipt(members, Stream.REVOCATIONS, 7, NOON, NOON)

    assert (found.counted, found.applied) == (3, 1)
    assert [(each.name, each.applied) for each in found.laggards] == [("a", 0), ("b", 6)]


def test_numbers_of_two_incarnations_tell_no_lag() -> None:
    assert lag(pack(1, 9), pack(1, 7)) == 2
    assert lag(pack(1, 7), pack(1, 9)) == 0
    assert lag(pack(2, 1), pack(1, 9)) is None


def test_only_those_who_count_keep_a_type_from_being_sent() -> None:
    members = [
        member("old", understands=("x",)),
        member("new", understands=("x", "y")),
        member("gone", understands=(), farewell=True),
    ]

    assert who_cannot(members, "y", NOON) == ["old"]
    assert who_cannot(members, "x", NOON) == []


def test_many_names_are_cut_short() -> None:
    assert named([f"web-{number}" for number in range(12)]).endswith("web-9 and 2 more")
    assert named(["a", "b"]) == "a, b"
