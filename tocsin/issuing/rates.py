"""Tokens for a second of processor: every issuer in turn, on one processor, and the load on another."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp
import jwt
import msgspec

from tocsin.errors import CommandFailed
from tocsin.issuing.load import Order
from tocsin.issuing.putting import load_program, put
from tocsin.issuing.servers import ALGORITHMS, STARTED, Server, Started
from tocsin.issuing.usage import pin, processors, usage_of
from tocsin.processes import Program

CONNECTIONS: Final = 32
CLAIMS: Final = {"iss", "sub", "aud", "exp", "iat", "jti", "client_id"}


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of full load.

    Attributes:
        per_cpu: tokens for each second of the processor that the process used, in all its threads and in the system.
        per_second: tokens a second, of a process that has one processor.
        p50: milliseconds from a request to its answer, with every connection busy.
        p99: of the same.
        resident: bytes, at its end.
    """

    per_cpu: float
    per_second: float
    p50: float
    p99: float
    resident: int


Rates = dict[str, dict[str, list[Turn]]]
"""By algorithm and issuer."""


async def measure_rates(others: Mapping[str, Started], *, seconds: float, rounds: int) -> Rates:
    """Every issuer in turn, over and over; the first round does not count, unless it is the only one.

    Args:
        others: issuers beside ours and the bare ones, by name.
        seconds: of each turn.
        rounds: turns of each issuer.

    Raises:
        CommandFailed: one does not start, or what it gives is no token.
    """
    rates: Rates = {}
    for alg in ALGORITHMS:
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
            servers = {}
            for name, started in {**STARTED, **others}.items():
                place = folder / name
                place.mkdir()
                servers[name] = await stack.enter_async_context(started(place, alg))
            load = await stack.enter_async_context(load_program(folder))
            _apart(list(servers.values()), load)
            for server in servers.values():
                await check(server, alg)
            rates[alg] = {name: [] for name in servers}
            for number in range(rounds):
                for name, server in servers.items():
                    turn = await _turn(server, load, alg, seconds)
                    if number or rounds == 1:
                        rates[alg][name].append(turn)
    return rates


def _apart(servers: Sequence[Server], load: Program) -> None:
    if (places := processors()) is not None:
        for server in servers:
            pin(server.process, places[0])
        pin(load.pid, places[1])


async def _turn(server: Server, load: Program, alg: str, seconds: float) -> Turn:
    order = Order(port=server.port, requests=(server.request(alg),), connections=CONNECTIONS, seconds=seconds)
    before = usage_of(server.process)
    found = await put(load, order)
    after = usage_of(server.process)
    return Turn(
        per_cpu=round(found.answers / (after.cpu - before.cpu), 1),
        per_second=round(found.answers / found.seconds, 1),
        p50=round(found.p50, 3),
        p99=round(found.p99, 3),
        resident=after.resident,
    )


async def check(server: Server, alg: str) -> None:
    """Make sure that it gives a JWT of that algorithm with the claims of RFC 9068, and none for a wrong secret.

    Raises:
        CommandFailed: it does not.
    """
    url, form = f"http://127.0.0.1:{server.port}/oauth2/token", {"grant_type": "client_credentials"}
    client = server.clients[alg]
    async with aiohttp.ClientSession() as session:
        for secret, expected in ((client.client_secret, 200), (client.client_secret[::-1], 401)):
            by = {"Authorization": aiohttp.encode_basic_auth(client.client_id, secret)}
            async with session.post(url, data=form, headers=by) as answer:
                if answer.status != expected:
                    raise CommandFailed(f"port {server.port} answered {answer.status} in place of {expected}")
                if expected == 200:
                    token = (await answer.json())["access_token"]
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    if jwt.get_unverified_header(token)["alg"] != alg or not claims.keys() >= CLAIMS:
        raise CommandFailed(f"port {server.port} gave a token of another kind: {sorted(claims)}")
