"""What Consul is to tell a program: read, checked, and changed in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

import msgspec

from tocsin.errors import CommandFailed
from tocsin.settings import ALL_NAMES
from verifier_agent import Sources
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
    """

    name: str
    kinds: tuple[type[msgspec.Struct], ...]

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
        """Change several settings at once; what stands there afterwards.

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
            stored.check(after)
            due = {name: value for name, value in changes.items() if value != stored.values.get(name)}
            if not due:
                return after
            async with ConsulConnection(place) as connection:
                try:
                    if await connection.write(program.name, due, stored.versions):
                        return after
                except ConsulUnavailable as error:
                    hint = "see what is set: tocsin config check"
                    raise CommandFailed(f"Consul at {place.url}: {error}; {hint}") from error
        raise CommandFailed("others change the same settings at this moment; nothing was set")

    def check(self, values: Mapping[str, str]) -> None:
        """Check the folder as it would be, with what is known of the rest of the program's settings here.

        Raises:
            SettingInvalid: see ``change``.
        """
        offered = self._offered(values)
        offered.check_remote_names(self.program.hot, self.program.known)
        for kind in self.program.kinds:
            some = offered.read_some(kind)
            if all(field.name in some for field in msgspec.structs.fields(kind) if field.required):
                offered.read(kind)

    def check_whole(self, values: Mapping[str, str]) -> None:
        """Check all that the program would read at its start on this machine.

        Raises:
            SettingInvalid: something is missing, unknown or not allowed.
        """
        offered = self._offered(values)
        offered.check_names(ALL_NAMES)
        offered.check_remote_names(self.program.hot, self.program.known)
        for kind in self.program.kinds:
            offered.read(kind)

    def _offered(self, values: Mapping[str, str]) -> Sources:
        return replace(self.sources, remote=dict(values), remote_name=self.where)
