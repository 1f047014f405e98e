"""Names that are known for a while."""

from verifier_agent.expiring_names import ExpiringNames


def test_of_too_many_names_the_oldest_goes() -> None:
    names = ExpiringNames(2)
    for name in ("one", "two", "two"):
        names.add(name, 10.0)
    assert names.holds("one", 0.0)
    for name in ("one", "two", "one", "three"):
        names.add(name, 10.0)

    assert [names.holds(name, 0.0) for name in ("one", "two", "three")] == [True, False, True]
    assert [names.holds(name, 10.0) for name in ("one", "three")] == [False, False]
    assert len(names) == 0


def test_a_name_that_was_let_go_is_not_held_any_more() -> None:
    names = ExpiringNames(3)
    for name in ("one", "two", "three"):
        names.add(name, 10.0)

    names.drop("two")
    names.drop("never held")
    assert [names.holds(name, 0.0) for name in ("one", "two", "three")] == [True, False, True]

    names.clear()
    assert not names.holds("one", 0.0)
    assert len(names) == 0
