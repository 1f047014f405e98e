"""The rule by which configuration changes: whole or not at all, and the last good one stays."""

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier_agent import Seconds, Secret, SettingInvalid, Sources
from verifier_agent.hot import HotConfiguration

NOW = 1_000.0


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """A program's settings: a rule between two that can change, and one between those and one that cannot."""

    HOT: ClassVar[frozenset[str]] = frozenset({"least", "most", "names"})

    place: str = "here"
    password: Secret | None = None
    folder: Path = Path("x")
    url: str = "redis://user:hunter2@host/"
    least: Seconds = 1
    most: Seconds = 10
    ceiling: Seconds = 100
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.least > self.most:
            raise SettingInvalid(f"setting 'least' ({self.least:g} s) must not be above 'most' ({self.most:g} s)")
        if self.most > self.ceiling:
            raise SettingInvalid(f"setting 'most' ({self.most:g} s) must not be above 'ceiling' ({self.ceiling:g} s)")


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """Of the same program."""

    HOT: ClassVar[frozenset[str]] = frozenset({"level"})

    level: int = 1


KNOWN = frozenset({*Door.__struct_fields__, *Level.__struct_fields__, "another_programs"})


def configuration(file: dict[str, Any] | None = None, **environ: str) -> HotConfiguration:
    variables = {f"TOCSIN_{name.upper()}": value for name, value in environ.items()}
    sources = Sources(variables, file or {}, Path("tocsin.toml"), remote_name="consul key tocsin/door/")
    return HotConfiguration([Door, Level], sources, KNOWN)


def refusals(one: HotConfiguration) -> dict[str, str]:
    return {source: refused.detail for source, refused in one.report().refused.items()}


def sources_of(one: HotConfiguration) -> dict[str, str]:
    return {each.name: each.source for each in one.report().settings}


async def test_a_change_in_the_file_is_in_force_at_once_and_told_by_name() -> None:
    one, told = configuration({"most": "20s"}), list[frozenset[str]]()
    one.also_tell(told.append)
    live = one.live(Door)

    assert await one.offer_file({"most": "30s", "level": 2}, NOW)

    assert (live.now.most, one.live(Level).now.level) == (30, 2)
    assert told == [{"most", "level"}]
    assert one.changes == 1


async def test_consul_goes_before_the_environment_and_that_before_the_file() -> None:
    one = configuration({"least": 2, "most": 20}, most="30")

    assert one.live(Door).now.most == 30
    assert await one.offer_remote({"most": "40"}, NOW)

    assert (one.live(Door).now.least, one.live(Door).now.most) == (2, 40)
    assert sources_of(one) | {"least": "tocsin.toml", "most": "consul key tocsin/door/most", "level": "default"} == (
        sources_of(one)
    )


async def test_what_consul_says_no_more_falls_back_to_what_stands_elsewhere() -> None:
    one = configuration({"most": 20})
    await one.offer_remote({"most": "40", "names": "a, b"}, NOW)
    assert one.live(Door).now.names == ("a", "b")

    assert await one.offer_remote({}, NOW)

    assert (one.live(Door).now.most, one.live(Door).now.names) == (20, ())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"most": "5s", "least": "6s"},
            "'least' from consul key tocsin/door/least (6 s) must not be above 'most' (5 s)",
        ),
        ({"most": "5 parsecs", "least": "2s"}, "'most' from consul key tocsin/door/most: '5 parsecs'"),
        ({"most": "-5"}, "is no length of time; write seconds, or a number with ms, s, m, h or d"),
        ({"mots": "5"}, "there is no setting 'mots' (from consul key tocsin/door/mots); did you mean 'most'?"),
        ({"place": "there"}, "setting 'place' (from consul key tocsin/door/place) cannot change while a program runs"),
        ({"most": "200s"}, "'most' from consul key tocsin/door/most (200 s) must not be above 'ceiling' (100 s)"),
        ({"another_programs": "1"}, "there is no setting 'another_programs' (from consul key"),
        ({"level": "high"}, "setting 'level' from consul key tocsin/door/level: 'high'"),
    ],
)
async def test_a_bad_value_refuses_the_whole_change_and_the_last_good_one_stays(
    values: dict[str, str], words: str
) -> None:
    one, told = configuration(), list[frozenset[str]]()
    await one.offer_remote({"most": "7s"}, NOW)
    one.also_tell(told.append)
    before = one.live(Door).now

    assert not await one.offer_remote({"names": "new", **values}, NOW + 1)

    assert one.live(Door).now is before
    assert told == []
    assert words in refusals(one)["consul"]
    assert one.report().refused["consul"].time == NOW + 1


