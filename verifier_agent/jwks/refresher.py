"""Keeps the keys of one foreign issuer up to date: one load at a time, and whoever may wait waits for that one."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from verifier_agent.clocks import Clock
from verifier_agent.jwks.document import ForeignKey
from verifier_agent.jwks.errors import FailureCode, JwksFailed
from verifier_agent.jwks.foreign_keys import ForeignKeys
from verifier_agent.jwks.source import JwksFetcher, JwksSource
from verifier_agent.jwks.unknown_kids import Missing

log = logging.getLogger(__name__)

MAX_WAITERS: Final = 4096
LONGEST_SLEEP: Final = 30.0
"""Seconds; the event loop's clock stands still while the machine is suspended, the one that keys age by does not."""


class JwksRefresher:
    """Refreshes when ``ForeignKeys`` wants it. One task runs it and owns it.

    Attributes:
        keys: what it keeps up to date.
    """

    def __init__(
        self,
        keys: ForeignKeys,
        fetcher: JwksFetcher,
        clock: Clock,
        gone: Callable[[frozenset[str]], None] = lambda _: None,
    ) -> None:
        """Set up; nothing is asked yet.

        Args:
            keys: what to keep up to date.
            fetcher: asks over the network.
            clock: its boot-time clock is the one for ``keys``.
            gone: called, on the event loop, with the ``kid``s whose tokens must be verified anew.
        """
        self.keys = keys
        self._source = JwksSource(keys.issuer, fetcher)
        self._clock = clock
        self._gone = gone
        self._woken = asyncio.Event()
        self._settled = asyncio.Event()
        self._waiters = 0

    async def run(self) -> None:
        """Refresh until cancelled."""
        loop = asyncio.get_running_loop()
        self.keys.on_wanted = lambda: _wake(loop, self._woken)
        try:
            while True:
                await self._sleep()
                if self.keys.wants_refresh(self._clock.boot()):
                    await self._refresh()
        finally:
            self.keys.on_wanted = None

    async def wait_for(self, kid: str, timeout: float, caller: str | None = None) -> ForeignKey | Missing:
        """The key of this name; when that takes a refresh that can come in time, after it.

        For callers that may wait, as the sidecar's may. Nobody's leaving ends the load that others wait for.

        Args:
            kid: as an unverified token names it.
            timeout: seconds to wait at most.
            caller: see ``ForeignKeys.find``.
        """
        deadline = self._clock.boot() + timeout
        try:
            async with asyncio.timeout(timeout):
                while True:
                    settled, now = self._settled, self._clock.boot()
                    answer = self.keys.find(kid, now, caller)
                    if not self._is_worth_waiting(answer, deadline):
                        return answer
                    self._waiters += 1
                    try:
                        await settled.wait()
                    finally:
                        self._waiters -= 1
        except TimeoutError:
            return self.keys.find(kid, self._clock.boot(), caller)

    def _is_worth_waiting(self, answer: ForeignKey | Missing, deadline: float) -> bool:
        if answer is not Missing.PERHAPS and answer is not Missing.UNAVAILABLE:
            return False
        comes = self.keys.in_flight or self.keys.next_refresh() < deadline
        return comes and self._waiters < MAX_WAITERS

    async def _sleep(self) -> None:
        """Until a refresh is wanted, or somebody has come to want one."""
        pause = self.keys.next_refresh() - self._clock.boot()
        if pause <= 0:
            return
        try:
            async with asyncio.timeout(min(pause, LONGEST_SLEEP)):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()

    async def _refresh(self) -> None:
        """One load, from its beginning to what becomes of it."""
        keys, issuer = self.keys, self.keys.issuer.issuer
        keys.begin(self._clock.boot())
        try:
            loaded = await self._source.load(self._clock.boot())
            if loaded.document is None:
                keys.confirmed(loaded.max_age, self._clock.boot())
            elif gone := keys.refreshed(loaded.document, loaded.max_age, self._clock.boot()):
                log.info("foreign_keys_gone", extra={"issuer": issuer, "kids": sorted(gone)})
                self._gone(gone)
        except JwksFailed as error:
            keys.failed(error, self._clock.boot())
            log.warning("jwks_unreadable", extra={"issuer": issuer, "code": str(error.code), "error": error.detail})
        except Exception as error:
            # A fault of a library, or of who is told, must not end the refreshing: keys would grow old unseen.
            keys.failed(JwksFailed(FailureCode.UNREACHABLE, type(error).__name__), self._clock.boot())
            log.exception("jwks_refresh_failed", extra={"issuer": issuer})
        finally:
            keys.abandoned()
            settled, self._settled = self._settled, asyncio.Event()
            settled.set()


def _wake(loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> None:
    """From any thread; the program may be about to end."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(woken.set)
