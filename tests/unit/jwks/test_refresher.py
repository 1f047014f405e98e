"""One load at a time, for whoever waits."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.unit.jwks.foreign_issuer import ISSUER, JWKS_URI, FakeFetcher, found, jwks, refreshing, until
from verifier_agent.clocks import SystemClock
from verifier_agent.jwks import FailureCode, ForeignIssuer, ForeignKeys, JwksFailed, JwksRefresher, Missing

PATIENCE = 30.0
"""Seconds that a test waits for what must come."""


@pytest.fixture
def fetcher() -> FakeFetcher:
    """An issuer with the key ``one``."""
    made = FakeFetcher()
    made.put(JWKS_URI, jwks("one"))
    return made


@asynccontextmanager
async def running(
    fetcher: FakeFetcher, gone: Callable[[frozenset[str]], None] = lambda _: None, **settings: Any
) -> AsyncIterator[JwksRefresher]:
    """A refresher at work, that need not pause long between two refreshes."""
    quick: dict[str, Any] = {"spacing": 0.001, "cool_down": 300} | settings
    issuer = ForeignIssuer(issuer=ISSUER, jwks_uri=JWKS_URI, **quick)
    async with refreshing(ForeignKeys(issuer), fetcher, gone) as refresher:
        yield refresher


async def test_keys_are_there_soon_after_the_start(fetcher: FakeFetcher) -> None:
    async with running(fetcher) as refresher:
        assert found(await refresher.wait_for("one", PATIENCE))
        assert found(refresher.keys.find("one", SystemClock().boot()))


async def test_a_new_key_is_found_by_who_waits(fetcher: FakeFetcher) -> None:
    async with running(fetcher) as refresher:
        await refresher.wait_for("one", PATIENCE)
        fetcher.put(JWKS_URI, jwks("one", "two"))

        assert found(await refresher.wait_for("two", PATIENCE))
        assert len(fetcher.asked) == 2


async def test_who_names_a_key_that_does_not_exist_is_told_after_one_load(fetcher: FakeFetcher) -> None:
    async with running(fetcher) as refresher:
        await refresher.wait_for("one", PATIENCE)

        assert await refresher.wait_for("bad", PATIENCE) is Missing.UNKNOWN
        assert await refresher.wait_for("worse", PATIENCE) is Missing.COOLING_DOWN
        assert len(fetcher.asked) == 2


async def test_who_waits_no_longer_does_not_end_the_load_of_the_others(fetcher: FakeFetcher) -> None:
    async with running(fetcher) as refresher:
        await refresher.wait_for("one", PATIENCE)
        fetcher.put(JWKS_URI, jwks("two"))
        fetcher.gate.clear()
        first = asyncio.create_task(refresher.wait_for("two", PATIENCE))
        second = asyncio.create_task(refresher.wait_for("two", PATIENCE))
        await until(lambda: refresher.keys.in_flight)
        first.cancel()
        assert await refresher.wait_for("two", 0.01) is Missing.PERHAPS
        fetcher.gate.set()

        assert found(await second)
        assert len(fetcher.asked) == 2


async def test_nobody_waits_for_a_refresh_that_cannot_come_in_time(fetcher: FakeFetcher) -> None:
    fetcher.answers[JWKS_URI] = JwksFailed(FailureCode.UNREACHABLE, "away")
    async with running(fetcher, spacing=200) as refresher, asyncio.timeout(PATIENCE):
        assert await refresher.wait_for("one", 100) is Missing.UNAVAILABLE
        assert refresher.keys.failures == 1


async def test_so_many_can_wait_and_no_more(fetcher: FakeFetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verifier_agent.jwks.refresher.MAX_WAITERS", 2)
    fetcher.gate.clear()
    async with running(fetcher) as refresher, asyncio.timeout(PATIENCE):
        waiting = [asyncio.create_task(refresher.wait_for("one", 100)) for _ in range(2)]
        await until(lambda: refresher.keys.in_flight)

        assert await refresher.wait_for("one", 100) is Missing.UNAVAILABLE
        fetcher.gate.set()
        assert [found(await waiter).kid for waiter in waiting] == ["one", "one"]


async def test_word_from_another_thread_wakes_the_refresher(fetcher: FakeFetcher) -> None:
    told = asyncio.Event()
    async with running(fetcher, lambda _: told.set()) as refresher:
        await refresher.wait_for("one", PATIENCE)
        fetcher.put(JWKS_URI, jwks("two"))
        asking = threading.Timer(0.1, refresher.keys.find, args=("two", SystemClock().boot()))
        asking.start()

        async with asyncio.timeout(PATIENCE / 3):  # nothing else wakes the loop
            await told.wait()
        asking.join()


async def test_keys_are_refreshed_by_their_period_though_nobody_asks(fetcher: FakeFetcher) -> None:
    async with running(fetcher, min_refresh=0.002, max_refresh=0.002) as refresher:
        await until(lambda: refresher.keys.refreshes >= 3)


async def test_what_has_gone_is_told_to_who_must_forget_it(fetcher: FakeFetcher) -> None:
    told: list[frozenset[str]] = []
    async with running(fetcher, told.append) as refresher:
        await refresher.wait_for("one", PATIENCE)
        fetcher.put(JWKS_URI, jwks("two"))
        await refresher.wait_for("two", PATIENCE)

    assert told == [{"one"}]


async def test_a_failure_is_logged_and_the_keys_stay(fetcher: FakeFetcher, caplog: pytest.LogCaptureFixture) -> None:
    async with running(fetcher, min_refresh=0.002, max_refresh=0.002) as refresher:
        await refresher.wait_for("one", PATIENCE)
        fetcher.put(JWKS_URI, b"", 500)
        await until(lambda: refresher.keys.failures)

        assert found(await refresher.wait_for("one", 0))
    assert "jwks_unreadable" in [record.message for record in caplog.records]


@pytest.mark.parametrize("fault", [RuntimeError("a bug"), KeyError("another")])
async def test_a_fault_of_a_library_does_not_end_the_refreshing(
    fetcher: FakeFetcher, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    good = fetcher.answers[JWKS_URI]
    fetcher.answers[JWKS_URI] = fault
    async with running(fetcher, cool_down=0.002) as refresher:
        await until(lambda: refresher.keys.failures)
        fetcher.answers[JWKS_URI] = good
        await until(lambda: refresher.keys.refreshes)

        assert found(refresher.keys.find("one", SystemClock().boot()))


async def test_a_refresher_that_was_ended_during_a_load_can_run_again(fetcher: FakeFetcher) -> None:
    fetcher.gate.clear()
    issuer = ForeignIssuer(issuer=ISSUER, jwks_uri=JWKS_URI, spacing=0.001)
    refresher = JwksRefresher(ForeignKeys(issuer), fetcher, SystemClock())
    ended = asyncio.create_task(refresher.run())
    await until(lambda: fetcher.asked)
    ended.cancel()
    await asyncio.wait([ended])
    assert not refresher.keys.in_flight
    assert refresher.keys.on_wanted is None

    fetcher.gate.set()
    again = asyncio.create_task(refresher.run())
    assert found(await refresher.wait_for("one", PATIENCE))
    again.cancel()
    await asyncio.wait([again])
