"""How long from the answer of a revocation to the refusal at each agent.

Agents run in child processes (``tocsin.delivery.worker``), several in each. A worker looks at the revoked token
whenever one of its agents has applied something, and reports on the clock that all processes of a machine share.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import Any, Final

import aiohttp
import msgspec

from tocsin.admin_client import AdminClient
from tocsin.delivery.site import Site
from tocsin.errors import CommandFailed
from tocsin.processes import Program
from tocsin.settings import Credentials

REFUSAL_SECONDS: Final = 30.0


class DeliveryResult(msgspec.Struct, frozen=True, kw_only=True):
    """Times in milliseconds.

    Attributes:
        rounds: revocations decided.
        refusals: times measured, one a revocation and agent.
        answer: of the revocation, from request to answer.
        refusal: from that answer to the refusal, over all agents.
        last: the same, of the last agent of each round.
    """

    rounds: int
    refusals: int
    answer: "Spread"
    refusal: "Spread"
    last: "Spread"


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Order statistics of some times."""

    least: float
    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, times: Sequence[float]) -> "Spread":
        """Of times in seconds, in milliseconds; the p99 is the nearest rank, so one of the times."""
        ordered = sorted(1000 * time for time in times)
        rank = max(0, -(-99 * len(ordered) // 100) - 1)
        return cls(
            least=round(ordered[0], 2),
            p50=round(statistics.median(ordered), 2),
            p99=round(ordered[rank], 2),
            most=round(ordered[-1], 2),
        )


async def measure(site: Site, programs: Sequence[Program], *, warm_up: int, rounds: int) -> DeliveryResult:
    """Revoke one token after the other, and wait for every agent's refusal of each.

    The first ``warm_up`` rounds are not counted: a Java broker that has just started stops for up to 0.1 s to compile.

    Raises:
        CommandFailed: a token was not good everywhere before, or not refused everywhere after.
    """
    answers: list[float] = []
    refusals: list[float] = []
    last: list[float] = []
    async with aiohttp.ClientSession() as session, AdminClient(site.url, site.operator) as admin:
        for number in range(warm_up + rounds):
            token = await fetch_token(session, site.url, site.client)
            await asyncio.gather(*(program.write({"watch": token}) for program in programs))
            await asyncio.gather(*(expect(program, "armed") for program in programs))
            asked = time.monotonic()
            await admin.post("/admin/v1/revocations", {"token": token, "reason": "benchmark"})
            answered = time.monotonic()
            try:
                async with asyncio.timeout(REFUSAL_SECONDS):
                    reports = await asyncio.gather(*(expect(program, "refused") for program in programs))
            except TimeoutError as error:
                raise CommandFailed(f"a revoked token was still good after {REFUSAL_SECONDS:.0f} s") from error
            if number < warm_up:
                continue
            times = [at - answered for report in reports for at in report["refused"]]
            answers.append(answered - asked)
            refusals += times
            last.append(max(times))
    return DeliveryResult(
        rounds=rounds,
        refusals=len(refusals),
        answer=Spread.of(answers),
        refusal=Spread.of(refusals),
        last=Spread.of(last),
    )


async def fetch_token(session: aiohttp.ClientSession, issuer: str, client: Credentials) -> str:
    """An access token for a client.

    Raises:
        CommandFailed: the issuer refuses.
    """
    who = {"Authorization": aiohttp.encode_basic_auth(client.client_id, client.client_secret)}
    form = {"grant_type": "client_credentials"}
    async with session.post(f"{issuer}/oauth2/token", data=form, headers=who) as response:
        answer: dict[str, Any] = msgspec.json.decode(await response.read())
    if "access_token" not in answer:
        raise CommandFailed(f"no token for {client.client_id}: {answer.get('error_description')}")
    token: str = answer["access_token"]
    return token


async def expect(program: Program, member: str) -> dict[str, Any]:
    """What a worker says next.

    Raises:
        CommandFailed: it says something else.
    """
    report = await program.read()
    if member not in report:
        raise CommandFailed(f"{program.name} reports {report}")
    return report
