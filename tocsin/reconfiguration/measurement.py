"""Settings changed in a real Consul, one after the other, and the moment at which each is seen in what programs do."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import jwt
import msgspec

from issuer.keys.choice import key_wrappers
from issuer.keys.generation import generate
from issuer.keys.key_list import ListedKey
from issuer.keys.list_opening import listed_key
from issuer.keys.vault import TOKEN_KEY, seal
from issuer.settings import IssuerSettings
from tocsin.delivery import Site, Spread, fetch_token, site
from tocsin.delivery.reach import expect
from tocsin.errors import CommandFailed
from tocsin.processes import Program, workers
from verifier_agent import Sources
from verifier_agent.consul import ConsulPlace, ConsulUnavailable
from verifier_agent.consul.connection import ConsulConnection

ROUND_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.005
"""Between two tokens asked for, to see what the issuer goes by."""
ELSEWHERE: Final = "elsewhere"
LIFETIMES: Final = (61, 62)


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured.

    Attributes:
        agents: in all, each with a connection to Consul of its own.
        processes: that they run in.
        rounds: changes of each kind.
    """

    agents: int = 10
    processes: int = 2
    rounds: int = 50


class ConfigurationResult(msgspec.Struct, frozen=True, kw_only=True):
    """Times in milliseconds, each from the moment at which Consul is asked to write.

    Attributes:
        rounds: changes of each kind.
        agents: until an agent judges a token by the new setting, over all agents.
        last: the same, of the last agent of each round.
        issuer: until a token comes by the new setting; the first of a lifetime that was set.
        keys: until a token comes that the new first of the list of keys has signed.
    """

    rounds: int
    agents: Spread
    last: Spread
    issuer: Spread
    keys: Spread


async def measure_configuration(folder: Path, consul: str, log: str | None, extent: Extent) -> ConfigurationResult:
    """Run an issuer and agents as processes, told by a folder of their own in Consul, which is removed afterwards.

    Raises:
        CommandFailed: Consul does not answer, a program does not start, or a change has no effect.
        SettingInvalid: the URL is none of a Consul.
    """
    address, question, options = consul.partition("?")
    url = f"{address.rstrip('/')}/bench-{secrets.token_hex(4)}{question}{options}"
    place = ConsulPlace.parse(url)
    try:
        async with (
            _folder_of_its_own(place) as connection,
            site(folder, log, further=f'consul = "{url}"\n') as issuer,
            _workers(issuer, extent) as workers,
            aiohttp.ClientSession() as session,
        ):
            bench = _Bench(connection, issuer, workers, session)
            agents = [await bench.agents(number) for number in range(extent.rounds)]
            lifetimes = [await bench.lifetime(number) for number in range(extent.rounds)]
            entries = [await _entry(issuer) for _ in range(2)]
            await bench.key(entries)  # the first time both are new, and made known
            keys = [await bench.key(entries[:: -1 if number % 2 == 0 else 1]) for number in range(extent.rounds)]
    except ConsulUnavailable as error:
        raise CommandFailed(f"Consul at {place.url}: {error}") from error
    return ConfigurationResult(
        rounds=extent.rounds,
        agents=Spread.of([time for times in agents for time in times]),
        last=Spread.of([max(times) for times in agents]),
        issuer=Spread.of(lifetimes),
        keys=Spread.of(keys),
    )


class _Bench:
    """One issuer and its agents, and the operator who changes what Consul says."""

    def __init__(
        self, connection: ConsulConnection, place: Site, workers: list[Program], session: aiohttp.ClientSession
    ) -> None:
        self._connection = connection
        self._place = place
        self._workers = workers
        self._session = session

    async def agents(self, number: int) -> list[float]:
        """Set another audience at all agents; seconds until each judges a token by it."""
        token = await self._token()
        good = number % 2 == 1
        await asyncio.gather(*(worker.write({"watch": token, "good": good}) for worker in self._workers))
        await asyncio.gather(*(expect(worker, "armed") for worker in self._workers))
        asked = await self._set("agent", "audience", _claims(token)["aud"] if good else ELSEWHERE)
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                reports = await asyncio.gather(*(expect(worker, "changed") for worker in self._workers))
        except TimeoutError as error:
            raise CommandFailed(f"'audience' had no effect within {ROUND_SECONDS:.0f} s") from error
        return [at - asked for report in reports for at in report["changed"]]

    async def lifetime(self, number: int) -> float:
        """Set another lifetime of tokens; seconds until one has it."""
        wanted = LIFETIMES[number % 2]
        asked = await self._set("issuer", "access_token_lifetime", f"{wanted}s")

        def has_it(token: str) -> bool:
            claims = _claims(token)
            return bool(claims["exp"] - claims["iat"] == wanted)

        return await self._until(has_it, "access_token_lifetime") - asked

    async def key(self, entries: list[ListedKey]) -> float:
        """Set a list of keys; seconds until its first has signed a token."""
        asked = await self._set("issuer", "signing_keys", ",".join(entry.text().reveal() for entry in entries))

        def signed_by_first(token: str) -> bool:
            return bool(jwt.get_unverified_header(token)["kid"] == entries[0].kid)

        return await self._until(signed_by_first, "signing_keys") - asked

    async def _set(self, folder: str, name: str, value: str) -> float:
        """Write to Consul; when that was asked for."""
        versions = (await self._connection.folder(folder)).versions
        asked = time.monotonic()
        if not await self._connection.write(folder, {name: value}, versions):
            raise CommandFailed("others change the folder of this benchmark in Consul")
        return asked

    async def _until(self, holds: Callable[[str], bool], name: str) -> float:
        """When the first token comes of which this holds, by the setting of this name."""
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                while not holds(await self._token()):  # noqa: ASYNC110 - the issuer tells nobody
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError as error:
            raise CommandFailed(f"{name!r} had no effect within {ROUND_SECONDS:.0f} s") from error
        return time.monotonic()

    def _token(self) -> Awaitable[str]:
        return fetch_token(self._session, self._place.url, self._place.client)


def _claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


@asynccontextmanager
async def _folder_of_its_own(place: ConsulPlace) -> AsyncIterator[ConsulConnection]:
    async with ConsulConnection(place) as connection:
        await connection.folder("agent")  # whether it answers, before anything is started
        try:
            yield connection
        finally:
            await connection.ask(lambda api: api.kv.delete(f"{place.prefix}/", recurse=True))


def _workers(place: Site, extent: Extent) -> AbstractAsyncContextManager[list[Program]]:
    def command(share: int) -> list[str]:
        return ["tocsin.reconfiguration.worker", str(place.config), str(share)]

    return workers("configured", command, place.folder, agents=extent.agents, processes=extent.processes)


async def _entry(place: Site) -> ListedKey:
    """A new key for the list."""
    wrappers = await key_wrappers(Sources.find({}, place.config).read(IssuerSettings))
    jwk = await asyncio.to_thread(generate, "ES256")
    return listed_key(await seal(wrappers.current, jwk, TOKEN_KEY))
