"""Many callers at one unknown kid, and many unknown kids from one caller, over real HTTP."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests.integration.jwks_server import CERTS, JwksServer
from tests.unit.jwks.foreign_issuer import found, refreshing, until
from verifier_agent.jwks import ForeignIssuer, ForeignKey, ForeignKeys, JwksRefresher, Missing
from verifier_agent.jwks.http_fetcher import HttpFetcher
from verifier_agent.jwks.unknown_kids import MAX_WANTED_BY_CALLER

CALLERS = 1000
PATIENCE = 60.0


@pytest.fixture
async def server() -> AsyncIterator[JwksServer]:
    """An issuer with one key."""
    async with JwksServer() as started:
        yield started


@pytest.fixture
async def refresher(server: JwksServer) -> AsyncIterator[JwksRefresher]:
    """Knows its key."""
    keys = ForeignKeys(ForeignIssuer(issuer=server.issuer, jwks_uri=server.jwks_uri, spacing=0.05, cool_down=300))
    async with refreshing(keys, HttpFetcher()) as running:
        await until(lambda: keys.refreshes)
        server.asked.clear()
        yield running


async def test_a_thousand_callers_at_one_new_kid_cost_one_load(server: JwksServer, refresher: JwksRefresher) -> None:
    server.kids = ["one", "new"]

    answers = await asyncio.gather(
        *(refresher.wait_for("new", PATIENCE, f"caller {number}") for number in range(CALLERS))
    )

    assert {id(found(answer)) for answer in answers} == {id(refresher.keys.keys["new"])}
    assert server.asked == [CERTS]


async def test_a_thousand_callers_at_one_bad_kid_cost_one_load(server: JwksServer, refresher: JwksRefresher) -> None:
    answers = await asyncio.gather(
        *(refresher.wait_for("bad", PATIENCE, f"caller {number}") for number in range(CALLERS))
    )

    assert set(answers) == {Missing.UNKNOWN}
    assert server.asked == [CERTS]


async def test_a_thousand_kids_of_one_caller_cost_one_load_and_hide_no_new_key_from_another(
    server: JwksServer, refresher: JwksRefresher
) -> None:
    answers = await asyncio.gather(
        *(refresher.wait_for(f"bad {number}", PATIENCE, "attacker") for number in range(CALLERS))
    )
    counts = Counter(answer if isinstance(answer, Missing) else ForeignKey for answer in answers)
    assert counts == {
        Missing.UNKNOWN: MAX_WANTED_BY_CALLER,
        Missing.COOLING_DOWN: CALLERS - MAX_WANTED_BY_CALLER,
    }
    assert server.asked == [CERTS]

    server.kids = ["new"]
    flood = [refresher.wait_for(f"worse {number}", PATIENCE, "attacker") for number in range(CALLERS)]
    *refused, answer = await asyncio.gather(*flood, refresher.wait_for("new", PATIENCE, "somebody"))

    assert found(answer)
    assert set(refused) == {Missing.COOLING_DOWN}
    assert server.asked == [CERTS, CERTS]


async def test_a_stampede_at_the_start_costs_one_load(server: JwksServer) -> None:
    keys = ForeignKeys(ForeignIssuer(issuer=server.issuer, jwks_uri=server.jwks_uri))
    async with refreshing(keys, HttpFetcher()) as refresher:
        answers = await asyncio.gather(
            *(refresher.wait_for("one", PATIENCE, f"caller {number}") for number in range(CALLERS))
        )

    assert len({id(found(answer)) for answer in answers}) == 1
    assert server.asked == [CERTS]
