"""How long clients wait while others keep the issuer busy, and how often a burst of them makes it ask its store."""

import asyncio
import statistics
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from tocsin.issuing.load import Load, Order
from tocsin.issuing.putting import load_program, put
from tocsin.issuing.servers import BURST_CLIENT, LOGIN_CLIENT, PASSWORD, Server, ours, username
from tocsin.processes import Program

PACED: Final = 8
PAUSE_SECONDS: Final = 0.02
"""Of clients that do not use the processor up: what they wait for is others, not themselves."""
LEAD_SECONDS: Final = 0.3
RS256_CONNECTIONS: Final = 16
BURST_CONNECTIONS: Final = 250
BURST_SECONDS: Final = 60.0


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """How long paced clients with ES256 waited, in turns alone and beside others; milliseconds.

    Attributes:
        calm: alone, the median of the turns' p99.
        busy: beside the others.
        calm_p50: the same of the p50.
        busy_p50: beside the others.
    """

    calm: float
    busy: float
    calm_p50: float
    busy_p50: float


async def measure_logins(count: int, *, seconds: float, rounds: int) -> Beside:
    """Paced clients, alone and while so many people log in at once.

    Args:
        count: of people.
        seconds: of each turn.
        rounds: turns of each kind.

    Raises:
        CommandFailed: the issuer does not start, or a login or a request was refused.
    """
    async with AsyncExitStack() as stack:
        server, clients, people = await _one_of_ours(stack, people=count)
        grants = ({"grant_type": "password", "username": username(number)} for number in range(count))
        logins = Order(
            port=server.port,
            # Each is somebody else: the throttle has all but a few wait who try one account at once.
            requests=tuple(server.request(LOGIN_CLIENT, **grant, password=PASSWORD) for grant in grants),
            connections=count,
            seconds=0,
            most=1,
        )
        return await _beside(server, clients, people, logins, seconds, rounds)


async def measure_rs256(*, seconds: float, rounds: int) -> Beside:
    """Paced clients, alone and while others have RS256 tokens made as fast as can be.

    Args:
        seconds: of each turn.
        rounds: turns of each kind.

    Raises:
        CommandFailed: the issuer does not start, or a request was refused.
    """
    async with AsyncExitStack() as stack:
        server, clients, others = await _one_of_ours(stack)
        busy = Order(
            port=server.port,
            requests=(server.request("RS256"),),
            connections=RS256_CONNECTIONS,
            seconds=seconds + LEAD_SECONDS,
        )
        return await _beside(server, clients, others, busy, seconds, rounds)


async def _one_of_ours(stack: AsyncExitStack, people: int = 0) -> tuple[Server, Program, Program]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
    server = await stack.enter_async_context(ours(folder, people=people))
    clients = await stack.enter_async_context(load_program(folder, "clients"))
    return server, clients, await stack.enter_async_context(load_program(folder, "others"))


async def _beside(
    server: Server, clients: Program, others: Program, busy: Order, seconds: float, rounds: int
) -> Beside:
    paced = Order(
        port=server.port,
        requests=(server.request("ES256"),),
        connections=PACED,
        pause=PAUSE_SECONDS,
        seconds=seconds,
    )
    await put(clients, paced)
    found: dict[bool, list[Load]] = {False: [], True: []}
    for _ in range(rounds):
        found[False].append(await put(clients, paced))
        started = asyncio.create_task(put(others, busy))
        await asyncio.sleep(LEAD_SECONDS)
        found[True].append(await put(clients, paced))
        await started
    calm, beside = found[False], found[True]
    return Beside(
        calm=round(statistics.median(each.p99 for each in calm), 3),
        busy=round(statistics.median(each.p99 for each in beside), 3),
        calm_p50=round(statistics.median(each.p50 for each in calm), 3),
        busy_p50=round(statistics.median(each.p50 for each in beside), 3),
    )


async def measure_burst(requests: int) -> int:
    """How often the store was asked for a client that came for the first time, and with so many requests at once.

    Raises:
        CommandFailed: the issuer does not start, or a request was refused.
    """
    async with AsyncExitStack() as stack:
        server, load, _ = await _one_of_ours(stack)
        connections = min(BURST_CONNECTIONS, requests)
        before = await _loads(server)
        await put(
            load,
            Order(
                port=server.port,
                requests=(server.request(BURST_CLIENT),),
                connections=connections,
                seconds=BURST_SECONDS,
                most=requests // connections,
            ),
        )
        return await _loads(server) - before


async def _loads(server: Server) -> int:
    url = f"http://127.0.0.1:{server.port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        said = await answer.text()
    asked = {"kind": "client", "answer": "loaded"}
    samples = (sample for family in text_string_to_metric_families(said) for sample in family.samples)
    return next(
        int(sample.value) for sample in samples if sample.name == "tocsin_lookups_total" and sample.labels == asked
    )
