"""What a redis URL says, and what is said of one that will not do."""

from pathlib import Path

import pytest

from verifier_agent.configuration import Secret
from verifier_agent.errors import SettingInvalid
from verifier_agent.redis.settings import Deployment, RedisPlace, check_prefix


def test_one_server() -> None:
    place = RedisPlace.parse("redis://tocsin:p%40ss@cache.example:6380/3")

    assert place.deployment is Deployment.SINGLE
    assert place.hosts == (("cache.example", 6380),)
    assert place.database == 3
    assert place.user == Secret("tocsin")
    assert place.password == Secret("p@ss")
    assert not place.tls


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("redis://cache.example", (("cache.example", 6379),)),
        ("redis://[::1]:7000", (("::1", 7000),)),
        ("redis://[::1]", (("::1", 6379),)),
        ("redis+sentinel://one,two:7000/shop", (("one", 26379), ("two", 7000))),
        ("redis+cluster://one:7000,two:7001", (("one", 7000), ("two", 7001))),
    ],
)
def test_hosts_and_their_usual_ports(url: str, hosts: tuple[tuple[str, int], ...]) -> None:
    assert RedisPlace.parse(url).hosts == hosts


def test_sentinels_have_a_master_and_may_have_a_password_of_their_own() -> None:
    place = RedisPlace.parse("rediss+sentinel://:secret@one,two/shop/2?sentinel_user=watch&sentinel_password=other")

    assert place.deployment is Deployment.SENTINEL
    assert place.tls
    assert (place.master, place.database) == ("shop", 2)
    assert place.sentinel_password == Secret("other")


def test_authorities_of_tls_come_from_a_file(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("")

    assert RedisPlace.parse(f"rediss://cache.example?ca={ca}").ca == str(ca)


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("http://cache.example", "redis://host"),
        ("redis+ring://cache.example", "redis://host"),
        ("redis://", "host:port"),
        ("redis://cache.example:0", "65535"),
        ("redis://cache.example:port", "65535"),
        ("redis://one,two", "several hosts"),
        ("redis://cache.example/first", "redis://host"),
        ("redis://cache.example/1/2", "redis://host"),
        ("redis+sentinel://one", "master"),
        ("redis+cluster://one/3", "no database but 0"),
        ("redis://cache.example?retry=3", "sentinel_password"),
        ("redis://cache.example?ca=/ca.pem", "rediss://"),
        ("rediss://cache.example?ca=/there/is/none", "names no file"),
        ("redis://cache.example?sentinel_user=me", r"redis\+sentinel://"),
        ("redis://[::1", "redis://host"),
    ],
)
def test_another_form_is_refused_and_the_message_says_what_is_allowed(url: str, named: str) -> None:
    with pytest.raises(SettingInvalid, match="setting 'redis'") as refused:
        RedisPlace.parse(url)
    assert refused.match(named)


@pytest.mark.parametrize(
    "url",
    [
        "redis://me:hunter2@",
        "redis://me:hun/ter2@cache.example",
        "redis://me:hun#ter2@cache.example",
        "redis://me:hunter2@cache.example:x",
        "redis://me:hunter2@one,two",
        "redis://me:hunter2@cache.example?password=hunter2",
        "redis://me:hunter2[@cache.example",
        "redis://me:hunter2\u2100@cache.example",
    ],
)
def test_no_message_holds_a_password(url: str) -> None:
    with pytest.raises(SettingInvalid) as refused:
        RedisPlace.parse(url)
    assert "ter2" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_place_can_be_shown() -> None:
    place = RedisPlace.parse("redis+sentinel://me:hunter2@one/shop?sentinel_password=hunter2")

    assert "hunter2" not in f"{place!r} {place}"


@pytest.mark.parametrize("prefix", ["", "tocsin:", "shop.tocsin:"])
def test_a_prefix_is_plain_text(prefix: str) -> None:
    check_prefix("redis_prefix", prefix)


@pytest.mark.parametrize("prefix", ["a{b}", "a*", "a b", "ä", "a" * 65, "[a]", "\\"])
def test_another_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(SettingInvalid, match="redis_prefix"):
        check_prefix("redis_prefix", prefix)
