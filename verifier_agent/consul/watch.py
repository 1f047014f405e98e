"""Follows one folder of Consul's key-value store by blocking queries."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from verifier_agent.consul.connection import ConsulConnection, Folder
from verifier_agent.consul.errors import ConsulUnavailable

log = logging.getLogger(__name__)

WAIT_SECONDS: Final = 15.0
"""Of one blocking query: so soon a Consul is noticed that hangs, and proxies on the way have longer time-outs."""
LEAST_PAUSE: Final = 0.02
"""Between two queries: a folder that changes all the time must not become a loop without rest."""
FIRST_PAUSE: Final = 0.2
LAST_PAUSE: Final = 5.0
MAX_VALUES: Final = 200


class Kept(msgspec.Struct, frozen=True):
    """The last good state of a folder, as it is kept in a file.

    Attributes:
        index: of the store.
        values: by name.
    """

    index: int
    values: dict[str, str]


class FolderWatch:
    """Tells what a folder holds, at first and after every change.

    A store that has lost its data has an index that went back and nothing in the folder: then what it held stays in
    force until something is there again. Where the index went on, an empty folder was emptied by somebody.

    Attributes:
        error: why Consul could not be asked the last time, or ``None``.
        emptied: whether the store has lost its data, and what it held is in force still.
        told: how often the folder was told.
    """

    def __init__(
        self,
        connection: ConsulConnection,
        folder: str,
        tell: Callable[[Mapping[str, str]], Awaitable[bool]],
        *,
        cache: Path | None = None,
        refuse: Callable[[str], None] = lambda _: None,
        chance: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Set up.

        Args:
            connection: to Consul.
            folder: below the prefix.
            tell: is given the values by name; says whether they are good.
            cache: file to keep the last good values in.
            refuse: is told why what the folder holds cannot even be read.
            chance: between two bounds, for the pauses of a fleet.
        """
        self.error: str | None = None
        self.emptied = False
        self.told = 0
        self._connection = connection
        self._folder = folder
        self._tell = tell
        self._cache = cache
        self._refuse = refuse
        self._chance = chance
        self._index = 0
        self._values: dict[str, str] | None = None
        self._pause = FIRST_PAUSE

    @property
    def has_heard(self) -> bool:
        """Whether it is known what the folder holds, be it from the file."""
        return self._values is not None

    async def recall(self) -> None:
        """Start from the file, for as long as Consul has not been asked."""
        if self._cache is None or not self._cache.exists():
            return
        try:
            kept = msgspec.json.decode(self._cache.read_bytes(), type=Kept)
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("consul_cache_unreadable", extra={"file": str(self._cache), "error": str(error)})
            return
        self._index, self._values = kept.index, kept.values
        await self._tell(kept.values)

    async def once(self) -> bool:
        """Ask now, without waiting for a change; whether Consul answered."""
        try:
            got = await self._connection.folder(self._folder)
        except ConsulUnavailable as error:
            self._failed(error)
            return False
        await self._heard(got)
        return True

    async def run(self) -> None:
        """Follow the folder until cancelled."""
        index: int | None = None  # without one the answer comes at once
        while True:
            try:
                got = await self._connection.folder(self._folder, index=index, wait=WAIT_SECONDS)
            except ConsulUnavailable as error:
                self._failed(error)
                index = None
                await asyncio.sleep(self._chance(self._pause / 2, self._pause))
                self._pause = min(2 * self._pause, LAST_PAUSE)
                continue
            went_back = index is not None and got.store_index < index
            await self._heard(got)
            index = None if went_back or got.store_index < 1 else got.store_index
            await asyncio.sleep(LEAST_PAUSE)

    def status(self) -> dict[str, Any]:
        """For a report."""
        return {
            "address": self._connection.place.url,
            "folder": self._folder,
            "index": self._index,
            "error": self.error,
            "emptied": self.emptied,
        }

    async def _heard(self, got: Folder) -> None:
        self._pause = FIRST_PAUSE
        if self.error is not None:
            log.info("consul_reachable")
        self.error = None
        if not got.values and self._values and got.store_index < self._index:
            if not self.emptied:
                log.error("consul_lost_its_data", extra={"index": got.store_index, "before": self._index})
            self.emptied = True
            return
        self.emptied, self._index = False, got.store_index
        try:
            values = _read(got.values)
        except ValueError as error:
            self._refuse(str(error))
            return
        if values != self._values:
            self._values = values
            self.told += 1
            if await self._tell(values):
                self._keep()

    def _failed(self, error: ConsulUnavailable) -> None:
        if self.error is None:
            log.warning("consul_unreachable", extra={"error": str(error)})
        self.error = str(error)

    def _keep(self) -> None:
        if self._cache is None:
            return
        temporary = self._cache.with_name(self._cache.name + ".new")
        try:
            self._cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.touch(mode=0o600)
            temporary.write_bytes(msgspec.json.encode(Kept(self._index, self._values or {})))
            temporary.replace(self._cache)
        except OSError as error:
            log.warning("consul_cache_unwritable", extra={"file": str(self._cache), "error": str(error)})


def _read(values: Mapping[str, bytes]) -> dict[str, str]:
    """The values as text.

    Raises:
        ValueError: one is none, or there are too many.
    """
    if len(values) > MAX_VALUES:
        raise ValueError(f"the folder holds {len(values)} keys; at most {MAX_VALUES} are read")
    read = {}
    for name, value in values.items():
        try:
            read[name] = value.decode().strip()
        except UnicodeDecodeError as error:
            raise ValueError(f"the value of {name!r} is no text in UTF-8") from error
    return read
