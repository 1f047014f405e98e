"""A part of the fault matrix that every test run can afford; ``make faults`` runs all of it.

What depends on how busy the machine is is not asserted here: how long a verification takes, and how soon agents are
fresh again. That they are is.
"""

import asyncio
import os

import pytest

from tests.faults.cell_run import CellRun
from tests.faults.matrix import cells
from tests.faults.system import System
from tests.faults.verdict import Result
from tests.services.search import services_are_required
from tests.services.service import ServiceMissing

CELLS = (
    "redis hung",
    "agent killed",
    "postgresql killed",
    "issuer killed",
    "kafka black-holed",
)
DURING_SECONDS = 2.0
BEFORE_SECONDS = 1.0
CELLS_SECONDS = 600
"""Longest that all cells may take, which the first test waits for: a minute, and several on a busy machine."""


async def run_cells() -> list[Result]:
    faults = {fault.cell: fault for fault in cells()}
    async with System() as system:
        return [
            await CellRun(system, faults[name], before=BEFORE_SECONDS, during=DURING_SECONDS).run() for name in CELLS
        ]


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    try:
        found = asyncio.run(run_cells())
    except ServiceMissing as missing:
        if services_are_required(os.environ):
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))
    return {result.cell: result for result in found}


@pytest.fixture(params=CELLS)
def result(request: pytest.FixtureRequest, results: dict[str, Result]) -> Result:
    return results[request.param]


@pytest.mark.timeout(CELLS_SECONDS)
def test_no_good_token_is_refused_beyond_policy(result: Result) -> None:
    assert result.refused == 0
    assert result.verified > 0


@pytest.mark.timeout(CELLS_SECONDS)
def test_no_agent_accepts_what_it_must_know_to_be_revoked(result: Result) -> None:
    assert result.accepted == 0


@pytest.mark.timeout(CELLS_SECONDS)
def test_no_acknowledged_revocation_is_lost(result: Result) -> None:
    assert result.lost == []
    before, _, after = result.decided
    assert before > 0
    assert after > 0


@pytest.mark.timeout(CELLS_SECONDS)
def test_every_agent_becomes_fresh_again(result: Result) -> None:
    assert None not in result.fresh_again.values()


@pytest.mark.timeout(CELLS_SECONDS)
def test_nothing_is_left_behind_in_logs_and_processes(result: Result) -> None:
    assert (result.errors, result.leaked) == ([], [])
