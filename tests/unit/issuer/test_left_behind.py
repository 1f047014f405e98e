"""Which agents a succession of event keys would leave behind."""

from events import AgentStatus, Succession
from issuer.fleet.member import Member
from issuer.keys.event_chain import ChainKey
from issuer.keys.succession import _awaited, who_is_left_behind

NOON = 1_800_000_000.0


def member(name: str, heir: str, *understands: str, farewell: bool = False) -> Member:
    status = AgentStatus(agent=name, name=name, time=NOON, heir=heir, understands=understands, farewell=farewell)
    return Member(id=name, client_id="c", enrolled_at=NOON, heard_at=NOON, status=status, seq=1)


def key(generation: int, *, is_adopted: bool = False) -> ChainKey:
    return ChainKey(
        generation=generation,
        jwk={"kid": f"key-{generation}"},
        successor=f"heir-{generation}",
        ends=None,
        began_at=NOON,
        is_adopted=is_adopted,
    )


def test_agents_that_do_not_know_the_record_or_wait_for_another_heir_are_left_behind() -> None:
    members = [
        member("follows", "heir-1", Succession.type),
        member("sleeps", "heir-0", Succession.type),
        member("old", "heir-1"),
        member("pins nothing", "", Succession.type),
        member("pins another", "stranger", Succession.type),
        member("left", "", farewell=True),
    ]

    left = who_is_left_behind(members, _awaited([key(0), key(1)]), NOON)

    assert left == ["old", "pins nothing", "pins another"]


def test_who_has_the_trust_file_of_before_an_adoption_is_left_behind() -> None:
    assert _awaited([key(0), key(1, is_adopted=True), key(2)]) == {"heir-1", "heir-2"}
