"""All that an agent saves to and starts from."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from events import Stream
from verifier_agent.clocks import Clock
from verifier_agent.errors import SettingInvalid, StoreUnavailable
from verifier_agent.issuer_state import IssuerState
from verifier_agent.report import RedisReport
from verifier_agent.saved.keeper import Keeper
from verifier_agent.saved.protocol import SavedState, SealedSnapshot, SnapshotSource, StateStore
from verifier_agent.saved.report import StoreReport
from verifier_agent.saved.warm_start import recall
from verifier_agent.settings import AgentSettings
from verifier_agent.verifier import Verifier

if TYPE_CHECKING:
    from verifier_agent.redis import RedisShare

log = logging.getLogger(__name__)

FROM_LOG: Final = "log"
FROM_ISSUER: Final = "issuer"
FETCH_SECONDS: Final = 5.0
"""How long the issuer may take to give a snapshot to start from; after them there is the log."""


class Stores:
    """A folder, Redis, and the issuer's snapshots: whichever the settings name.

    Attributes:
        started_from: name of what the agent started from; ``log`` when it heard everything anew.
    """

    def __init__(
        self,
        settings: AgentSettings,
        verifier: Verifier,
        clock: Clock,
        *,
        stores: Mapping[str, StateStore] | None = None,
        source: SnapshotSource | None = None,
    ) -> None:
        """Set up; nothing is opened or connected yet.

        Args:
            settings: name them.
            verifier: whose knowledge it is.
            clock: of this machine.
            stores: where to save, by name, in place of what the settings name.
            source: of new snapshots, in place of what the settings name.

        Raises:
            SettingInvalid: a setting cannot be used.
        """
        self.started_from = FROM_LOG
        self._verifier = verifier
        self._clock = clock
        self._max_age = settings.max_snapshot_age
        self._redis = (
            None if settings.redis is None else _redis_share(settings.redis, settings, clock, lambda: verifier.state)
        )
        if source is None and settings.snapshot_url is not None:
            source = _issuer_source(settings.snapshot_url)
        self._source = source
        self._keepers = [
            Keeper(name, store, verifier, clock, source=source, max_age=self._max_age)
            for name, store in (self._named(settings) if stores is None else stores).items()
        ]

    @property
    def wanted(self) -> bool:
        """Whether anything is saved at all."""
        return bool(self._keepers)

    async def recall(self) -> None:
        """Start from the first that has everything up to some moment, unless something is known already.

        What is nearest comes first: the folder, then Redis, then the issuer; then there is the log.
        """
        if self._verifier.state.keys.seq:
            return
        for keeper in self._keepers:
            if await keeper.recall() is not None and self.started_from == FROM_LOG:
                self.started_from = keeper.name
            if self._verifier.state.freshness.covered is not None:
                return
        if self._source is not None:
            await self._ask_issuer(self._source)

    def running(self) -> list[Coroutine[Any, Any, None]]:
        """What is to run as long as the agent does."""
        work = [keeper.run() for keeper in self._keepers]
        return work if self._redis is None else [*work, self._redis.run()]

    def hear(self, stream: Stream, raw: bytes) -> None:
        """Take note of an event that took effect."""
        for keeper in self._keepers:
            keeper.hear(stream, raw)

    def wake(self) -> None:
        """Something has been applied."""
        if self._redis is not None:
            self._redis.wake()

    async def close(self) -> None:
        """Save what still waits, and let go."""
        for keeper in self._keepers:
            await keeper.close()
        if self._redis is not None:
            await self._redis.close()

    def report(self) -> dict[str, StoreReport]:
        """How each is that is saved to."""
        return {keeper.name: keeper.report() for keeper in self._keepers}

    def redis_report(self) -> RedisReport | None:
        """How it stands with Redis; ``None`` without."""
        return None if self._redis is None else self._redis.status()

    def _named(self, settings: AgentSettings) -> dict[str, StateStore]:
        named: dict[str, StateStore] = {}
        if settings.state_dir is not None:
            named["disk"] = _disk_store(settings.state_dir)
        if self._redis is not None:
            named["redis"] = self._redis.store
        return named

    async def _ask_issuer(self, source: SnapshotSource) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                snapshot: SealedSnapshot = await source.fetch()
        except (StoreUnavailable, TimeoutError) as error:
            log.info("no_snapshot_at_start", extra={"error": str(error) or type(error).__name__})
            return
        recalled = await recall(SavedState(snapshot, ()), self._verifier, self._clock, self._max_age)
        if recalled.snapshot_time is None:
            return
        self.started_from = FROM_ISSUER
        for keeper in self._keepers:
            keeper.offer(snapshot)


def _disk_store(folder: Path) -> StateStore:
    try:
        from verifier_agent.saved.disk import DiskStore
    except ImportError as error:
        raise SettingInvalid("setting 'state_dir' needs a system with fcntl") from error
    return DiskStore(folder)


def _redis_share(url: str, settings: AgentSettings, clock: Clock, state: Callable[[], IssuerState]) -> "RedisShare":
    try:
        from verifier_agent.redis import RedisShare
    except ImportError as error:
        raise SettingInvalid("setting 'redis' needs redis-py: install tocsin[redis]") from error
    return RedisShare(
        url,
        state().issuer,
        clock,
        state,
        prefix=settings.redis_prefix,
        deny_list=settings.redis_deny_list,
        deny_list_prefix=settings.redis_deny_list_prefix,
        timeout=settings.redis_timeout,
    )


def _issuer_source(url: str) -> SnapshotSource:
    try:
        from verifier_agent.saved.source import IssuerSource
    except ImportError as error:
        raise SettingInvalid("setting 'snapshot_url' needs aiohttp: install tocsin[sidecar]") from error
    return IssuerSource(url)
