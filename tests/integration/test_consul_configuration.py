"""Configuration from a real Consul: changed, refused, away, wiped; for issuers and agents that run."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from issuer.settings import IssuerSettings
from tests.services.service import Service
from tests.unit.hot.test_hot_configuration import KNOWN, Door, Level
from verifier_agent import Sources
from verifier_agent.clocks import SystemClock
from verifier_agent.consul import ConsulPlace, ConsulSettings
from verifier_agent.consul.connection import ConsulConnection
from verifier_agent.hot import HotConfiguration
from verifier_agent.hot.following import Following, following, registered

SOON = 30.0
"""Seconds within which what is expected happens; none of it takes that long."""


@asynccontextmanager
async def followed(address: str, prefix: str, cache: Path | None = None) -> AsyncIterator[Following]:
    configuration = HotConfiguration([Door, Level], Sources({}, {}), KNOWN)
    settings = ConsulSettings(consul=f"{address}/{prefix}", consul_cache=cache)
    async with following(configuration, settings, "door", SystemClock()) as one:
        yield one


async def say(address: str, prefix: str, **values: str | None) -> None:
    """Change the folder, as an operator does who knows nothing of its versions."""
    for name, value in values.items():
        url = f"{address}/v1/kv/{prefix}/door/{name}"
        method, data = ("DELETE", None) if value is None else ("PUT", value.encode())
        await asyncio.to_thread(_send, urllib.request.Request(url, data=data, method=method))  # noqa: S310 - loopback


def _send(request: urllib.request.Request | str) -> Any:
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
        return json.load(answer)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


def door(one: Following) -> Door:
    return one.configuration.live(Door).now


def refused(one: Following) -> str:
    given = one.report().refused.get("consul")
    return "" if given is None else given.detail


async def test_what_consul_says_at_the_start_is_in_force_and_every_change_after_it(consul: Service) -> None:
    await say(consul.address, "changed", most="20s", names="a, b")
    async with followed(consul.address, "changed") as one:
        assert (door(one).most, door(one).names) == (20, ("a", "b"))

        await say(consul.address, "changed", most="30s")
        await until(lambda: door(one).most == 30)
        await say(consul.address, "changed", most=None)
        await until(lambda: door(one).most == 10)
        assert one.report().consul == {
            **(one.report().consul or {}), "folder": "door", "error": None, "emptied": False
        }  # fmt: skip


async def test_a_bad_value_is_refused_whole_and_told_until_it_is_mended(consul: Service) -> None:
    async with followed(consul.address, "refused") as one:
        await say(consul.address, "refused", most="20s", mots="1")
        await until(lambda: "did you mean 'most'" in refused(one))
        await say(consul.address, "refused", most="25s")

        await say(consul.address, "refused", mots=None)

        await until(lambda: door(one).most == 25)
        assert refused(one) == ""


async def test_several_settings_change_at_once_or_not_at_all(consul: Service) -> None:
    async with ConsulConnection(ConsulPlace.parse(f"{consul.address}/at-once")) as connection:
        async with followed(consul.address, "at-once") as one:
            told: list[frozenset[str]] = []
            one.configuration.also_tell(told.append)

            assert await connection.write("door", {"least": "50s", "most": "60s"}, {})

            await until(lambda: door(one).least == 50)
            assert told == [{"least", "most"}]
        read = await connection.folder("door")
        assert await connection.write("door", {"least": "51s"}, read.versions)
        assert not await connection.write("door", {"most": "70s"}, read.versions), "another was changed meanwhile"
        assert (await connection.folder("door")).values == {"least": b"51s", "most": b"60s"}


async def test_with_consul_away_everything_goes_on_and_what_changed_meanwhile_is_heard_when_it_is_back(
    consul_of_its_own: Service,
) -> None:
    consul = consul_of_its_own
    await say(consul.address, "away", most="20s")
    async with followed(consul.address, "away") as one:
        await asyncio.to_thread(consul.kill)
        await until(lambda: (one.report().consul or {})["error"] is not None)
        assert door(one).most == 20

        await asyncio.to_thread(consul.start)
        await say(consul.address, "away", most="30s")

        await until(lambda: door(one).most == 30)
        assert (one.report().consul or {})["error"] is None


async def test_a_consul_that_hangs_holds_up_no_start(consul_of_its_own: Service) -> None:
    consul = consul_of_its_own
    await asyncio.to_thread(consul.pause)
    async with asyncio.timeout(SOON):
        async with followed(consul.address, "hangs") as one:
            assert door(one).most == 10
            await until(lambda: "no answer" in ((one.report().consul or {})["error"] or ""))
            await asyncio.to_thread(consul.resume)
            await until(lambda: (one.report().consul or {})["error"] is None)


async def test_a_consul_that_has_lost_its_data_takes_nothing_back(consul_of_its_own: Service, tmp_path: Path) -> None:
    consul = consul_of_its_own
    for number in range(30):  # so that the index is far ahead of a new store's
        await say(consul.address, "wiped", names=str(number))
    await say(consul.address, "wiped", most="20s", names=None)
    async with followed(consul.address, "wiped", tmp_path) as one:
        await until(lambda: door(one).most == 20)

        await asyncio.to_thread(consul.restart_empty)

        await until(lambda: (one.report().consul or {})["emptied"])
        assert door(one).most == 20
    async with followed(consul.address, "wiped", tmp_path) as another:
        assert door(another).most == 20, "nor from who starts after that"
        await say(consul.address, "wiped", most="40s")
        await until(lambda: door(another).most == 40)


async def test_who_starts_without_consul_goes_by_what_was_good_last(consul_of_its_own: Service, tmp_path: Path) -> None:
    consul = consul_of_its_own
    await say(consul.address, "kept", most="20s")
    async with followed(consul.address, "kept", tmp_path) as one:
        await until(lambda: door(one).most == 20)
    await asyncio.to_thread(consul.stop)

    async with followed(consul.address, "kept", tmp_path) as another:
        assert door(another).most == 20


async def test_a_program_is_a_service_with_a_health_check_for_as_long_as_it_runs(consul: Service) -> None:
    settings = ConsulSettings(consul=f"{consul.address}/registered", consul_register=True, consul_address="127.0.0.1")
    configuration = HotConfiguration([Door, Level], Sources({}, {}), KNOWN)
    async with following(configuration, settings, "door", SystemClock()) as one:
        async with registered(one.consul, settings, "tocsin-door", "0.0.0.0", 4711, tls=False):  # noqa: S104 - a name
            await until(lambda: "tocsin-door-127.0.0.1-4711" in services(consul.address))
            check = services(consul.address)["tocsin-door-127.0.0.1-4711"]
            assert (check["Service"], check["Address"], check["Port"]) == ("tocsin-door", "127.0.0.1", 4711)
        assert "tocsin-door-127.0.0.1-4711" not in services(consul.address)


def services(address: str) -> Any:
    return _send(f"{address}/v1/agent/services")


async def test_every_hot_setting_of_the_issuer_can_be_set(consul: Service) -> None:
    """What can change while an issuer runs must be writable as text, as Consul has it."""
    values = {"access_token_lifetime": "10m", "grant_lifetime": "1d", "refresh_token_lifetime": "1d"}
    values |= {"refresh_grace": "5s", "user_claims": "roles", "audience": "other"}
    least = {"issuer": "https://i.example", "store": "sqlite:///x.db", "log": "memory:", "kek_file": "kek"}
    configuration = HotConfiguration([IssuerSettings], Sources({}, least), frozenset(IssuerSettings.__struct_fields__))
    before = msgspec.structs.asdict(configuration.live(IssuerSettings).now)

    for name in IssuerSettings.HOT & values.keys():
        assert await configuration.offer_remote({name: values[name]}, 0.0), configuration.report().refused
        after = msgspec.structs.asdict(configuration.live(IssuerSettings).now)
        assert {each for each in after if after[each] != before[each]} == {name}
