"""What Consul is to tell a program: read, checked, and changed in one transaction."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

import msgspec

from tocsin.errors import CommandFailed
from tocsin.settings import ALL_NAMES
from verifier_agent import SettingInvalid, Sources
from verifier_agent.configuration import is_secret, located
from verifier_agent.consul import ConsulPlace, ConsulUnavailable
from verifier_agent.hot.configuration import hot_names

TRIES: Final = 5
"""Attempts to write while others change the same keys."""


@dataclass(frozen=True)
class Program:
    """A program that reads its configuration while it runs.

    Attributes:
        name: of its folder in Consul.
        kinds: its structs of settings.
        further: what it checks beside its settings, given each kind; raises ``SettingInvalid``.
    """

    name: str
    kinds: tuple[type[msgspec.Struct], ...]
    further: Callable[[msgspec.Struct], Awaitable[None]] | None = None

    @property
    def hot(self) -> frozenset[str]:
        """Settings that can change while it runs."""
        return frozenset[str]().union(*(hot_names(kind) for kind in self.kinds))

    @property
    def known(self) -> frozenset[str]:
        """All its settings."""
        return frozenset(name for kind in self.kinds for name in kind.__struct_fields__)


@dataclass(frozen=True)
class StoredConfiguration:
    """A program's folder.

    Attributes:
        program: whose.
        sources: file and environment of this machine.
        where: names the folder, for messages.
        values: what stands there, by the name of the setting.
        versions: of each, to write only over what was read.
    """

    program: Program
    sources: Sources
    where: str
    values: dict[str, str]
    versions: dict[str, int]

    @classmethod
    async def read(cls, place: ConsulPlace, program: Program, sources: Sources) -> Self:
        """What Consul tells a program now.

        Raises:
            CommandFailed: Consul does not answer.
        """
        from verifier_agent.consul.connection import ConsulConnection

        async with ConsulConnection(place) as connection:
            try:
                folder = await connection.folder(program.name)
            except ConsulUnavailable as error:
                raise CommandFailed(f"Consul at {place.url} cannot be asked: {error}") from error
        where = f"consul key {place.prefix}/{program.name}/"
        values = {name: value.decode("utf-8", "replace").strip() for name, value in folder.values.items()}
        return cls(program, sources, where, values, folder.versions)

    @classmethod
    async def change(
        cls, place: ConsulPlace, program: Program, sources: Sources, changes: Mapping[str, str | None]
    ) -> dict[str, str]:
        """Change several settings at once; what stands there afterwards, as ``shown``.

        Args:
            place: where Consul is.
            program: whose settings.
            sources: of this machine; where these hold all that the program needs, the whole is checked.
            changes: by name; ``None`` takes one out.

        Raises:
            SettingInvalid: one is unknown, cannot change while the program runs, or is not allowed.
            CommandFailed: Consul does not answer, or others change the same all the time.
        """
        from verifier_agent.consul.connection import ConsulConnection

        for _ in range(TRIES):
            stored = await cls.read(place, program, sources)
            after = {name: value for name, value in {**stored.values, **changes}.items() if value is not None}
            await stored.check(after)
            due = {name: value for name, value in changes.items() if value != stored.values.get(name)}
            if not due:
                return stored.shown(after)
            async with ConsulConnection(place) as connection:
                try:
                    if await connection.write(program.name, due, stored.versions):
                        return stored.shown(after)
                except ConsulUnavailable as error:
                    hint = "see what is set: tocsin config check"
                    raise CommandFailed(f"Consul at {place.url}: {error}; {hint}") from error
        raise CommandFailed("others change the same settings at this moment; nothing was set")

    async def check(self, values: Mapping[str, str]) -> None:
        """Check the folder as it would be, with what is known of the rest of the program's settings here.

        Raises:
            SettingInvalid: see ``change``.
        """
        offered = self._offered(values)
        offered.check_remote_names(self.program.hot, self.program.known)
        for kind in self.program.kinds:
            some = offered.read_some(kind)
            if all(field.name in some for field in msgspec.structs.fields(kind) if field.required):
                await self._check_further(offered.read(kind), offered)

    async def check_whole(self, values: Mapping[str, str]) -> None:
        """Check all that the program would read at its start on this machine.

        Raises:
            SettingInvalid: something is missing, unknown or not allowed.
        """
        offered = self._offered(values)
        offered.check_names(ALL_NAMES)
        offered.check_remote_names(self.program.hot, self.program.known)
        for kind in self.program.kinds:
            await self._check_further(offered.read(kind), offered)

    def shown(self, values: Mapping[str, str]) -> dict[str, str]:
        """What stands in the folder, without what must not be seen."""
        offered, shown = self._offered(values), dict(values)
        for kind in self.program.kinds:
            some = offered.read_some(kind)
            secret = {field.name for field in msgspec.structs.fields(kind) if is_secret(field.type)}
            shown |= {name: ", ".join(each.shown for each in some[name]) for name in secret & values.keys()}
        return shown

    async def _check_further(self, settings: msgspec.Struct, offered: Sources) -> None:
        if self.program.further is None:
            return
        try:
            await self.program.further(settings)
        except SettingInvalid as error:
            raise SettingInvalid(located(str(error), offered)) from error

    def _offered(self, values: Mapping[str, str]) -> Sources:
        return replace(self.sources, remote=dict(values), remote_name=self.where)
