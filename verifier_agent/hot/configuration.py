"""The rule by which configuration changes: whole or not at all, and the last good one stays. No I/O, no clock."""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

import msgspec

from verifier_agent.configuration import Sources, located
from verifier_agent.errors import SettingInvalid
from verifier_agent.hot.live import Live
from verifier_agent.hot.report import ConfigurationReport, Refusal, reported

log = logging.getLogger(__name__)

SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)

FILE: Final = "file"
CONSUL: Final = "consul"
FILE_AND_CONSUL: Final = frozenset({FILE, CONSUL})

Check = Callable[[msgspec.Struct], Awaitable[None]]
"""What settings alone cannot tell: given each kind before it comes into force, it raises ``SettingInvalid``."""


def hot_names(kind: type[msgspec.Struct]) -> frozenset[str]:
    """The settings of a kind that can change while a program runs, as its ``HOT`` names them."""
    names: frozenset[str] = getattr(kind, "HOT", frozenset())
    return names


class HotConfiguration:
    """The settings of one program, which the file and Consul may change while it runs.

    A change is read as a whole, with everything that stands elsewhere. Where a value is missing, not allowed or
    unknown, or two contradict each other, nothing of it comes into force.

    Attributes:
        sources: those of what is in force.
        changes: how often something came into force since the start.
    """

    def __init__(self, kinds: Sequence[type[msgspec.Struct]], sources: Sources, known: Collection[str]) -> None:
        """Read the settings at start.

        Args:
            kinds: the program's structs of settings; each may name in ``HOT`` what can change.
            sources: file and environment.
            known: the names that the file may have, those of other programs among them.

        Raises:
            SettingInvalid: as ``Sources.read``.
        """
        self.sources = sources
        self.changes = 0
        self._known = known
        self._hot = frozenset[str]().union(*(hot_names(kind) for kind in kinds))
        self._own = frozenset(field.name for kind in kinds for field in msgspec.structs.fields(kind))
        self._live: dict[type[msgspec.Struct], Live[Any]] = {kind: Live(sources.read(kind)) for kind in kinds}
        self._said = sources  # the newest of each source, in force or not
        self._refused: dict[str, Refusal] = {}
        self._waiting: frozenset[str] = frozenset()
        self._ears: list[Callable[[frozenset[str]], None]] = []
        self._checks: list[Check] = []
        self._one_offer = asyncio.Lock()

    def live(self, kind: type[SettingsT]) -> Live[SettingsT]:
        """The settings of one kind, as they are at any time."""
        return cast("Live[SettingsT]", self._live[kind])

    def also_tell(self, hear: Callable[[frozenset[str]], None]) -> None:
        """Have ``hear`` called with the names of what has changed, each time something did."""
        self._ears.append(hear)

    def also_check(self, check: Check) -> None:
        """Have every change checked by somebody else too, who may ask others; what stands now is not."""
        self._checks.append(check)

    async def check(self) -> None:
        """Check what stands now.

        Raises:
            SettingInvalid: somebody who checks too refuses it.
        """
        await self._check((live.now for live in self._live.values()), self.sources)

    def name_remote(self, name: str) -> None:
        """Say how messages call what comes before the names of settings in Consul."""
        self._said = dataclasses.replace(self._said, remote_name=name)
        self.sources = dataclasses.replace(self.sources, remote_name=name)

    async def offer_file(self, file: Mapping[str, Any], now: float) -> bool:
        """The file says this now; whether it is in force. ``now`` in seconds since the epoch."""
        return await self._offer(FILE, {"file": file}, now)

    async def offer_remote(self, values: Mapping[str, str], now: float) -> bool:
        """Consul says this now; whether it is in force. ``now`` in seconds since the epoch."""
        return await self._offer(CONSUL, {"remote": values}, now)

    def refuse(self, source: str, detail: str, now: float) -> None:
        """Note that what a source says cannot even be read; what is in force stays."""
        before = self._refused.get(source)
        self._refused[source] = Refusal(source=source, time=now, detail=detail)
        if before is None or before.detail != detail:
            log.error("configuration_refused", extra={"source": source, "detail": detail})

    def report(self, consul: dict[str, Any] | None = None) -> ConfigurationReport:
        """What is in force, and what is not."""
        settings = [
            each for kind, live in self._live.items() for each in reported(live.now, self.sources, hot_names(kind))
        ]
        return ConfigurationReport(
            settings=tuple(sorted(settings, key=lambda each: each.name)),
            refused=dict(self._refused),
            waiting=tuple(sorted(self._waiting)),
            changes=self.changes,
            consul=consul,
        )

    async def _offer(self, source: str, said: Mapping[str, Any], now: float) -> bool:
        """Take what both sources say now; or else what this one says beside what is in force of the other."""
        async with self._one_offer:
            self._said = dataclasses.replace(self._said, **said)
            alone = dataclasses.replace(self.sources, **said)
            for offered, settled in ((self._said, FILE_AND_CONSUL), (alone, {source})):
                try:
                    await self._take(offered)
                except SettingInvalid as error:
                    detail = str(error)
                else:
                    self._refused = {name: each for name, each in self._refused.items() if name not in settled}
                    return True
            self.refuse(source, detail, now)
            return False

    async def _check(self, settings: Iterable[msgspec.Struct], sources: Sources) -> None:
        for each in settings:
            for check in self._checks:
                try:
                    await check(each)
                except SettingInvalid as error:
                    raise SettingInvalid(located(str(error), sources)) from error

    async def _take(self, offered: Sources) -> None:
        """Bring into force what may change.

        Raises:
            SettingInvalid: something is wrong; nothing has changed.
        """
        offered.check_names(self._known)
        offered.check_remote_names(self._hot, self._own)
        changed: dict[type[msgspec.Struct], dict[str, Any]] = {}
        waiting: set[str] = set()
        read = {kind: offered.read(kind) for kind in self._live}
        for kind, live in self._live.items():
            new = read[kind]
            different = {name for name in kind.__struct_fields__ if getattr(new, name) != getattr(live.now, name)}
            changed[kind] = {name: getattr(new, name) for name in different & hot_names(kind)}
            waiting |= different - hot_names(kind)
        replaced = {kind: _replaced(self._live[kind].now, values) for kind, values in changed.items() if values}
        await self._check(replaced.values(), offered)
        for kind, settings in replaced.items():
            self._live[kind].now = settings
        self.sources = offered
        self._tell(waiting, frozenset(name for values in changed.values() for name in values))

    def _tell(self, waiting: set[str], changed: frozenset[str]) -> None:
        if waiting - self._waiting:
            log.warning("configuration_takes_a_restart", extra={"settings": sorted(waiting)})
        self._waiting = frozenset(waiting)
        if changed:
            self.changes += 1
            log.info("configuration_changed", extra={"settings": sorted(changed)})
            for hear in self._ears:
                hear(changed)


def _replaced(settings: msgspec.Struct, values: Mapping[str, Any]) -> msgspec.Struct:
    """``settings`` with these values; they may contradict one of those that take a restart.

    Raises:
        SettingInvalid: they do.
    """
    try:
        return type(settings)(**{**{name: getattr(settings, name) for name in settings.__struct_fields__}, **values})
    except ValueError as error:
        raise SettingInvalid(str(error)) from error