async def test_a_refusal_is_over_when_the_source_says_something_good() -> None:
    one = configuration()
    await one.offer_remote({"most": "x"}, NOW)
    assert refusals(one)

    assert await one.offer_remote({"most": "8"}, NOW)

    assert refusals(one) == {}


async def test_what_one_source_says_wrong_does_not_keep_the_other_from_changing_anything() -> None:
    one = configuration({"most": 20})
    assert not await one.offer_file({"most": "x"}, NOW)

    assert await one.offer_remote({"least": "3"}, NOW)

    assert (one.live(Door).now.least, one.live(Door).now.most) == (3, 20)
    assert list(refusals(one)) == ["file"]


async def test_what_was_refused_comes_into_force_when_the_other_source_makes_it_good() -> None:
    one = configuration({"most": 20})
    assert not await one.offer_remote({"least": "30"}, NOW)

    assert await one.offer_file({"most": 50}, NOW)

    assert (one.live(Door).now.least, one.live(Door).now.most) == (30, 50)
    assert refusals(one) == {}


async def test_what_takes_a_restart_is_named_and_stays_as_it_is() -> None:
    one = configuration({"place": "here", "ceiling": 100})

    assert await one.offer_file({"place": "there", "ceiling": 200, "level": 3}, NOW)

    assert (one.live(Door).now.place, one.live(Door).now.ceiling, one.live(Level).now.level) == ("here", 100, 3)
    assert one.report().waiting == ("ceiling", "place")
    assert await one.offer_file({"place": "here", "ceiling": 100, "level": 3}, NOW)
    assert one.report().waiting == ()


async def test_what_would_be_good_after_a_restart_alone_is_refused_until_then() -> None:
    one = configuration({"ceiling": 100})

    assert not await one.offer_file({"ceiling": 300, "most": 200}, NOW)

    assert one.live(Door).now.most == 10
    assert "must not be above 'ceiling' (100 s)" in refusals(one)["file"]


def test_the_report_shows_no_secret() -> None:
    one = configuration({"password": "hunter2"})
    report = msgspec.json.encode(one.report())

    assert b"hunter2" not in report
    assert {each.name: each.value for each in one.report().settings}["folder"] == "x"


VALUES = st.dictionaries(
    st.sampled_from(["least", "most", "level", "place", "ceiling", "mots"]),
    st.sampled_from(["1", "5", "20", "99", "101", "-1", "x", ""]),
)


@given(st.lists(st.tuples(st.booleans(), VALUES), max_size=8))
async def test_whatever_is_offered_in_any_order_the_settings_keep_their_rules(
    offers: list[tuple[bool, dict[str, str]]],
) -> None:
    one = configuration()
    for remote, values in offers:
        before = one.live(Door).now, one.live(Level).now
        told: list[frozenset[str]] = []
        one.also_tell(told.append)
        taken = await one.offer_remote(values, NOW) if remote else await one.offer_file(values, NOW)
        now = one.live(Door).now
        assert now.least <= now.most <= now.ceiling
        assert (now.place, now.ceiling) == ("here", 100)
        if not taken:
            assert (now, one.live(Level).now) == before
            assert refusals(one)["consul" if remote else "file"]
            assert told == []


async def test_what_somebody_else_checks_and_refuses_refuses_the_whole_change() -> None:
    one, asked = configuration(), list[msgspec.Struct]()

    async def check(settings: msgspec.Struct) -> None:
        asked.append(settings)
        await asyncio.sleep(0)
        if isinstance(settings, Door) and "cellar" in settings.names:
            raise SettingInvalid("setting 'names': there is no cellar")

    one.also_check(check)

    assert not await one.offer_file({"most": "30s", "names": ["cellar"]}, NOW)
    assert (one.live(Door).now.most, one.changes) == (10, 0)
    assert refusals(one) == {"file": "setting 'names' from tocsin.toml: there is no cellar"}
    assert await one.offer_file({"most": "30s", "names": ["attic"]}, NOW)
    assert one.live(Door).now.most == 30

    asked.clear()
    assert await one.offer_file({"most": "30s", "names": ["attic"]}, NOW)
    assert not asked, "what does not change is not checked again"
    await one.check()
    assert len(asked) == 2


async def test_changes_that_come_while_one_is_checked_wait_for_it() -> None:
    one, go_on = configuration(), asyncio.Event()

    async def check(_settings: msgspec.Struct) -> None:
        await go_on.wait()

    one.also_check(check)
    slow = asyncio.create_task(one.offer_file({"most": "30s"}, NOW))
    await asyncio.sleep(0)
    next_one = asyncio.create_task(one.offer_remote({"least": "20s"}, NOW))
    await asyncio.sleep(0)
    go_on.set()

    assert await slow
    assert await next_one, "the one before is in force: alone it would break a rule"
    assert (one.live(Door).now.least, one.live(Door).now.most) == (20, 30)
